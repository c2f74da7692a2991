"""The contract of an index lives in modules that are no tests themselves; their failures should explain themselves."""

import pytest

pytest.register_assert_rewrite("tests.index.contract", "tests.index.brute_force")
