"""Somebody sets the clock, by a year to and fro, while the service runs."""

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.api.holdings import wait_for
from tests.crash.audit import audit
from tests.crash.crowd import Crowd, enrolment
from tests.crash.oracle import Oracle
from tests.faults.preload import FaultyClock
from tests.pictures import jpeg
from tests.server import Server

YEAR_S = 365 * 86_400
JUMPS_S = (YEAR_S, -YEAR_S, 0, 2 * 86_400, -3_600)
HOUSEKEEPING_S = 0.3  # `hasty` has kept house by then


@pytest.fixture
def clock(tmp_path: Path) -> FaultyClock:
    return FaultyClock(tmp_path)


@pytest.fixture
def server(database_url: str, tmp_path: Path, clock: FaultyClock) -> Iterator[Server]:
    """A service by this clock that keeps house all the time."""
    server = Server(tmp_path / "data", database_url, **clock.environment)
    server.launch("tests.faults.hasty")
    server.wait_until_ready()
    yield server
    server.stop()


def test_a_clock_that_jumps_makes_no_request_be_done_twice(
    server: Server, clock: FaultyClock, database_url: str
) -> None:
    done: dict[str, tuple[int, dict[str, object]]] = {}
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for number, jump_s in enumerate((0, *JUMPS_S)):
            clock.jump_to(jump_s)
            time.sleep(HOUSEKEEPING_S)
            for crop, request in done.values():
                again = client.post("/gallery", **request)
                assert again.headers.get("idempotency-replayed") == "true"
                assert again.json()["accepted"][0]["crop"] == crop
            request = enrolment(f"t-{number}", f"p-{number}", [jpeg(number)])
            answer = client.post("/gallery", **request)
            assert answer.status_code == 201
            done[f"p-{number}"] = answer.json()["accepted"][0]["crop"], request
    rows = audit(database_url, server.data_dir)
    assert {row.identity: row.crop for row in rows} == {identity: crop for identity, (crop, _) in done.items()}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_start_by_a_wrong_clock_removes_nobody_until_somebody_says_that_it_is_right(
    server: Server, clock: FaultyClock
) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        client.patch("/collections/default", json={"retention_days": 300})
        assert client.post("/gallery", **enrolment("t", "p-1", [jpeg(1)])).status_code == 201
        assert server.stop() == 0
        clock.jump_to(YEAR_S)
        for _ in range(2):  # another start by it believes it no more than the first
            told = len(server.log.read_text())
            server.launch("tests.faults.hasty")
            server.wait_until_ready()
            wait_for(lambda told=told: "retention waits" in server.log.read_text()[told:])
            assert client.get("/readyz").json()["crops"] == 1
            assert "reappear_retention_waits 1.0" in client.get("/metrics").text
            server.stop()
        server.launch("tests.faults.hasty")
        server.wait_until_ready()
        assert client.post("/retention").status_code == 200
        assert client.get("/readyz").json()["crops"] == 0


def test_the_time_of_an_enrolment_is_that_of_the_clock_and_does_not_decide_where_it_is_listed(
    server: Server, clock: FaultyClock
) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for number, jump_s in enumerate(JUMPS_S):
            clock.jump_to(jump_s)
            answer = client.post("/gallery", **enrolment(f"t-{number}", f"p-{number}", [jpeg(number)]))
            created_at = datetime.fromisoformat(answer.json()["identity"]["created_at"])
            assert abs(created_at - datetime.now(UTC) - timedelta(seconds=jump_s)) < timedelta(seconds=60)
        listed, cursor = [], None
        while cursor is not None or not listed:
            clock.jump_to(JUMPS_S[len(listed) % len(JUMPS_S)])
            page = client.get("/gallery", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
            listed += [one["id"] for one in page["identities"]]
            cursor = page["next"]
        assert sorted(listed) == [f"p-{number}" for number in range(len(JUMPS_S))]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_crowd_does_not_notice_that_the_clock_jumps(
    server: Server, clock: FaultyClock, database_url: str, chance: random.Random
) -> None:
    oracle = Oracle()
    crowd = Crowd(server.url, oracle, clients=4, seed=chance.randrange(2**32))
    crowd.start()
    for jump_s in chance.choices(JUMPS_S, k=8):
        time.sleep(0.3)
        clock.jump_to(jump_s)
    crowd.stop()
    print(crowd.statuses, oracle.count())
    assert crowd.failures == []
    assert crowd.statuses.keys() == {"200", "201"}
    assert oracle.problems(audit(database_url, server.data_dir)) == []
    clock.jump_to(YEAR_S)
    server.stop()
    server.start()
    assert oracle.problems(audit(database_url, server.data_dir)) == []
    assert "exc_info" not in server.log.read_text()
