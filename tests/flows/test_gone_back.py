"""A database that comes back as it was some time ago, while the service runs: after a failover, say."""

import json
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, delete, insert, text, update

from service.config import Settings
from service.db.engine import parse_url
from service.db.tables import (
    api_keys,
    attributes,
    changes,
    collections,
    crops,
    erasures,
    idempotency,
    identities,
    meta,
    models,
    outbox,
    vectors,
)
from tests.api.holdings import parts_of
from tests.flows.indexed import JPEG, enrol, serving, write
from tests.pictures import jpeg
from tests.server import Server

GOING_BACK = (  # all but the audit log, in the order in which they hang
    meta,
    models,
    collections,
    identities,
    attributes,
    crops,
    vectors,
    api_keys,
    changes,
    outbox,
    erasures,
    idempotency,
)
THERE_THEN = 3  # people; those who came since are lost


def put_back(database_url: str) -> None:
    """The rows as they were when only the first people were enrolled, and ids that will be given again."""
    engine = create_engine(parse_url(database_url))
    with engine.begin() as connection:
        connection.execute(delete(changes).where(changes.c.generation > THERE_THEN))
        connection.execute(delete(vectors).where(vectors.c.crop_id > THERE_THEN))
        connection.execute(delete(crops).where(crops.c.id > THERE_THEN))
        connection.execute(delete(identities).where(identities.c.id > THERE_THEN))
        connection.execute(update(meta).values(generation=THERE_THEN))
        if engine.dialect.name == "sqlite":
            for table in ("crops", "identities"):
                connection.execute(text(f"UPDATE sqlite_sequence SET seq = {THERE_THEN} WHERE name = '{table}'"))
        else:
            for table in ("crops", "identities"):
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {THERE_THEN})"))
    engine.dispose()


def found(client: TestClient | httpx.Client, seed: int) -> str | None:
    """Who the nearest is, as far as it is sure."""
    answer = client.post("/query", content=jpeg(seed), headers=JPEG).json()
    return answer["candidates"][0]["identity"] if answer["decision"] == "match" else None


@pytest.mark.parametrize("first", ["look", "write", "remove"])
def test_nobody_is_taken_for_somebody_else(first: str, database_url: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url, log_level="error")
    with serving(settings) as client:
        enrol(client, 1, 2, 3, 4, 5, 6)
        write(client)
        put_back(database_url)
        answer: Any = {
            "look": lambda: client.get("/readyz"),
            "write": lambda: client.post("/gallery?identity=p-7", content=jpeg(7), headers=JPEG),
            "remove": lambda: client.delete("/gallery/p-1"),
        }[first]()
        assert (answer.status_code, answer.json()["error"]) == (503, "DATABASE_OLDER")
        for again in (client.get("/readyz"), client.post("/query", content=jpeg(1), headers=JPEG)):
            assert (again.status_code, again.json()["error"]) == (503, "DATABASE_OLDER")
    with serving(settings) as client:
        assert client.get("/readyz").json() == {"ready": True, "crops": 3, "generation": 3}, "nothing was written"
        enrol(client, 11, 12, 13, 14)
        assert [found(client, seed) for seed in (1, 2, 3, 4, 5, 6)] == ["p-1", "p-2", "p-3", None, None, None]
        assert [found(client, seed) for seed in (11, 12, 13, 14)] == ["p-11", "p-12", "p-13", "p-14"]


def rows_of(database_url: str) -> dict[str, list[dict[str, Any]]]:
    engine = create_engine(parse_url(database_url))
    with engine.connect() as connection:
        rows = {one.name: [*map(dict, connection.execute(one.select()).mappings())] for one in GOING_BACK}
    engine.dispose()
    return rows


def take_back(database_url: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Instead of the rows that there are, those that there were."""
    engine = create_engine(parse_url(database_url))
    with engine.begin() as connection:
        for one in reversed(GOING_BACK):
            connection.execute(delete(one))
        for one in GOING_BACK:
            if rows[one.name]:
                connection.execute(insert(one), rows[one.name])
    engine.dispose()


def test_whom_the_file_of_erased_rows_names_is_not_there_again(database_url: str, tmp_path: Path) -> None:
    """Nor their pictures, nor keys that were revoked; and pictures whose rows are lost go as well."""
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url, log_level="error")
    with serving(settings) as client:
        enrol(client, 1, 2, 3)
        client.post("/collections", json={"name": "other"})
        enrol(client, 4, collection="other")
        key = client.post("/keys", json={"name": "leaked", "scope": "read"}).json()
        before = rows_of(database_url)
        assert client.delete("/gallery/p-2").status_code == 200
        assert client.delete("/collections/other?with_identities=true").status_code == 200
        client.delete(f"/keys/{key['id']}")
        enrol(client, 5)
        kept = set(parts_of(client).store.names())
        assert len(kept) == 3
    take_back(database_url, before)
    with serving(settings) as client:
        assert [found(client, seed) for seed in (1, 2, 3, 5)] == ["p-1", None, "p-3", None]
        assert client.get("/gallery/p-2").status_code == 404
        assert [one["name"] for one in client.get("/collections").json()["collections"]] == ["default"]
        assert client.get("/readyz").json()["crops"] == 2
        assert len(set(parts_of(client).store.names())) == 2, "p-5's row is lost, and nobody could remove its picture"
        assert [one["id"] for one in client.get("/keys").json()["keys"] if one["revoked_at"] is None] == []
        assert "erase.again" in [one["action"] for one in client.get("/audit").json()["entries"]]
    with serving(settings) as client:
        assert client.get("/readyz").json()["crops"] == 2
        actions = [one["action"] for one in client.get("/audit").json()["entries"]]
        assert actions.count("erase.again") == 1, "once is enough"


def test_what_holds_no_crops_is_taken_out_again_and_told_too(
    database_url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url, log_level="warning")
    with serving(settings) as client:
        key = client.post("/keys", json={"name": "leaked", "scope": "read"}).json()
        before = rows_of(database_url)
        client.delete(f"/keys/{key['id']}")
    take_back(database_url, before)
    with serving(settings) as client:
        assert "erase.again" in [one["action"] for one in client.get("/audit").json()["entries"]]
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "the database had gone back" in line]
    assert [(one["rows"], one["crops"]) for one in told] == [(1, 0)]


def test_the_process_ends_so_that_what_watches_it_starts_it_anew(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        for seed in range(1, 7):
            client.post(f"/gallery?identity=p-{seed}", content=jpeg(seed), headers=JPEG)
        put_back(server.database_url)
        assert client.get("/readyz").json()["error"] == "DATABASE_OLDER"
    assert server.wait_for_death() == 4
    assert "the database has gone back" in server.log.read_text()
    server.start()
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/readyz").json()["crops"] == THERE_THEN
        assert found(client, 1) == "p-1"
