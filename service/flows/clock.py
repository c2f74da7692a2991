"""The time as this process found it and has counted on. Where somebody sets the clock forward, nothing may be over
early: a repeated request would be done twice, and people would be removed who cannot be brought back."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

LONGEST_REST = timedelta(days=30)  # of a service that is not taken for a wrong clock


class Clock:
    """Starts with the machine's clock and goes on without it."""

    def __init__(self, last: datetime | None = None, note: Callable[[], None] = lambda: None) -> None:
        """`last` is when the service ran last, as it noted by `note`. Where that is very long ago the clock is
        `doubtful`: the service may have rested, or the machine has a wrong time."""
        self._began, self._began_s = datetime.now(UTC), time.monotonic()
        self.doubtful = last is not None and self._began - last > LONGEST_REST
        self.note = note

    def now(self) -> datetime:
        """The time since the start counted on."""
        return self._began + timedelta(seconds=time.monotonic() - self._began_s)

    def earliest(self) -> datetime:
        """This time or the machine's, whichever is earlier: what has had its time by both."""
        return min(self.now(), datetime.now(UTC))
