"""A restored service gives the same answers, whichever databases the backup came from and went to."""

import pytest

from tests.backup.conftest import MakePlace, Place, answers, enrol, fill, filled
from tests.crash.audit import audit


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
