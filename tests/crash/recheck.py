"""What a restarted service must show its clients, as far as HTTP can tell."""

import random
from collections.abc import Sequence
from pathlib import Path

import httpx2 as httpx
import numpy as np

from service.store.tombstones import TOMBSTONE_FILE, Tombstones
from tests.crash.audit import Row
from tests.crash.crowd import JPEG, enrolment
from tests.crash.oracle import Oracle

GONE_AT_MOST = 10
SAME = 5e-5  # between two vectors of one picture, which batches make differ by up to 6e-6


def check_search(client: httpx.Client, rows: Sequence[Row]) -> None:
    """Each crop has the vector that its picture has, and is found by it."""
    for row in rows:
        picture = client.get(f"/crops/{row.crop}/picture").content
        embedded = client.post("/embed", content=picture, headers=JPEG).json()
        assert np.abs(np.array(embedded["vector"]) - row.vector).max() < SAME
        asked = {"vector": row.vector.tolist(), "model": embedded["model"], "k": 1}
        (best,) = client.post("/query", json=asked).json()["candidates"]
        assert (best["identity"], best["hits"][0]["crop"]) == (row.identity, row.crop)
        assert best["similarity"] > 0.99999


def check_vectors(client: httpx.Client, rows: Sequence[Row], known: dict[str, "np.ndarray"]) -> None:
    """Each row has the vector of its picture. `known` has vectors by picture and learns those it lacks."""
    for row in rows:
        if row.digest not in known:
            picture = client.get(f"/crops/{row.crop}/picture").content
            embedded = client.post("/embed", content=picture, headers=JPEG).json()
            known[row.digest] = np.array(embedded["vector"], np.float32)
        assert np.abs(known[row.digest] - row.vector).max() < SAME, f"crop {row.crop} has another vector"


def check_gone(client: httpx.Client, oracle: Oracle, chance: random.Random) -> None:
    """Crops whose removal was acknowledged have no picture and cannot be asked for."""
    gone = sorted(oracle.must_not_have())
    for crop in chance.sample(gone, min(GONE_AT_MOST, len(gone))):
        assert client.get(f"/crops/{crop}/picture").status_code == 404
        assert client.post("/query", json={"crop": crop}).status_code == 404


def check_tombstones(data_dir: Path, oracle: Oracle) -> None:
    """The file that outlives the database names every crop whose removal was acknowledged."""
    named = {int(stone.row) for stone in Tombstones(data_dir / TOMBSTONE_FILE).read() if stone.kind == "crop"}
    assert oracle.must_not_have() - named == set(), "removed crops are not in the file that outlives the database"


def repeat_unanswered(client: httpx.Client, oracle: Oracle, chance: random.Random) -> None:
    """Half of those who got no answer ask again with the same key; the next check sees that nothing is there twice."""
    unanswered = oracle.unanswered()
    for token, identity, pictures in chance.sample(unanswered, len(unanswered) // 2):
        answer = client.post("/gallery", **enrolment(token, identity, pictures))
        assert answer.status_code in (200, 201), answer.text
        oracle.enrolled(token, [one["crop"] for one in answer.json()["accepted"]])
