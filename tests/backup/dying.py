"""`python -m tests.backup.dying POINT FILE DATABASE_URL DATA_DIR`: a restore that kills itself at a fail point."""

import os
import signal
import sys
from pathlib import Path

from service.flows.restore import restore


def main(point: str, file: str, database_url: str, data_dir: str) -> None:
    """Restore until the point is reached."""

    def die(name: str) -> None:
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    restore(Path(file), database_url=database_url, data_dir=Path(data_dir), replace=True, fail_point=die)


if __name__ == "__main__":
    main(*sys.argv[1:])
