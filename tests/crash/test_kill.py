"""kill -9 at every fail point and in between, again and again on the same data."""

import os
import random
import re
import time
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.crash.audit import audit
from tests.crash.crowd import Crowd
from tests.crash.oracle import Oracle
from tests.crash.points import ANY_MOMENT, STARTING, deck
from tests.crash.recheck import check_gone, check_search, check_tombstones, repeat_unanswered
from tests.server import Server

KILLS = int(os.environ.get("REAPPEAR_TEST_KILLS") or 20) // 2  # on each of two databases
SECONDS_A_KILL = 15  # on a busy machine; it takes 2
CLIENTS = 6
OFTEN = "0.001"  # minutes between snapshots of the index
SAMPLE = 25  # crops that are searched for after each kill; after the last one all are


@pytest.mark.timeout(60 + KILLS * SECONDS_A_KILL)
def test_no_kill_loses_doubles_or_brings_back_what_was_acknowledged(
    database_url: str, tmp_path: Path, chance: random.Random
) -> None:
    settings = {"REAPPEAR_SNAPSHOT_MINUTES": OFTEN, "REAPPEAR_INDEX": "Flat"}
    server, oracle = Server(tmp_path / "data", database_url, **settings), Oracle()
    try:
        _kill_again_and_again(server, oracle, database_url, chance)
    finally:
        server.stop()
    count = oracle.count()
    print(count)
    assert count["enrolments done"] > 5 * KILLS
    assert count["removals done"] > KILLS
    assert count["enrolments unanswered"] > 0, "the kills hit nobody"
    assert '"from_snapshot":0,' in server.log.read_text()
    assert re.search(r'"from_snapshot":[1-9]', server.log.read_text()), "no start ever used a snapshot"


def _kill_again_and_again(server: Server, oracle: Oracle, database_url: str, chance: random.Random) -> None:
    for number, (point, after) in enumerate(deck(chance, KILLS), start=1):
        print(f"kill {number} at {point}, passed {after} times before; so far {oracle.count()}")
        if point == STARTING:
            server.launch()
            time.sleep(chance.uniform(0, 1.2))
            server.kill()
            continue
        server.start(dies_at=None if point == ANY_MOMENT else point, after=after, armed=False)
        _check(server, oracle, database_url, chance)
        crowd = Crowd(server.url, oracle, clients=CLIENTS, seed=chance.randrange(2**32), asks=False)
        crowd.start()
        server.arm()
        if point == ANY_MOMENT:
            time.sleep(chance.uniform(0.2, 0.6))
            server.kill()
        else:
            assert server.wait_for_death() == -9
        crowd.join()
        assert crowd.failures == []
    server.start()
    _check(server, oracle, database_url, chance, sample=10_000)
    assert oracle.problems(audit(database_url, server.data_dir)) == []  # after the last repeats
    assert server.stop() == 0


def _check(server: Server, oracle: Oracle, database_url: str, chance: random.Random, sample: int = SAMPLE) -> None:
    """Everything a restarted service holds is what its clients were told, and it can be searched."""
    rows = audit(database_url, server.data_dir)
    assert oracle.problems(rows) == []
    check_tombstones(server.data_dir, oracle)
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert client.get("/readyz").json()["crops"] == len(rows)
        check_search(client, chance.sample(rows, min(sample, len(rows))))
        check_gone(client, oracle, chance)
        repeat_unanswered(client, oracle, chance)
