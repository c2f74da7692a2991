"""`python -m benchmarks.removal`: how long others wait to enrol while a large collection is removed.

Its pictures are names without files.
"""

import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from sqlalchemy import String, cast, update

from benchmarks.filling import fill
from service.app import create_app
from service.config import Settings
from service.db.engine import make_engine, parse_url
from service.db.schema import upgrade
from service.db.tables import crops
from tests.conftest import wait_until_ready
from tests.pictures import jpeg

CROPS = int(os.environ.get("BENCH_CROPS", "100000"))
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
            client.post("/gallery?identity=p", content=jpeg(1), headers=JPEG)
        fill(url, crops=CROPS, collection="large")
        name_pictures(url)
        with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
            wait_until_ready(client)
            measure(client)


def name_pictures(url: str) -> None:
    """Each crop without a picture gets the name of one."""
    engine = make_engine(parse_url(url), pool_size=1, read_only=False)
    with engine.begin() as connection:
        named = cast(crops.c.id + 1_000_000, String)  # whose first two digits are a folder that is there
        connection.execute(update(crops).where(crops.c.picture.is_(None)).values(picture=named))
    engine.dispose()


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
    assert receipt["removed"]["crops"] == CROPS, receipt
    before = [wait for at, wait in waits if at < began - 0.5]
    during = [wait for at, wait in waits if at >= began - 0.5]
    print(f"{receipt['removed']}, {receipt['self_query']}")
    print(f"removed in {took:.1f} s; longest wait of an enrolment {max(during):.2f} s, before {max(before):.2f} s")
    print(f"median {np.median(during) * 1000:.0f} ms over {len(during)}, before {np.median(before) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
