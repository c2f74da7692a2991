"""Requests that may be sent twice: the same Idempotency-Key gets the same answer, and is never done twice."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from service.db.answers import drop_answers_before, keep_answer, kept_answer
from service.errors import Conflict
from service.flows.clock import Clock


@dataclass(frozen=True, slots=True)
class Repeatable:
    """Who may repeat what: the holder's key in a collection, and the fingerprint of what was sent with it."""

    holder: str
    collection: int
    key: str
    fingerprint: str


def fingerprint(fields: dict[str, Any], pictures: list[bytes]) -> str:
    """A digest of what a request means: the same for the same fields and pictures however they were encoded."""
    digest = hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS))
    for picture in pictures:
        digest.update(hashlib.sha256(picture).digest())
    return digest.hexdigest()


class Repeats:
    """Knows which keys are in flight here; the answers themselves are kept in the database for `keep_h` hours."""

    def __init__(self, keep_h: float, clock: Clock) -> None:
        self._keep = timedelta(hours=keep_h)
        self._clock = clock
        self._in_flight: set[tuple[str, int, str]] = set()

    @contextmanager
    def hold(self, request: Repeatable) -> Iterator[None]:
        """Keep a second request with the same key out while this one runs. Raises Conflict."""
        key = (request.holder, request.collection, request.key)
        if key in self._in_flight:
            raise Conflict(
                "a request with this Idempotency-Key is still in flight; wait for its answer", code="KEY_IN_FLIGHT"
            )
        self._in_flight.add(key)
        try:
            yield
        finally:
            self._in_flight.discard(key)

    def answered(self, connection: Connection, request: Repeatable) -> dict[str, Any] | None:
        """The kept answer, or None. Raises Conflict where the key was used for something else."""
        kept = kept_answer(connection, request.holder, request.collection, request.key)
        if kept is None:
            return None
        known, answer, created_at = kept
        if created_at < self._clock.now() - self._keep:
            return None
        if known != request.fingerprint:
            raise Conflict("this Idempotency-Key was used for another request; choose a new one", code="KEY_REUSED")
        return answer

    def keep(self, connection: Connection, request: Repeatable, identity: int, answer: dict[str, Any]) -> None:
        """Keep an answer in the transaction of the enrolment it speaks of, and drop those whose time is over. Raises
        Conflict where the key has one by now."""
        self.forget(connection)
        try:
            keep_answer(
                connection, holder=request.holder, collection=request.collection, key=request.key,
                fingerprint=request.fingerprint, identity=identity, answer=answer, now=self._clock.now(),
            )  # fmt: skip
        except IntegrityError as error:  # an earlier request, given up for lost, was committed meanwhile
            raise Conflict(
                "a request with this Idempotency-Key was just kept; send it again", code="KEY_IN_FLIGHT"
            ) from error

    def forget(self, connection: Connection) -> None:
        """Drop the answers whose time is over."""
        drop_answers_before(connection, self._clock.now() - self._keep)
