"""Services with few people, and snapshots of their index."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.config import Settings
from service.index.segmented import BLOCK_ROWS
from tests.api.holdings import parts_of
from tests.conftest import wait_until_ready
from tests.pictures import jpeg

JPEG = {"Content-Type": "image/jpeg"}
PEOPLE = 6


@contextmanager
def serving(
    settings: Settings, fail_point: Callable[[str], None] = lambda name: None, block_rows: int = BLOCK_ROWS
) -> Iterator[TestClient]:
    app = create_app(settings, fail_point=fail_point, block_rows=block_rows)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        yield client


def enrol(client: TestClient, *seeds: int, collection: str = "default") -> None:
    for seed in seeds:
        params = {"identity": f"p-{seed}", "collection": collection}
        assert client.post("/gallery", params=params, content=jpeg(seed), headers=JPEG).status_code in (200, 201)


def write(client: TestClient) -> None:
    """A snapshot of now."""
    assert client.portal is not None
    client.portal.call(parts_of(client).snapshots.write, parts_of(client).writer)


def answers(client: TestClient) -> list[Any]:
    """What is found for everybody who was ever enrolled here, in both collections where there are two."""
    found = []
    for seed in range(1, PEOPLE + 3):
        for collection in ("default", "other"):
            params = {"k": 10, "hits": 10, "collection": collection}
            answer = client.post("/query", params=params, content=jpeg(seed), headers=JPEG).json()
            found.append([(one["identity"], one["similarity"], one["hits"]) for one in answer.get("candidates", ())])
    ready = client.get("/readyz").json()
    lengths = [len(parts_of(client).galleries.of(home).vectors) for home in (1, 2)]
    return [found, ready["crops"], ready["generation"], lengths]


def sources(log: pytest.LogCaptureFixture) -> list[tuple[int, int]]:
    """Of each load, how many vectors came from a snapshot, and how many from the database."""
    told = [vars(one) for one in log.records if one.getMessage() == "loaded the index"]
    return [(one["from_snapshot"], one["from_database"]) for one in told]


def index_of(settings: Settings) -> Path:
    return settings.data_dir / "index"
