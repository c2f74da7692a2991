"""All writes, one after another: each batch of waiting jobs is one transaction, and once it is committed its changes
go to the index in commit order. Nothing is acknowledged before both are done."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from service.db.changes import ChangeLog, changes_after, current_generation, record, wait_for_commits
from service.db.database import Database
from service.db.failures import translated
from service.domain import Change
from service.embedding.batcher import Batcher
from service.errors import DatabaseDown, OutcomeUnknown
from service.flows.readiness import check_not_older
from service.index.gallery import Galleries

log = logging.getLogger(__name__)

Value = TypeVar("Value")
Job = Callable[[Connection, ChangeLog], Value]


@dataclass(frozen=True, slots=True)
class _Task(Generic[Value]):
    job: Job[Value]
    aside: bool


@dataclass(frozen=True, slots=True)
class Written(Generic[Value]):
    """What a job returned, and the generation that holds its changes."""

    value: Value
    generation: int


class Writer:
    """Runs jobs in transactions, in the order they came. A job that raises is undone alone."""

    def __init__(
        self, database: Database, galleries: Galleries, model: int, *,
        max_batch: int, max_waiting: int,
        observe: Callable[[int], None] = lambda size: None,
        fail_point: Callable[[str], None] = lambda name: None,
        between: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """`fail_point` is called with the name of each place where a crash must not lose anything; tests die there.
        `between` is called after each transaction, while no other runs."""
        self._database = database
        self._galleries = galleries
        self._model = model
        self._fail_point = fail_point
        self._between = between
        self._behind = False
        self.transactions = 0  # ended, one way or another, but for those that were all aside
        self.batcher: Batcher[_Task[Any], Written[Any]] = Batcher(
            "write", self._commit, max_batch=max_batch, max_waiting=max_waiting, observe=observe
        )

    async def write(self, job: Job[Value], *, aside: bool = False) -> Written[Value]:
        """Run `job(connection, changes)` in a transaction and wait until its changes are committed and searchable.
        `aside` are jobs that change nothing that is remembered (`Remembered`).

        Raises what the job raised, DatabaseDown where nothing was kept, OutcomeUnknown where it may have been.
        """
        (written,) = await self.batcher.submit([_Task(job, aside)])
        return written

    async def catch_up(self) -> None:
        """Make sure that the index has all that is committed. Costs nothing unless a commit's outcome was unknown."""
        if self._behind:
            await self.write(lambda connection, changes: None)

    def _commit(self, tasks: list[_Task[Any]]) -> list[Written[Any] | Exception]:
        if self._behind:
            self._follow()
        outcomes: list[tuple[Any, int] | Exception] = []
        committing = False
        try:
            with self._database.begin() as connection:
                noted = ChangeLog()
                for task in tasks:
                    outcomes.append(_run(task.job, connection, noted))
                changes = record(connection, noted.noted)
                if changes:
                    check_not_older(self._galleries, self._galleries.generation, changes[0].generation - 1)
                self._fail_point("before-commit")
                committing = True
        except DatabaseDown as error:
            if not committing:
                raise
            self._behind = True
            raise OutcomeUnknown(f"{error.detail}. It failed during the commit; look whether it was kept") from error
        except Exception as error:
            if not committing:
                raise
            self._behind = True
            raise OutcomeUnknown("the commit failed; look whether it was kept, and in the log") from error
        finally:
            self.transactions += not all(task.aside for task in tasks)
        self._fail_point("after-commit-before-index")
        self._index(changes)
        self._between()
        self._fail_point("after-index-before-response")
        before = changes[0].generation - 1 if changes else self._galleries.generation
        return [
            outcome if isinstance(outcome, Exception) else Written(outcome[0], before + outcome[1])
            for outcome in outcomes
        ]

    def _index(self, changes: list[Change]) -> None:
        """Take committed changes into the index. Where that fails, the next write takes them."""
        try:
            if changes and changes[0].generation != self._galleries.generation + 1:
                self._follow()  # somebody else wrote to this database: take theirs before ours
            self._galleries.apply(changes)
        except Exception as error:
            self._behind = True
            log.exception("committed changes could not be indexed yet")
            raise OutcomeUnknown("it was kept, but cannot be searched yet; try again later") from error

    def _follow(self) -> None:
        with self._database.begin() as connection:
            wait_for_commits(connection)
            check_not_older(self._galleries, self._galleries.generation, current_generation(connection))
            missed = changes_after(connection, self._galleries.generation, self._model)
        log.warning("catching up with the database", extra={"changes": len(missed)})
        self._galleries.apply(missed)
        self.transactions += 1  # before others need not catch up any more
        self._behind = False


def _run(job: Job[Any], connection: Connection, noted: ChangeLog) -> tuple[Any, int] | Exception:
    """A job's value and the number of changes up to and with it, or its error with all it did undone."""
    mine = ChangeLog()
    try:
        with translated(), connection.begin_nested():
            value = job(connection, mine)
    except DatabaseDown:
        raise  # the database itself failed: so has the whole batch
    except Exception as error:
        return error
    noted.noted.extend(mine.noted)
    return value, len(noted.noted)
