"""Whether the service may answer yet, and if not, why."""

from concurrent.futures import Future

from service.errors import NotReady, ReappearError


class Readiness:
    """Follows the loading of the index, which runs beside the server."""

    def __init__(self, loading: "Future[None]") -> None:
        self._loading = loading

    def check(self) -> None:
        """Raises NotReady with the reason while the index is loading, or when it must not be used."""
        if not self._loading.done():
            raise NotReady("the index is being loaded; try again after the time in Retry-After", code="LOADING")
        error = self._loading.exception()
        if isinstance(error, ReappearError):
            raise NotReady(error.detail, code=error.error_code) from error
        if error is not None:
            raise NotReady("the index could not be loaded; the log says why", code="LOAD_FAILED") from error
