"""The kill loop must not miss a fail point."""

import random
from pathlib import Path

import pytest

from tests.crash.points import ANY_MOMENT, COMMANDS, RARE, ROOT, SERVICE, STARTING, deck, fail_points, named_in


def test_all_fail_points_of_the_service_are_known() -> None:
    points = fail_points()
    assert {"after-stage-before-commit", "before-commit", "after-commit-before-index"} <= points
    assert RARE.keys() <= points, "a fail point that is no longer there is still listed as rare"


@pytest.mark.parametrize(("source", "test"), COMMANDS.items())
def test_the_fail_points_of_a_command_are_killed_at_by_its_own_test(source: str, test: str) -> None:
    points = set(named_in(SERVICE / source))
    assert points
    killed = (ROOT / test).read_text()
    assert [point for point in points if f'"{point}"' not in killed] == []


def test_a_new_fail_point_is_killed_at_without_being_listed(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "snapshot.py").write_text('self._fail_point("a")\nparts.fail_point("b")\nfail_point("c")\n')
    assert fail_points(tmp_path) == {"a", "b", "c"}


def test_a_fail_point_whose_name_cannot_be_read_from_the_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "snapshot.py").write_text("\nfail_point(name)")
    with pytest.raises(ValueError, match=r"snapshot\.py:2"):
        fail_points(tmp_path)


def test_every_point_is_drawn_before_one_is_drawn_again() -> None:
    every = {*fail_points(), ANY_MOMENT, STARTING}
    drawn = [point for point, _ in deck(random.Random(1), 3 * len(every))]
    assert set(drawn[: len(every)]) == set(drawn[len(every) : 2 * len(every)]) == every
    assert deck(random.Random(1), 5) == deck(random.Random(1), 5)
    assert len(deck(random.Random(1), 5)) == 5
