"""A restore that is killed at any moment leaves the old state or the new, and the next start of the service settles
it."""

import subprocess
import sys
from collections.abc import Sequence

import pytest
from fastapi.testclient import TestClient

from tests.backup.conftest import MakePlace, Place, answers, enrol, filled
from tests.conftest import ROOT
from tests.crash.audit import audit

OLD = ("after-checks-before-stage", "after-stage-before-commit", "before-commit")
NEW = ("after-commit-before-publish", "after-publish-before-sweep")


@pytest.mark.parametrize(("kind", "before", "after"), [("sqlite", OLD, NEW), ("postgresql", OLD[-1:], NEW[:1])])
def test_a_killed_restore_leaves_one_state_or_the_other(
    kind: str, before: Sequence[str], after: Sequence[str], place: MakePlace
) -> None:
    source, target = filled(place("sqlite")), place(kind)
    file = source.data_dir / "backup.tar"
    with source.serving() as client:
        enrol(client, "default", "only in the backup", 30)
        new = answers(client)
    source.back_up(file)
    with target.serving() as client:
        enrol(client, "default", "old", 20)
        old = answers(client)
    for point in before:
        die(point, target, file)
        check(target, old)
    for point in after:
        die(point, target, file)
        check(target, new)
        with target.serving() as client:
            back_to_something_else(client)
    target.restore(file, replace=True)
    check(target, new)


def die(point: str, place: Place, file: object) -> None:
    arguments = [point, str(file), place.url, str(place.data_dir)]
    done = subprocess.run([sys.executable, "-m", "tests.backup.dying", *arguments], cwd=ROOT, check=False)
    assert done.returncode == -9, point


def check(place: Place, told: dict[str, object]) -> None:
    with place.serving() as client:
        assert answers(client) == told
    audit(place.url, place.data_dir)
    assert [name for name in place.files() if "staging" in name] == [], "the working copy of the backup is still there"


def back_to_something_else(client: TestClient) -> None:
    """So that the next restore has something to change: it has no tombstone for who is only added."""
    enrol(client, "default", "later", 20)


def test_a_killed_restore_into_a_fresh_place_can_be_started_again_at_once(place: MakePlace) -> None:
    source, target = filled(place("sqlite")), place("sqlite")
    file = source.data_dir / "backup.tar"
    source.back_up(file)
    for point in OLD:
        die(point, target, file)
        assert any("staging" in name for name in target.files())
    assert target.restore(file).crops == 8
    assert len(audit(target.url, target.data_dir)) == 8
