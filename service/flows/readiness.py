"""Whether the service may answer yet, and if not, why."""

import logging
from concurrent.futures import Future

from service.errors import NotReady, ReappearError
from service.index.gallery import Galleries

log = logging.getLogger(__name__)

OLDER = "the database has gone back to an earlier state; this service ends, and its next start reads everything anew"


class Readiness:
    """Follows the loading of the index, which runs beside the server."""

    def __init__(self, loading: "Future[None]", galleries: Galleries) -> None:
        self._loading = loading
        self._galleries = galleries

    @property
    def needs_new_start(self) -> bool:
        """Whether nothing else helps."""
        return self._galleries.ahead

    def check(self) -> None:
        """Raises NotReady with the reason while the index is loading, or when it must not be used."""
        if not self._loading.done():
            raise NotReady("the index is being loaded; try again after the time in Retry-After", code="LOADING")
        error = self._loading.exception()
        if isinstance(error, ReappearError):
            raise NotReady(error.detail, code=error.error_code) from error
        if error is not None:
            raise NotReady("the index could not be loaded; the log says why", code="LOAD_FAILED") from error
        if self._galleries.ahead:
            raise NotReady(OLDER, code="DATABASE_OLDER")


def check_not_older(galleries: Galleries, known: int, found: int) -> None:
    """Raises NotReady, and has the index used no more, where the database is found at a generation below one that was
    known before: it was put back while the service ran, say by a failover, and will give the ids of crops again."""
    if found < known:
        galleries.ahead = True
        log.critical("the database has gone back", extra={"generation": found, "known": known})
        raise NotReady(OLDER, code="DATABASE_OLDER")
