"""Erasure: after the receipt nothing of a person is found, in answers, rows, files, or raw bytes of the database."""

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select, text

from service.config import Settings
from service.db.engine import make_engine, parse_url
from service.db.people import add_identity
from service.db.tables import crops as crop_rows
from service.db.tables import erasures, metadata
from service.db.tables import vectors as vector_rows
from service.flows.housekeeping import put_right
from service.store.tombstones import TOMBSTONE_FILE
from tests.api.conftest import running
from tests.api.holdings import CONTENT, files, parts_of
from tests.api.sending import form, raw
from tests.pictures import jpeg
from tests.server import Server

NAME, ATTRIBUTE, KEY, CAMERA = "Zorro-de-la-Vega", "black-velvet-mask", "colour-of-the-mask", "camera-north-gate"
TRACK, FILENAME, IDEMPOTENCY = "track-77-of-may", "portrait-of-zorro.jpg", "only-once-for-zorro"
MARKERS = [word.encode() for word in (NAME, ATTRIBUTE, KEY, CAMERA, TRACK, FILENAME, IDEMPOTENCY)]
MARKERS += [NAME.casefold().encode()]


def enrol_zorro(client: TestClient, seed: int = 1, identity: str = "p-zorro") -> list[bytes]:
    """Somebody of whom everything is known. Returns what must not be found afterwards."""
    pictures = [jpeg(seed), jpeg(seed, view=1)]
    answer = client.post(
        "/gallery",
        files=[("images", (FILENAME, picture, "image/jpeg")) for picture in pictures],
        data={
            "identity": identity, "name": NAME, "attributes": json.dumps({KEY: ATTRIBUTE}), "camera": CAMERA,
            "track": TRACK,
        },
        headers={"Idempotency-Key": IDEMPOTENCY + identity},
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
    return [*MARKERS, *vectors(client), *(picture[-200:-100] for picture in pictures)]


def vectors(client: TestClient) -> list[bytes]:
    """Those there are, as rows hold them; a part of each."""
    rows = parts_of(client).database.read_now(lambda on: on.execute(select(vector_rows.c.vector)).scalars().all())
    return [row[40:104] for row in rows]


def traces(folder: Path, wanted: list[bytes]) -> set[tuple[str, bytes]]:
    """Which of these are in the raw bytes of which files of a folder."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found.update((path.name, one) for one in wanted if one in content)
    return found


@pytest.fixture
def engine(settings: Settings) -> Any:
    engine = make_engine(parse_url(settings.url), pool_size=2, read_only=False)
    yield engine
    engine.dispose()


def rows_with(engine: Engine, words: list[bytes]) -> list[str]:
    """Tables with rows that hold one of the words, the audit log apart."""
    with engine.connect() as connection:
        found = {table.name: repr(connection.execute(select(table)).all()) for table in CONTENT}
    return [name for name, rows in found.items() for word in words if word.decode("latin-1") in rows]


def tidy(client: TestClient) -> None:
    """One round of housekeeping."""
    assert client.portal is not None
    client.portal.call(put_right, parts_of(client))


def test_nothing_of_a_removed_person_is_in_any_byte_on_disk(tmp_path: Path, sqlite_url: str) -> None:
    with running(tmp_path / "data", sqlite_url, rewrite_minutes=0) as client:
        wanted = enrol_zorro(client)
        client.post("/gallery", **raw(jpeg(5), identity="stays", name="Bernardo"))
        for _ in range(3):  # written again and again, as it happens
            client.patch("/gallery/p-zorro", json={"attributes": {"n": ATTRIBUTE * 50}})
        client.post("/query", **raw(jpeg(1)))
        assert {word for _, word in traces(tmp_path, wanted)} == set(wanted), "the test sees what it looks for"
        assert client.portal is not None
        client.portal.call(parts_of(client).audit.flush)  # else it may come after the receipt, with a page of the log
        receipt = client.delete("/gallery/p-zorro").json()
        assert receipt["rewritten"] is True
        assert traces(tmp_path, wanted) == set()
        assert traces(tmp_path, [b"Bernardo"]) != set(), "nobody else went"
        assert (tmp_path / "own.db-wal").stat().st_size == 0
    assert traces(tmp_path, wanted) == set(), "nor after the stop"
    assert {name for name, _ in traces(tmp_path, [b"p-zorro"])} == {"own.db"}, "the audit log keeps the client's id"


@pytest.mark.parametrize("way", ["crop", "collection", "retention"])
def test_other_ways_to_remove_leave_no_byte_either(way: str, tmp_path: Path, sqlite_url: str) -> None:
    with running(tmp_path / "data", sqlite_url, rewrite_minutes=0) as client:
        client.post("/collections", json={"name": "going"})
        place = {"collection": "going", "identity": "p-zorro", "camera": CAMERA}
        crop = client.post("/gallery", **raw(jpeg(1), **place, expires_at="2127-01-01T00:00:00Z")).json()["accepted"][0]
        wanted = [CAMERA.encode(), *vectors(client), jpeg(1)[-200:-100]]
        assert {word for _, word in traces(tmp_path, wanted)} == set(wanted)
        if way == "crop":
            client.delete(f"/gallery/p-zorro/crops/{crop['crop']}?collection=going")
        elif way == "collection":
            client.delete("/collections/going?with_identities=true")
        else:
            with parts_of(client).database.begin() as connection:
                connection.execute(text("UPDATE crops SET expires_at = '2026-01-01 00:00:00.000000'"))
            assert client.post("/retention").json()["collections"][0]["crops"] == 1
        assert traces(tmp_path, wanted) == set()


def test_nobody_is_left_in_the_pages_of_a_large_database(tmp_path: Path, sqlite_url: str) -> None:
    """Where pages were split and filled many times before, and rows moved from one to another."""
    with running(tmp_path / "data", sqlite_url, rewrite_minutes=0) as client:
        parts = parts_of(client)
        people = 300
        with parts.database.begin() as connection:
            home = connection.execute(text("SELECT id FROM collections")).scalar_one()
            model = connection.execute(text("SELECT id FROM models")).scalar_one()
            order = np.random.default_rng(3).permutation(people).tolist()
            for place in order:
                add_person(connection, home, model, place)
        for place in range(0, people, 2):
            assert client.delete(f"/gallery/p-{place:04}").status_code == 200
        gone = [f"{word}-{place:04}-".encode() for place in range(0, people, 2) for word in ("nam", "att", "vec")]
        stays = [f"{word}-{place:04}-".encode() for place in range(1, people, 2) for word in ("nam", "att", "vec")]
        content = (tmp_path / "own.db").read_bytes() + (tmp_path / "own.db-wal").read_bytes()
        assert [one for one in stays if one not in content] == []
        assert [one for one in gone if one in content] == []


def add_person(connection: Any, home: int, model: int, place: int) -> None:
    """The rows of one person, each with a marker of its own."""
    now = datetime.now(UTC)
    identity = add_identity(
        connection, home, f"p-{place:04}", f"nam-{place:04}-" + "x" * (place % 90), {"k": f"att-{place:04}-"}, now
    )
    row = {
        "identity_id": identity, "picture": None, "picture_sha256": "0" * 64, "media_type": "image/jpeg", "width": 1,
        "height": 1, "sharpness": 0.5, "created_at": now,
    }  # fmt: skip
    crop = connection.execute(crop_rows.insert().values(row).returning(crop_rows.c.id)).scalar_one()
    blob = f"vec-{place:04}-".encode().ljust(1024, b"v")
    connection.execute(vector_rows.insert().values(crop_id=crop, model_id=model, vector=blob))


def test_the_receipt_says_what_went_and_that_nothing_is_found(client: TestClient, settings: Settings) -> None:
    wanted = enrol_zorro(client)
    client.post("/gallery", **raw(jpeg(5), identity="stays"))
    before = datetime.now(UTC)
    answer = client.delete("/gallery/p-zorro")
    receipt = answer.json()
    assert answer.status_code == 200
    assert receipt["removed"] == {"identities": 1, "crops": 2, "vectors": 2, "pictures": 2}
    assert receipt["self_query"] == {"crops": 2, "found": 0}
    assert receipt["generation"] == client.get("/readyz").json()["generation"]
    deadline = datetime.fromisoformat(receipt["rewritten_by"])
    assert before < deadline <= before + timedelta(hours=1, minutes=1)
    assert receipt["rewritten"] is settings.url.startswith("sqlite")
    assert list(files(settings.data_dir).values()) == [jpeg(5)]
    found = client.post("/query", **raw(jpeg(1), k=100)).json()["candidates"]
    assert [one["identity"] for one in found] == ["stays"]
    assert client.get("/gallery/p-zorro").status_code == 404
    engine = make_engine(parse_url(settings.url), pool_size=1, read_only=True)
    assert rows_with(engine, wanted) == []
    engine.dispose()
    again = client.post("/gallery", **raw(jpeg(1), identity="p-zorro"))
    assert (again.status_code, again.json()["identity"]["name"]) == (201, None)


def test_a_receipt_of_a_crop_and_of_a_collection_counts_what_went(client: TestClient) -> None:
    client.post("/collections", json={"name": "going"})
    enrolled = client.post("/gallery", **form("images", [jpeg(1), jpeg(2)], identity="p", collection="going")).json()
    crop = enrolled["accepted"][0]["crop"]
    one = client.delete(f"/gallery/p/crops/{crop}?collection=going").json()
    assert one["removed"] == {"identities": 0, "crops": 1, "vectors": 1, "pictures": 1}
    assert one["self_query"] == {"crops": 1, "found": 0}
    client.patch("/collections/going", json={"keep_pictures": False})
    rest = client.delete("/collections/going?with_identities=true").json()
    assert rest["removed"] == {"identities": 1, "crops": 1, "vectors": 1, "pictures": 0}
    assert rest["self_query"] == {"crops": 1, "found": 0}
    empty = client.post("/collections", json={"name": "empty"}).json()["name"]
    none = client.delete(f"/collections/{empty}").json()
    assert none["removed"] == {"identities": 0, "crops": 0, "vectors": 0, "pictures": 0}
    assert none["self_query"] == {"crops": 0, "found": 0}


def test_a_self_query_that_finds_something_says_so(lite: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be able to: an index that forgets to remove is found out."""
    client = lite
    client.post("/gallery", **raw(jpeg(1), identity="p"))
    parts = parts_of(client)
    home = next(iter(parts.galleries._by_collection))
    monkeypatch.setattr(parts.galleries.of(home).vectors, "remove", lambda ids: 0)
    assert client.delete("/gallery/p").json()["self_query"] == {"crops": 1, "found": 1}


def waiting_s(client: TestClient) -> float:
    (line,) = [
        one for one in client.get("/metrics").text.splitlines() if one.startswith("reappear_rewrite_waiting_seconds ")
    ]
    return float(line.split(" ")[1])


def test_a_reader_in_the_way_delays_the_rewriting_and_housekeeping_does_it_later(
    tmp_path: Path, sqlite_url: str
) -> None:
    with running(tmp_path / "data", sqlite_url, rewrite_minutes=0) as client:
        wanted = enrol_zorro(client)
        tidy(client)
        assert waiting_s(client) == 0
        reading = make_engine(parse_url(sqlite_url), pool_size=1, read_only=True)
        with reading.connect() as reader:
            reader.execute(text("SELECT count(*) FROM crops")).scalar_one()
            receipt = client.delete("/gallery/p-zorro").json()
            assert receipt["rewritten"] is False
            assert receipt["self_query"]["found"] == 0
            assert waiting_s(client) > 0
            tidy(client)
            assert waiting_s(client) > 0, "still in the way"
            assert traces(tmp_path, wanted) != set()
        reading.dispose()
        tidy(client)
        assert waiting_s(client) == 0
        assert traces(tmp_path, wanted) == set()


def test_on_postgresql_housekeeping_vacuums_what_went(client: TestClient, settings: Settings, engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA secure_delete").scalar_one() == 1
        return
    enrol_zorro(client)
    assert client.delete("/gallery/p-zorro").json()["rewritten"] is False
    assert waiting_s(client) > 0
    tidy(client)
    assert waiting_s(client) == 0
    query = "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'identities'"
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        assert connection.execute(text(query)).scalar_one() >= 1


def stones(client: TestClient) -> list[tuple[str, str]]:
    return sorted((one.kind, one.row) for one in parts_of(client).tombstones.read())


def test_every_kind_of_row_that_goes_for_good_has_its_line_in_the_file(client: TestClient, settings: Settings) -> None:
    key = client.post("/keys", json={"name": "n", "scope": "read"}).json()["id"]
    client.post("/collections", json={"name": "going"})
    first = client.post("/gallery", **form("images", [jpeg(1), jpeg(2)], identity="p-1")).json()
    gone = [one["crop"] for one in first["accepted"]]
    client.post("/gallery", **raw(jpeg(3), identity="p-2", collection="going"))
    client.post("/gallery", **raw(jpeg(4), identity="stays"))
    assert stones(client) == []
    client.delete(f"/gallery/p-1/crops/{gone[0]}")
    assert stones(client) == [("crop", str(gone[0]))]
    client.delete("/gallery/p-1")
    client.delete("/collections/going?with_identities=true")
    client.delete(f"/keys/{key}")
    assert sorted(kind for kind, _ in stones(client)) == [
        "collection", "crop", "crop", "crop", "identity", "identity", "key"
    ]  # fmt: skip
    lines = [json.loads(line) for line in (settings.data_dir / TOMBSTONE_FILE).read_text().splitlines()]
    assert len(lines) == 7
    assert len({line["database"] for line in lines}) == 1
    assert {line["epoch"] for line in lines} == {1}
    assert "p-1" not in json.dumps(lines)
    assert parts_of(client).database.read_now(lambda on: on.execute(select(erasures)).all()) == []


def test_a_removal_that_a_crash_cut_short_has_its_lines_after_the_restart(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        client.post("/gallery?identity=p", content=jpeg(1), headers={"Content-Type": "image/jpeg"})
    server.stop()
    server.start(dies_at="after-commit-before-unlink")
    with httpx.Client(base_url=server.url) as client, pytest.raises(httpx.TransportError):
        client.delete("/gallery/p")
    assert server.wait_for_death() == -9
    path = server.data_dir / TOMBSTONE_FILE
    assert not path.exists()
    server.start()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(line["kind"] for line in lines) == ["crop", "identity"]
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/gallery/p").status_code == 404
        again = [one["action"] for one in client.get("/audit").json()["entries"]]
    assert again.count("identity.remove") == 1
    assert list(server.data_dir.glob("pictures/*/*")) == []


def test_removals_at_once_leave_nothing_and_lose_no_line(client: TestClient, settings: Settings) -> None:
    people = 16
    for seed in range(people):
        client.post("/gallery", **raw(jpeg(seed), identity=f"p-{seed}"))
    receipts: list[Any] = []

    def remove(seed: int) -> None:
        receipts.append(client.delete(f"/gallery/p-{seed}"))

    threads = [threading.Thread(target=remove, args=(seed,)) for seed in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.status_code for one in receipts] == [200] * people
    assert {one.json()["self_query"]["found"] for one in receipts} == {0}
    assert {kind for kind, _ in stones(client)} == {"crop", "identity"}
    assert len(set(stones(client))) == 2 * people
    assert files(settings.data_dir) == {}
    tidy(client)
    assert waiting_s(client) == 0


def test_tables_that_hold_personal_data_are_all_looked_through(engine: Engine) -> None:
    """A new table must be thought of here: does a removal reach it?"""
    assert set(metadata.tables) == {
        "meta", "models", "collections", "identities", "attributes", "crops", "vectors", "changes", "outbox",
        "idempotency", "api_keys", "audit", "audit_seals", "erasures",
    }  # fmt: skip
