"""The engine of a run, and the stack that its tests bring up and take down."""

from collections.abc import Iterator

import pytest

from tests.compose.engine import NoEngine, engine
from tests.compose.ledger import Ledger
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
