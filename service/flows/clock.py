"""The time as this process found it and has counted on. Where somebody sets the clock forward, nothing may be over
early: a repeated request would be done twice, and people would be removed who cannot be brought back."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Starts with the machine's clock and goes on without it."""

    def __init__(self) -> None:
        self._began, self._began_s = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        """The time since the start counted on."""
        return self._began + timedelta(seconds=time.monotonic() - self._began_s)

    def earliest(self) -> datetime:
        """This time or the machine's, whichever is earlier: what has had its time by both."""
        return min(self.now(), datetime.now(UTC))
