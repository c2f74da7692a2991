"""How many pictures may be on their way through the service at once. A request is taken whole or refused at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from service.errors import Overloaded

BULK_PLACES = 4  # for each of a query; several clients may send as many pictures as a request can have
FULL = "as many pictures as the service can hold are on their way; send the request again later"


class Lane(Enum):
    """Who waits for the answer: neither takes a place from the other."""

    QUERY = "query"
    BULK = "bulk"


class Admission:
    """Counts pictures, queries apart from enrolments. Used from the event loop only, so it needs no lock.

    It also counts requests, each of which has a picture at least: under a flood hundreds arrive at once, and all must
    be counted, or refused, before any of them is looked at any further.
    """

    def __init__(self, max_queried: int) -> None:
        """`max_queried` pictures of queries, and for each of them some of enrolments, which nobody waits for."""
        self._places = {Lane.QUERY: max_queried, Lane.BULK: BULK_PLACES * max_queried}
        self._inside = dict.fromkeys(Lane, 0)
        self._requests = dict.fromkeys(Lane, 0)

    def is_full(self, lane: Lane) -> bool:
        """Whether no request more can be taken."""
        return self._requests[lane] >= self._places[lane]

    def come(self, lane: Lane) -> None:
        """Count a request that has come whole. Raises Overloaded, and then it is not counted."""
        if self.is_full(lane):
            raise Overloaded(FULL)
        self._requests[lane] += 1

    def go(self, lane: Lane) -> None:
        """Count one less."""
        self._requests[lane] -= 1

    @contextmanager
    def enter(self, pictures: int, lane: Lane) -> Iterator[None]:
        """Hold a place for each picture. Raises Overloaded; no request is too large for an empty lane."""
        inside = self._inside[lane]
        if inside and inside + pictures > self._places[lane]:
            raise Overloaded(FULL)
        self._inside[lane] += pictures
        try:
            yield
        finally:
            self._inside[lane] -= pictures
