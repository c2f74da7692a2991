"""The power goes at any moment: what was acknowledged is there when it comes back."""

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.exc import DatabaseError

from service.errors import ReappearError
from tests.faults.careless import BREACHES
from tests.faults.losses import check_survivor, lose_power, run_crowd

LOSSES = int(os.environ.get("REAPPEAR_TEST_LOSSES") or 24)
SECONDS_A_LOSS = 5  # on a busy machine; it takes 1
LOSSES_TO_NOTICE = 40


@pytest.mark.timeout(60 + LOSSES * SECONDS_A_LOSS)
def test_no_loss_of_power_loses_doubles_or_brings_back_what_was_acknowledged(
    tmp_path: Path, chance: random.Random
) -> None:
    run = run_crowd(tmp_path, chance, 3, 2)
    count = run.oracle.count()
    print(f"{len(run.records)} changes on disk, {count}")
    assert count["enrolments done"] > 50
    assert count["removals done"] > 10
    known: dict[str, np.ndarray] = {}
    for survivor in lose_power(run, tmp_path, chance, LOSSES):
        print(f"lost before change {survivor.record}: {survivor.loss}; {survivor.oracle.count()}")
        check_survivor(survivor, chance, known)
        shutil.rmtree(survivor.data_dir)


@pytest.mark.parametrize("breach", BREACHES)
def test_a_service_that_does_not_sync_is_found_out(breach: str, tmp_path: Path, chance: random.Random) -> None:
    run = run_crowd(tmp_path, chance, 0.5, 1, module=("tests.faults.careless", breach))
    for survivor in lose_power(run, tmp_path, chance, LOSSES_TO_NOTICE):
        if survivor.record < len(run.records) / 2:
            continue  # before the clean stop, which syncs what was careless
        try:
            check_survivor(survivor, chance, {})
        except ReappearError:
            continue  # it refuses to start, which is no harm yet
        except (AssertionError, DatabaseError) as error:
            print(f"{breach}: {error!r}"[:300])
            return
    pytest.fail(f"{LOSSES_TO_NOTICE} losses of power harmed nothing although {breach}")
