"""`python -m tests.dying POINT AFTER [ARMED]`: a service that kills itself at a fail point, the AFTER-th time it gets
there, counted from when the file ARMED is there."""

import os
import signal
import sys
from pathlib import Path

import uvicorn

from service.app import create_app
from service.config import Settings

BLOCK_ROWS = 8  # few, so that the crowd gets to where blocks are sealed and compacted


def main(point: str, after: int, armed: Path | None = None) -> None:
    """Serve until the point is reached."""
    left = after

    def die(name: str) -> None:
        nonlocal left
        if name == point and (armed is None or armed.exists()):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    settings = Settings()
    app = create_app(settings, fail_point=die, block_rows=BLOCK_ROWS)
    uvicorn.run(app, host=settings.host, port=settings.port, log_config=None)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *map(Path, sys.argv[3:]))
