"""How many pictures may be on their way through the service at once. A request is taken whole or refused at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.embedding.batcher import Lane
from service.errors import Overloaded


class Admission:
    """Counts pictures, queries apart from enrolments. Used from the event loop only, so it needs no lock."""

    def __init__(self, max_pictures: int) -> None:
        self._max_pictures = max_pictures
        self._inside = dict.fromkeys(Lane, 0)

    @contextmanager
    def enter(self, pictures: int, lane: Lane) -> Iterator[None]:
        """Hold a place for each picture. Raises Overloaded; no request is too large for an empty lane."""
        inside = self._inside[lane]
        if inside and inside + pictures > self._max_pictures:
            raise Overloaded("as many pictures as the service can hold are on their way; send the request again later")
        self._inside[lane] += pictures
        try:
            yield
        finally:
            self._inside[lane] -= pictures
