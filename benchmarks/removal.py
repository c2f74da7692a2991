"""`python -m benchmarks.removal`: how long others wait to enrol while a large collection is removed.

The rows are made through the database layer, and their pictures are names without files.
"""

import os
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from sqlalchemy import Connection, insert, select

from service.app import create_app
from service.config import Settings
from service.db.changes import encode_vector
from service.db.engine import make_engine, parse_url
from service.db.schema import upgrade
from service.db.tables import collections, crops, identities, models, vectors
from tests.conftest import wait_until_ready
from tests.pictures import jpeg

CROPS = int(os.environ.get("BENCH_CROPS", "100000"))
CROPS_EACH = 8  # of a person
AT_ONCE = 10_000
JPEG = {"Content-Type": "image/jpeg"}


def main() -> None:
    """Prints seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = os.environ.get("BENCH_DATABASE_URL") or f"sqlite:///{folder / 'reappear.db'}"
        upgrade(url)
        settings = Settings(data_dir=folder / "data", database_url=url, log_level="error")
        with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:  # which makes the model's row
            wait_until_ready(client)
            client.post("/collections", json={"name": "large"})
            client.post("/gallery?identity=p", content=jpeg(1), headers=JPEG)
        fill(url)
        with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
            wait_until_ready(client)
            measure(client)


def fill(url: str) -> None:
    """Rows of people in `large`."""
    engine = make_engine(parse_url(url), pool_size=1, read_only=False)
    chance = np.random.default_rng(1)
    for start in range(0, CROPS, AT_ONCE):
        with engine.begin() as connection:
            _fill(connection, start, chance)
    engine.dispose()


def _fill(connection: Connection, start: int, chance: np.random.Generator) -> None:
    home = connection.execute(select(collections.c.id).where(collections.c.name == "large")).scalar_one()
    model, dim = connection.execute(select(models.c.id, models.c.dim)).one()
    now = datetime.now(UTC)
    people = [
        {"collection_id": home, "external_id": f"p-{start + place}", "attributes": {}, "created_at": now,
         "updated_at": now}
        for place in range(AT_ONCE // CROPS_EACH)
    ]  # fmt: skip
    made = connection.execute(insert(identities).returning(identities.c.id), people).scalars().all()
    rows = [
        {"identity_id": identity, "picture": f"{start + place:032x}", "picture_sha256": "0" * 64, "width": 64,
         "media_type": "image/jpeg", "height": 128, "sharpness": 0.5, "created_at": now}
        for place, identity in enumerate(list(made) * CROPS_EACH)
    ]  # fmt: skip
    ids = connection.execute(insert(crops).returning(crops.c.id), rows).scalars().all()
    found = chance.standard_normal((len(ids), dim), dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    blobs = [
        {"crop_id": crop, "model_id": model, "vector": encode_vector(one)} for crop, one in zip(ids, found, strict=True)
    ]
    connection.execute(insert(vectors), blobs)


def measure(client: TestClient) -> None:
    """Enrol all the time, before and while the collection goes."""
    waits: list[tuple[float, float]] = []
    done = threading.Event()

    def enrol() -> None:
        while not done.is_set():
            began = time.perf_counter()
            answer = client.post("/gallery?identity=p", content=jpeg(2), headers=JPEG)
            assert answer.status_code in (200, 201), answer.text
            waits.append((began, time.perf_counter() - began))

    enrolling = threading.Thread(target=enrol)
    enrolling.start()
    time.sleep(3)
    began = time.perf_counter()
    answer = client.delete("/collections/large?with_identities=true")
    took = time.perf_counter() - began
    done.set()
    enrolling.join()
    receipt = answer.json()
    assert receipt["removed"]["crops"] == CROPS // AT_ONCE * (AT_ONCE // CROPS_EACH) * CROPS_EACH, receipt
    before = [wait for at, wait in waits if at < began - 0.5]
    during = [wait for at, wait in waits if at >= began - 0.5]
    print(f"{receipt['removed']}, {receipt['self_query']}")
    print(f"removed in {took:.1f} s; longest wait of an enrolment {max(during):.2f} s, before {max(before):.2f} s")
    print(f"median {np.median(during) * 1000:.0f} ms over {len(during)}, before {np.median(before) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
