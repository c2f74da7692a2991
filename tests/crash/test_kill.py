import random
import time
from collections.abc import Sequence
from pathlib import Path

import httpx2 as httpx
import numpy as np

from tests.crash.audit import Row, audit
from tests.crash.crowd import JPEG, Crowd, enrolment
from tests.crash.oracle import Oracle
from tests.server import Server

SEED = 20260521
CLIENTS = 6
SAMPLE = 25  # crops that are searched for after each kill; after the last one all are
POINTS = {  # fail point → how often it is passed before it kills
    "after-stage-before-commit": 9,
    "before-commit": 12,
    "after-commit-before-index": 7,
    "after-index-before-response": 15,
    "after-commit-before-publish": 8,
    "after-commit-before-unlink": 4,
    "after-unlink-before-clearing": 5,
    "any moment": 0,
}


def test_no_kill_loses_doubles_or_brings_back_what_was_acknowledged(database_url: str, tmp_path: Path) -> None:
    server, oracle = Server(tmp_path / "data", database_url), Oracle()
    try:
        _kill_again_and_again(server, oracle, database_url)
    finally:
        server.stop()
    count = oracle.count()
    print(count)
    assert count["enrolments done"] > 50
    assert count["removals done"] > 10
    assert count["enrolments unanswered"] > 0, "the kills hit nobody"


def _kill_again_and_again(server: Server, oracle: Oracle, database_url: str) -> None:
    chance = random.Random(SEED)
    for point, after in chance.sample(sorted(POINTS.items()), len(POINTS)):
        print(f"seed {SEED}: kill at {point}, passed {after} times before; so far {oracle.count()}")
        server.start(dies_at=None if point == "any moment" else point, after=after)
        _check(server, oracle, database_url, chance)
        crowd = Crowd(server.url, oracle, clients=CLIENTS, seed=chance.randrange(2**32), asks=False)
        crowd.start()
        if point == "any moment":
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
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert client.get("/readyz").json()["crops"] == len(rows)
        _check_search(client, chance.sample(rows, min(sample, len(rows))))
        _check_gone(client, oracle, chance)
        _repeat(client, oracle, chance)


def _check_search(client: httpx.Client, rows: Sequence[Row]) -> None:
    """Each crop has the vector that its picture has, and is found by it."""
    for row in rows:
        picture = client.get(f"/crops/{row.crop}/picture").content
        embedded = client.post("/embed", content=picture, headers=JPEG).json()
        assert np.abs(np.array(embedded["vector"]) - row.vector).max() < 5e-5  # batches differ by up to 6e-6
        asked = {"vector": row.vector.tolist(), "model": embedded["model"], "k": 1}
        (best,) = client.post("/query", json=asked).json()["candidates"]
        assert (best["identity"], best["hits"][0]["crop"]) == (row.identity, row.crop)
        assert best["similarity"] > 0.99999


def _check_gone(client: httpx.Client, oracle: Oracle, chance: random.Random) -> None:
    gone = sorted(oracle.must_not_have())
    for crop in chance.sample(gone, min(10, len(gone))):
        assert client.get(f"/crops/{crop}/picture").status_code == 404
        assert client.post("/query", json={"crop": crop}).status_code == 404


def _repeat(client: httpx.Client, oracle: Oracle, chance: random.Random) -> None:
    """Some of those who got no answer ask again with the same key; the next check sees that nothing is there twice."""
    unanswered = oracle.unanswered()
    for token, identity, pictures in chance.sample(unanswered, len(unanswered) // 2):
        answer = client.post("/gallery", **enrolment(token, identity, pictures))
        assert answer.status_code in (200, 201), answer.text
        oracle.enrolled(token, [one["crop"] for one in answer.json()["accepted"]])
