"""A backup is of one moment, whatever happens while it is taken; and who is erased while it is taken is not in it."""

import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.errors import BackupRefused
from tests.backup.conftest import MakePlace, Place, answers, enrol
from tests.crash.audit import audit
from tests.crash.crowd import Crowd
from tests.crash.oracle import Oracle
from tests.server import Server

CLIENTS = 4
BACKUPS = 3
MORE = 8  # enrolments before the next backup
PATIENCE_S = 60


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_backups_under_load_are_whole(kind: str, place: MakePlace, tmp_path: Path) -> None:
    """Each restored one is checked to the last row: a vector and a picture for each crop, and a log without a gap that
    leads to these crops."""
    busy, oracle = place(kind), Oracle()
    server = Server(busy.data_dir, busy.url)
    server.start()
    crowd = Crowd(server.url, oracle, clients=CLIENTS, seed=1, asks=False)
    crowd.start()
    files = [tmp_path / f"{number}.tar" for number in range(BACKUPS)]
    crops = []
    for file in files:
        wait_for_more(oracle, len(crops) * MORE + MORE)
        crops.append(busy.back_up(file, progress=lambda done, total, what: time.sleep(0.002)).crops)
    crowd.stop()
    assert server.stop() == 0
    assert crowd.failures == []
    assert crops[-1] > crops[0] > 0
    for file, held in zip(files, crops, strict=True):
        target = place("sqlite")
        assert target.restore(file).crops == held
        assert len(audit(target.url, target.data_dir)) == held
    assert len({row.crop for row in audit(busy.url, busy.data_dir)}) >= crops[-1] - oracle.count()["removals done"]


def wait_for_more(oracle: Oracle, enrolments: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while oracle.count().get("enrolments done", 0) < enrolments:
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Meanwhile:
    """Erases people, and drops the pictures of a collection, once a given number of pictures is copied."""

    def __init__(self, client: TestClient, after: int) -> None:
        self._client = client
        self._after = after

    def __call__(self, done: int, total: int, what: str) -> None:
        if (what, done) == ("pictures", self._after):
            assert self._client.delete("/gallery/p-1").status_code == 200
            assert self._client.delete("/gallery/p-1?collection=other").status_code == 200
            assert self._client.patch("/collections/other", json={"keep_pictures": False}).status_code == 200
            enrol(self._client, "default", "new", 33)


def test_who_is_erased_while_a_backup_is_taken_is_not_in_it(source: Place, place: MakePlace) -> None:
    """One p-1 when the pictures are copied already, the other before they are; no pictures of `other` either."""
    file, target = source.data_dir / "backup.tar", place("sqlite")
    rows = audit(source.url, source.data_dir)
    pictures = {row.crop: (source.data_dir / "pictures" / row.picture[:2] / row.picture).read_bytes() for row in rows}
    with source.serving() as client:
        taken = source.back_up(file, progress=Meanwhile(client, after=4))
        assert (taken.identities, taken.crops, taken.pictures) == (2, 4, 2)
        assert client.delete("/gallery/new").status_code == 200
        now = answers(client)
    content = file.read_bytes()
    for row in rows:
        assert (row.vector.tobytes() in content) == (row.identity != "p-1"), row
        assert (pictures[row.crop] in content) == (row.identity == "p-2"), row
    for number, there in ((1, False), (2, True), (3, True), (4, False)):
        assert (f"Nämé {number}".encode() in content) == there
    assert target.restore(file).crops == 4
    with target.serving() as client:
        told = answers(client)
    for name in ("default people", "other people", "default p-2", "other p-3", "default query 1", "other query 3"):
        assert told[name] == now[name]


def test_a_picture_that_vanishes_while_its_crop_stays_is_an_error(lite_source: Place) -> None:
    last = audit(lite_source.url, lite_source.data_dir)[-1]

    def lose(done: int, total: int, what: str) -> None:
        (lite_source.data_dir / "pictures" / last.picture[:2] / last.picture).unlink(missing_ok=True)

    with lite_source.serving(), pytest.raises(BackupRefused, match=rf"\({last.crop}\); remove"):
        lite_source.back_up(lite_source.data_dir / "backup.tar", progress=lose)


def test_what_is_enrolled_while_rows_are_copied_is_in_the_next_backup(source: Place, place: MakePlace) -> None:
    file, seen = source.data_dir / "backup.tar", []
    with source.serving() as client:

        def enrol_another(done: int, total: int, what: str) -> None:
            if what == "rows":
                seen.extend(enrol(client, "default", f"late-{len(seen)}", 90 + len(seen), views=1))

        assert source.back_up(file, progress=enrol_another).crops == 8
        assert len(seen) > 5
        assert source.back_up(source.data_dir / "next.tar").crops == 8 + len(seen)
    target = place("sqlite")
    target.restore(file)
    assert len(audit(target.url, target.data_dir)) == 8
