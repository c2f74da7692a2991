"""Whether the database answers, asked by many and of one that may stay silent."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.db.changes import ensure_meta
from service.db.database import Database
from service.errors import DatabaseDown
from service.flows.pulse import Pulse
from service.index.gallery import Galleries
from service.index.segmented import SegmentedIndex
from tests.api.holdings import PATIENCE_S

SOON_S = 0.05
EMPTY = Galleries(lambda: SegmentedIndex(4))


@pytest.fixture
def database(tmp_path: Path, sqlite_template: Path) -> Iterator[Database]:
    """One connection to read with."""
    path = tmp_path / "own.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}", readers=1, max_waiting=1)
    with database.begin() as connection:
        ensure_meta(connection)
    yield database
    database.close()


def test_it_tells_how_many_pictures_wait(database: Database) -> None:
    pulse = Pulse(database, EMPTY)
    assert pulse.ask() == 0
    asyncio.run(pulse.check())
    pulse.end()


def test_a_silent_database_counts_as_down_until_it_answers(database: Database) -> None:
    pulse, started, release = Pulse(database, EMPTY, answer_s=SOON_S), threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(database.read_now, lambda connection: started.set() or release.wait(PATIENCE_S))
            assert started.wait(PATIENCE_S)
            before = threading.active_count()
            for _ in range(3):
                with pytest.raises(DatabaseDown, match=r"not answered for 0\.05 seconds"):
                    pulse.ask()
                with pytest.raises(DatabaseDown, match="not answered"):
                    asyncio.run(pulse.check())
            assert threading.active_count() <= before + 1, "all of them share one question"
        finally:
            release.set()
    Pulse(database, EMPTY).ask()
    pulse.end()


def test_a_database_that_fails_is_down_at_once(database: Database, tmp_path: Path) -> None:
    pulse = Pulse(database, EMPTY)
    assert pulse.ask() == 0
    (tmp_path / "own.db").rename(tmp_path / "aside.db")
    with pytest.raises(DatabaseDown, match="put it back"):
        pulse.ask()
    with pytest.raises(DatabaseDown, match="put it back"):
        asyncio.run(pulse.check())
    (tmp_path / "aside.db").rename(tmp_path / "own.db")
    assert pulse.ask() == 0


def test_a_question_that_no_thread_can_be_had_for_does_not_keep_the_next_from_being_asked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pulse = Pulse(database, EMPTY)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError, match="new thread"):
            pulse.ask()
    assert pulse.ask() == 0
    pulse.end()
