import time
from collections.abc import Callable
from pathlib import Path

import httpx2 as httpx
from fastapi.testclient import TestClient

from benchmarks.overload import MOST_GROWTH, load
from service.app import create_app
from service.config import Settings
from tests.conftest import wait_until_ready
from tests.crash.audit import audit
from tests.crash.crowd import JPEG, Crowd
from tests.crash.oracle import Oracle
from tests.fuzz.grinder import resident_bytes
from tests.pictures import jpeg
from tests.server import Server

SEED = 20260524
CLIENTS = 24
LOAD_S = 2.5
PATIENCE_S = 10  # an answer that took longer than this stood in a queue that nobody bounded


def test_too_many_requests_are_refused_in_a_proper_way_and_the_others_are_served_right(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """`Crowd` holds every 503 to its form and every other answer to the truth; what was refused must leave no trace."""
    server, oracle = serve(REAPPEAR_MAX_WAITING="2"), Oracle()
    crowd = Crowd(server.url, oracle, clients=CLIENTS, seed=SEED)
    crowd.start()
    time.sleep(LOAD_S)
    crowd.stop()
    count = oracle.count()
    print(f"seed {SEED}: {crowd.statuses}, {count}")
    assert crowd.failures == []
    assert crowd.statuses.keys() == {"200", "201", "503"}
    assert min(crowd.statuses["503"], crowd.statuses["200"], count["enrolments refused"]) > 10
    assert oracle.unanswered() == []
    assert oracle.problems(audit(f"sqlite:///{tmp_path / 'reappear.db'}", server.data_dir)) == []


def test_a_flood_of_four_times_what_can_be_served_is_refused_and_the_service_is_itself_again_at_once(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """How fast it refuses is measured by `make bench-overload`; here nothing may wait without bound, or be lost."""
    server, pictures = serve(), tmp_path / "pictures"
    pictures.mkdir()
    for number in range(20):
        (pictures / f"{number}.jpg").write_bytes(jpeg(number, view=1))
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for number in range(20):
            assert client.post(f"/gallery?identity=p-{number}", content=jpeg(number), headers=JPEG).status_code == 201
        capacity = load(server, pictures, seconds=2, clients=32)
        assert capacity["statuses"].keys() == {"200"}, "as many clients as a batch has places are never refused"
        rate = 4 * capacity["answered_per_s"]
        load(server, pictures, seconds=2, clients=32, rate=rate)
        warm = resident_bytes(server.pid)
        flood = load(server, pictures, seconds=4, clients=32, rate=rate)
        assert client.post("/query", content=jpeg(1), headers=JPEG).json()["candidates"][0]["identity"] == "p-1"
        grown = resident_bytes(server.pid) / warm
        assert len(client.get("/gallery").json()["identities"]) == 20
    print(capacity, flood, grown)
    assert flood["statuses"].keys() == {"200", "503"}, "every request was answered"
    assert flood["without_retry_after"] == 0
    assert flood["statuses"]["503"] > flood["statuses"]["200"]
    assert flood["accepted"]["max_ms"] < PATIENCE_S * 1000
    assert flood["refused"]["p50_ms"] < flood["accepted"]["p50_ms"], "refusals wait like everybody else"
    assert grown < MOST_GROWTH


def test_an_idle_service_takes_a_request_of_many_pictures_however_short_its_queues(
    tmp_path: Path, sqlite_template: Path
) -> None:
    path = tmp_path / "reappear.db"
    path.write_bytes(sqlite_template.read_bytes())
    settings = Settings(
        data_dir=tmp_path / "data", database_url=f"sqlite:///{path}", log_level="warning", max_waiting=1
    )
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        for first in (0, 12):
            files = [("images", (f"{number}.jpg", jpeg(first + number), "image/jpeg")) for number in range(12)]
            answer = client.post("/gallery?identity=p-1", files=files)
            assert answer.status_code in (200, 201), answer.text
        assert answer.json()["identity"]["crops"] == 24
        answer = client.post("/query", files=[("image", one) for _, one in files])
        assert answer.json()["candidates"][0]["identity"] == "p-1"
