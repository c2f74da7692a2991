"""A disk that is full or read-only: what cannot be kept is refused with a reason, the rest goes on, and nobody has to
restart anything."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.api.holdings import wait_for
from tests.crash.audit import audit
from tests.crash.crowd import JPEG, Crowd
from tests.crash.oracle import Oracle
from tests.faults.preload import FaultyDisk
from tests.pictures import jpeg
from tests.server import Server

BUDGETS = (0, 1, 700, 3_000, 9_000, 20_000, 60_000, 200_000)  # bytes: in the picture, in the log, at a checkpoint
TURN_S = 0.3


@pytest.fixture
def disk(tmp_path: Path) -> FaultyDisk:
    """It holds the data folder, and with SQLite the database."""
    return FaultyDisk(tmp_path, tmp_path, journal=False)


@pytest.fixture
def server(database_url: str, tmp_path: Path, disk: FaultyDisk) -> Iterator[Server]:
    server = Server(tmp_path / "data", database_url, **disk.environment)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("fault", "words"),
    [({"bytes_left": 0}, ("full", "room")), ({"read_only": True}, ("read-only", "writable"))],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_nothing_refuses_changes_with_the_remedy_and_queries_go_on(
    fault: dict[str, int], words: tuple[str, ...], server: Server, disk: FaultyDisk, database_url: str
) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        first = client.post("/gallery?identity=before", content=jpeg(1), headers=JPEG).json()["accepted"][0]["crop"]
        disk.change(**fault)
        for _ in range(3):
            for refused in (
                client.post("/gallery?identity=meanwhile", content=jpeg(2), headers=JPEG),
                client.post("/gallery?identity=before", content=jpeg(3), headers=JPEG),
            ):
                assert (refused.status_code, refused.json()["error"]) == (503, "STORE_DOWN"), refused.text
                assert all(word in refused.json()["detail"] for word in words)
                assert refused.headers["retry-after"].isdigit()
        if database_url.startswith("sqlite"):
            for refused in (
                client.patch("/gallery/before", json={"name": "another"}),
                client.post("/collections", json={"name": "meanwhile"}),
                client.delete("/gallery/before"),
            ):
                assert refused.status_code == 503, refused.text
                assert any(word in refused.json()["detail"] for word in words), refused.text
        answer = client.post("/query", content=jpeg(1), headers=JPEG)
        assert answer.json()["candidates"][0]["hits"][0]["crop"] == first
        assert client.get(f"/crops/{first}/picture").content == jpeg(1)
        assert [one["id"] for one in client.get("/gallery").json()["identities"]] == ["before"]
        assert client.get("/readyz").status_code == 200
        disk.change()
        assert client.post("/gallery?identity=after", content=jpeg(4), headers=JPEG).status_code == 201
        assert client.delete("/gallery/before").status_code == 200
        assert 'status="500"' not in client.get("/metrics").text
    assert [row.identity for row in audit(database_url, server.data_dir)] == ["after"]


@pytest.mark.parametrize(
    ("database_url", "fault"),
    [("sqlite", "full"), ("sqlite", "read-only"), ("postgresql", "full")],
    indirect=["database_url"],
)
def test_a_disk_that_fails_again_and_again_under_load_loses_nothing_and_leaves_nothing_half_done(
    fault: str, server: Server, disk: FaultyDisk, database_url: str, chance: random.Random
) -> None:
    oracle = Oracle()
    crowd = Crowd(server.url, oracle, clients=4, seed=chance.randrange(2**32))
    crowd.start()
    for budget in chance.sample(BUDGETS, len(BUDGETS)):
        time.sleep(TURN_S)
        disk.change(bytes_left=budget) if fault == "full" else disk.change(read_only=True)
        time.sleep(TURN_S)
        disk.change()
    time.sleep(TURN_S)
    crowd.stop()
    print(crowd.statuses, oracle.count())
    assert crowd.failures == []
    assert crowd.statuses.keys() == {"200", "201", "503"}
    assert oracle.count()["enrolments done"] > 20
    assert 'route="/query",status="503"' not in httpx.get(f"{server.url}/metrics").text, "queries need no disk"
    server.stop()
    server.start()  # which settles what was in doubt
    assert oracle.problems(audit(database_url, server.data_dir)) == []


@pytest.mark.parametrize("fault", [{"bytes_left": 0}, {"bytes_left": 1_000}, {"read_only": True}])
def test_a_disk_that_takes_no_snapshot_of_the_index_is_told_of_and_gets_the_next_one_by_itself(
    fault: dict[str, int], database_url: str, tmp_path: Path, disk: FaultyDisk
) -> None:
    server = Server(tmp_path / "data", database_url, **disk.environment, REAPPEAR_SNAPSHOT_MINUTES="0.02")
    server.start()
    try:
        httpx.post(f"{server.url}/gallery", content=jpeg(1), headers=JPEG, timeout=30)
        disk.change(**fault)
        wait_for(lambda: "no snapshot of the index" in server.log.read_text())
        assert list((tmp_path / "data").glob("index/*.json")) == []
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        disk.change()
        wait_for(lambda: len(list((tmp_path / "data").glob("index/*.json"))) == 1)
    finally:
        disk.change()
        server.stop()
    server.start()
    assert '"from_snapshot":1,"from_database":0' in server.log.read_text()
    server.stop()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_start_on_a_disk_that_is_read_only_is_refused_with_the_remedy(server: Server, disk: FaultyDisk) -> None:
    server.stop()
    disk.change(read_only=True)
    server.launch()
    assert server.wait_for_death() == 3
    reason = server.log.read_text().splitlines()[-1]
    assert "cannot be written (Read-only file system)" in reason
    assert "REAPPEAR_DATA_DIR" in reason
    disk.change()
    server.start()
