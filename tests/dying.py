"""`python -m tests.dying POINT AFTER`: a service that kills itself at a fail point, the AFTER-th time it gets there."""

import os
import signal
import sys

import uvicorn

from service.app import create_app
from service.config import Settings


def main(point: str, after: int) -> None:
    """Serve until the point is reached."""
    left = after

    def die(name: str) -> None:
        nonlocal left
        if name == point:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    settings = Settings()
    app = create_app(settings, fail_point=die)
    uvicorn.run(app, host=settings.host, port=settings.port, log_config=None)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
