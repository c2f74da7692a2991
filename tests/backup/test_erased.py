"""Who was erased after a backup was taken stays erased when it is restored, however often, and nobody else goes."""

from datetime import timedelta, timezone

from fastapi.testclient import TestClient
from sqlalchemy import insert, select

from service.db.emptying import hide_collection
from service.db.people import find_collection
from service.db.tables import crops, erasures, meta
from service.domain import Tombstone
from service.store.tombstones import TOMBSTONE_FILE, Tombstones
from tests.api.holdings import parts_of
from tests.backup.conftest import MakePlace, Place, enrol
from tests.crash.audit import audit
from tests.pictures import jpeg


def test_an_erased_identity_crop_and_collection_stay_erased_and_a_new_person_of_that_name_stays(
    source: Place, place: MakePlace
) -> None:
    file, target = source.data_dir / "backup.tar", place("sqlite")
    with source.serving() as client:
        crops = [one["crop"] for one in client.get("/gallery/p-2/crops").json()["crops"]]
        source.back_up(file)
        erase_some(client, crops[0])
        enrol(client, "default", "p-1", 40)
        again = source.data_dir / "again.tar"
        source.back_up(again)
    stones = source.data_dir / TOMBSTONE_FILE
    for _ in range(2):
        restored = source.restore(file, replace=True)
        assert (restored.identities, restored.crops, restored.erased_crops) == (1, 1, 7)
        assert [row.crop for row in audit(source.url, source.data_dir)] == [crops[1]]
        check_erased(source, crops)
    restored = target.restore(again, tombstones=[stones])
    assert (restored.identities, restored.crops, restored.erased_crops) == (2, 3, 0)
    with target.serving() as client:
        assert client.get("/gallery/p-1").json()["crops"] == 2
        assert client.get("/gallery/p-1/crops").json()["crops"][0]["crop"] > max(crops)


def erase_some(client: TestClient, crop: int) -> None:
    assert client.delete("/gallery/p-1").status_code == 200
    assert client.delete(f"/gallery/p-2/crops/{crop}").status_code == 200
    assert client.delete("/collections/other?with_identities=true").status_code == 200


def check_erased(place: Place, crops: list[int]) -> None:
    with place.serving() as client:
        assert client.get("/gallery/p-1").status_code == 404
        assert client.get("/collections/other").status_code == 404
        assert client.get(f"/crops/{crops[0]}/picture").status_code == 404
        assert client.get("/gallery/p-2").json()["crops"] == 1
        query = client.post("/query?k=9&hits=9", content=jpeg(1), headers={"Content-Type": "image/jpeg"}).json()
        assert [(one["identity"], [hit["crop"] for hit in one["hits"]]) for one in query["candidates"]] == [
            ("p-2", [crops[1]])
        ]


def test_erased_people_stay_erased_elsewhere_with_the_file_of_tombstones_and_for_ever_after(
    lite_source: Place, place: MakePlace
) -> None:
    file = lite_source.data_dir / "backup.tar"
    lite_source.back_up(file)
    with lite_source.serving() as client:
        assert client.delete("/gallery/p-1").status_code == 200
    stones = lite_source.data_dir / TOMBSTONE_FILE
    for kind in ("sqlite", "postgresql"):
        target = place(kind)
        assert target.restore(file, tombstones=[stones]).identities == 3
        kept = list(Tombstones(target.data_dir / TOMBSTONE_FILE).read())
        assert kept == list(Tombstones(stones).read())
        assert target.restore(file, replace=True).identities == 3, "the data folder's own file has the lines now"
        assert list(Tombstones(target.data_dir / TOMBSTONE_FILE).read()) == kept
        audit(target.url, target.data_dir)


def test_a_file_of_tombstones_that_was_set_aside_is_still_good_beside_the_new_one(source: Place) -> None:
    file, aside = source.data_dir / "backup.tar", source.data_dir / "erasures-2026-05.jsonl"
    source.back_up(file)
    with source.serving() as client:
        assert client.delete("/gallery/p-1").status_code == 200
        (source.data_dir / TOMBSTONE_FILE).rename(aside)
        assert client.delete("/gallery/p-2").status_code == 200
    assert {one.kind for one in Tombstones(source.data_dir / TOMBSTONE_FILE).read()} == {"crop", "identity"}
    assert source.restore(file, replace=True, tombstones=[aside]).identities == 2


