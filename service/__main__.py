"""`python -m service [--migrate]`: run the service, after bringing its database up to date if asked."""

import argparse
import signal
import sys

import uvicorn
from pydantic import ValidationError

from service.app import create_app
from service.config import Settings
from service.db.schema import upgrade
from service.errors import ReappearError


def main() -> int:
    """Exit status 0 after a clean stop, 2 for settings that cannot be used, 3 where the start is refused."""
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_argument("--migrate", action="store_true", help="bring the database to this version's revision first")
    arguments = parser.parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(("REAPPEAR", *(str(part) for part in problem["loc"]))).upper()
            print(f"reappear: {name}: {problem['msg']}", file=sys.stderr)
        return 2
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        if arguments.migrate:
            upgrade(settings.url)
    except (ReappearError, OSError) as error:
        print(f"reappear: cannot start: {error}", file=sys.stderr)
        return 3
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # uvicorn raises them again once it has stopped: then this is the end
        signal.signal(number, lambda *_: sys.exit(0))
    print(f"Reappear answers on http://{settings.host}:{settings.port} and explains itself on /docs", flush=True)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings), host=settings.host, port=settings.port, loop="uvloop", http="httptools", ws="none",
            log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=settings.stop_timeout_s,
            timeout_keep_alive=30,
        )
    )  # fmt: skip
    server.run()
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
