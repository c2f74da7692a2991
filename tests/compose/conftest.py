"""The engine of a run, and the stack that its tests bring up and take down."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.engine import NoEngine, engine
from tests.compose.ledger import Ledger
from tests.compose.prometheus import find_programs
from tests.compose.stack import Stack


@pytest.fixture(scope="session", autouse=True)
def _engine() -> Iterator[None]:
    running = engine()
    try:
        running.__enter__()
    except NoEngine as error:
        pytest.skip(f"NOT TESTED: {error}")
    yield
    running.__exit__(None, None, None)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Not up yet. Whatever happens to it, it is taken down."""
    one = Stack(tmp_path_factory.mktemp("stack"))
    yield one
    one.take_down()


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    """What the stack acknowledged."""
    return Ledger()


@pytest.fixture(scope="session")
def _programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = find_programs(tmp_path_factory.mktemp("prometheus"))
    if found is None:
        pytest.skip("NOT TESTED: prometheus and promtool are not installed, and Debian's package cannot be fetched")
    return found


@pytest.fixture(scope="session")
def prometheus_program(_programs: Path) -> Path:
    """Prometheus itself."""
    return _programs / "prometheus"


@pytest.fixture(scope="session")
def promtool(_programs: Path) -> Path:
    """Prometheus' own tool for its configuration and rules."""
    return _programs / "promtool"
