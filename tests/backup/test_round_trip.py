"""A restored service gives the same answers, whichever databases the backup came from and went to."""

import re
from contextlib import suppress
from typing import Any

import httpx2 as httpx
import pytest

from tests.backup.conftest import MakePlace, Place, answers, enrol, filled
from tests.crash.audit import audit
from tests.pictures import jpeg
from tests.server import Server


@pytest.mark.parametrize("target_kind", ["sqlite", "postgresql"])
def test_a_restored_service_gives_the_same_answers(source: Place, target_kind: str, place: MakePlace) -> None:
    target, file = place(target_kind), source.data_dir / "backup.tar"
    with source.serving() as client:
        made = client.post("/keys", json={"name": "tracker", "scope": "read", "collection": "other"})
        assert made.status_code == 201
        before = answers(client)
        taken = source.back_up(file)
    assert (taken.identities, taken.crops, taken.pictures) == (4, 8, 8)
    assert taken.size_bytes == file.stat().st_size
    restored = target.restore(file)
    assert (restored.identities, restored.crops, restored.erased_crops) == (4, 8, 0)
    assert restored.generation == taken.generation
    assert len(audit(target.url, target.data_dir)) == 8
    with target.serving() as client:
        assert answers(client) == before


def test_a_restore_raises_the_epoch_and_ids_go_on_after_the_highest_ever_given(source: Place, place: MakePlace) -> None:
    file = source.data_dir / "backup.tar"
    with source.serving() as client:
        highest = enrol(client, "default", "last", 50)[-1]
        assert client.delete("/gallery/last").status_code == 200
        source.back_up(file)
    for kind in ("sqlite", "postgresql"):
        target = place(kind)
        assert target.restore(file).epoch == 2
        with target.serving() as client:
            assert min(enrol(client, "default", "next", 51)) > highest
            assert client.post("/collections", json={"name": "third"}).status_code == 201
        audit(target.url, target.data_dir)
        assert target.restore(file, replace=True).epoch == 3
        with target.serving() as client:
            assert min(enrol(client, "default", "next", 52)) > highest + 2, "nor are those given since the backup"


def test_what_is_enrolled_with_a_key_is_not_enrolled_again(lite_source: Place, place: MakePlace) -> None:
    target, file = place("sqlite"), lite_source.data_dir / "backup.tar"
    sent: dict[str, Any] = {"content": jpeg(60), "headers": {"Content-Type": "image/jpeg", "Idempotency-Key": "once"}}
    with lite_source.serving() as client:
        first = client.post("/gallery?identity=p-60", **sent)
        assert first.status_code == 201
    lite_source.back_up(file)
    target.restore(file)
    with target.serving() as client:
        again = client.post("/gallery?identity=p-60", **sent)
        assert again.json()["accepted"] == first.json()["accepted"]
        assert client.get("/gallery/p-60").json()["crops"] == 1


def test_a_collection_that_keeps_no_pictures_is_restored_without(lite_source: Place, place: MakePlace) -> None:
    target, file = place("postgresql"), lite_source.data_dir / "backup.tar"
    with lite_source.serving() as client:
        assert client.patch("/collections/other", json={"keep_pictures": False}).status_code == 200
        before = answers(client)
    assert lite_source.back_up(file).pictures == 4
    target.restore(file)
    with target.serving() as client:
        assert answers(client) == before
    assert len([name for name in target.files() if name.startswith("pictures/")]) == 4


def test_a_backup_can_be_taken_where_no_service_runs_after_a_kill(lite_source: Place, place: MakePlace) -> None:
    """Whose committed pictures are still in staging, and whose write-ahead log is still there."""
    target, file = place("sqlite"), lite_source.data_dir / "backup.tar"
    server = Server(lite_source.data_dir, lite_source.url)
    server.start(dies_at="after-commit-before-publish")
    with suppress(httpx.TransportError):
        httpx.post(f"{server.url}/gallery?identity=late", content=jpeg(70), headers={"Content-Type": "image/jpeg"})
    assert server.wait_for_death() == -9
    assert lite_source.back_up(file).crops == 9
    target.restore(file)
    with target.serving() as client:
        assert client.get("/gallery/late").json()["crops"] == 1
    assert len(audit(target.url, target.data_dir)) == 9


def test_the_audit_log_is_restored_kept_and_never_doubled(source: Place, place: MakePlace) -> None:
    file = source.data_dir / "backup.tar"
    source.back_up(file)
    before = source.rows()["audit"]
    assert len(before) >= 9
    for kind in ("sqlite", "postgresql"):
        target = filled(place(kind))  # another database, with a log of its own
        own = target.rows()["audit"]
        target.restore(file, replace=True)
        target.restore(file, replace=True)
        after = target.rows()["audit"]
        assert set(own) < set(after)
        assert len(after) == len(own) + len(before) + 2, "two restores were noted"
        bare = {re.sub(r"^\(\d+, ", "", row) for row in after}
        assert {re.sub(r"^\(\d+, ", "", row) for row in before} < bare
        assert len([row for row in after if "'restore', None" in row]) == 2