def test_a_collection_whose_removal_was_cut_short_does_not_come_back(source: Place) -> None:
    file = source.data_dir / "backup.tar"
    with source.serving() as client:
        source.back_up(file)
        with parts_of(client).database.begin() as connection:
            hide_collection(connection, find_collection(connection, "other").id)
    restored = source.restore(file, replace=True)
    assert restored.erased_crops > 0
    with source.serving() as client:
        assert [one["name"] for one in client.get("/collections").json()["collections"]] == ["default"]


def test_without_the_file_an_old_backup_brings_people_back_and_older_tombstones_do_not_meet_them(
    lite_source: Place, place: MakePlace
) -> None:
    """What came back by a restore is of a later epoch; a file of earlier ones is not about it."""
    file, target = lite_source.data_dir / "backup.tar", place("sqlite")
    lite_source.back_up(file)
    with lite_source.serving() as client:
        assert client.delete("/gallery/p-1").status_code == 200
    assert target.restore(file).identities == 4
    later = target.data_dir / "later.tar"
    target.back_up(later)
    assert target.restore(later, replace=True, tombstones=[lite_source.data_dir / TOMBSTONE_FILE]).identities == 4


def test_tombstones_that_only_the_database_has_are_replayed_too(source: Place) -> None:
    """The service died between the commit and the file."""
    file = source.data_dir / "backup.tar"
    source.back_up(file)
    with source.serving() as client:
        assert client.delete("/gallery/p-1").status_code == 200
    stones = list(Tombstones(source.data_dir / TOMBSTONE_FILE).read())
    (source.data_dir / TOMBSTONE_FILE).unlink()
    with source.writing() as connection:
        rows = [{"kind": one.kind, "row_id": one.row, "row_created_at": one.created_at} for one in stones]
        connection.execute(insert(erasures), rows)
    assert source.restore(file, replace=True).identities == 3
    assert set(Tombstones(source.data_dir / TOMBSTONE_FILE).read()) == set(stones)
    assert source.rows()["erasures"] == []


def test_a_key_that_was_revoked_after_the_backup_stays_revoked(source: Place) -> None:
    file = source.data_dir / "backup.tar"
    with source.serving() as client:
        keys = [client.post("/keys", json={"name": name, "scope": "read"}).json()["id"] for name in ("a", "b")]
        source.back_up(file)
        assert client.delete(f"/keys/{keys[0]}").status_code == 200
    source.restore(file, replace=True)
    with source.serving() as client:
        shown = {one["id"]: one["revoked_at"] for one in client.get("/keys").json()["keys"]}
    assert shown[keys[0]] is not None
    assert shown[keys[1]] is None


def test_a_tombstone_is_for_the_row_of_its_moment_and_database_only(source: Place, place: MakePlace) -> None:
    """An id is used again where an old backup was restored without the tombstones' file."""
    file, stones = source.data_dir / "backup.tar", source.data_dir / "stones.jsonl"
    rows = audit(source.url, source.data_dir)
    with source.writing() as connection:
        uuid = connection.execute(select(meta.c.database_uuid)).scalar_one()
        born = connection.execute(select(crops.c.created_at).where(crops.c.id == rows[0].crop)).scalar_one()
    source.back_up(file)
    moments = [born - timedelta(microseconds=1), born + timedelta(microseconds=1)]
    wrong = [Tombstone(uuid, 1, "crop", str(rows[0].crop), moment) for moment in moments]
    wrong += [Tombstone("0" * 32, 1, "crop", str(rows[0].crop), born), Tombstone(uuid, 1, "crop", "9" * 40, born)]
    Tombstones(stones).append(wrong)
    assert place("sqlite").restore(file, tombstones=[stones]).erased_crops == 0
    elsewhere = born.astimezone(timezone(timedelta(hours=5)))
    Tombstones(stones).append([Tombstone(uuid, 1, "crop", str(rows[0].crop), elsewhere)])
    target = place("postgresql")
    assert target.restore(file, tombstones=[stones]).erased_crops == 1
    assert [row.crop for row in audit(target.url, target.data_dir)] == [row.crop for row in rows[1:]]
