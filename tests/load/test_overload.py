import time
from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from service.app import create_app
from service.config import Settings
from tests.conftest import wait_until_ready
from tests.crash.audit import audit
from tests.crash.crowd import Crowd
from tests.crash.oracle import Oracle
from tests.pictures import jpeg
from tests.server import Server

SEED = 20260524
CLIENTS = 24
LOAD_S = 2.5


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
