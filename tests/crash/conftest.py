import os
import random

import pytest

SEED = 20260521


@pytest.fixture
def seed() -> int:
    """REAPPEAR_TEST_SEED, or always the same."""
    return int(os.environ.get("REAPPEAR_TEST_SEED") or SEED)


@pytest.fixture
def chance(seed: int) -> random.Random:
    """Chance by the seed, which a failure shows."""
    print(f"REAPPEAR_TEST_SEED={seed}")
    return random.Random(seed)
