"""`python -m service [--migrate]`: run the service, after bringing its database up to date if asked."""

import argparse
import gc
import logging
import os
import signal
import socket
import sys

import uvicorn

from service.api.connection import Connection
from service.app import create_app
from service.config import Settings, SettingsRefused, read_settings, web_address
from service.db.schema import bring_up_to_date
from service.errors import ReappearError
from service.flows.readiness import Readiness
from service.heaps import share_heaps
from service.store.lock import FolderLock
from service.telemetry import configure_logging

log = logging.getLogger(__name__)

COLLECT_AFTER = 5_000  # new objects; Python's 700 come together within a few queries, which leave no cycles behind


class Server(uvicorn.Server):
    """Tells people where it answers, once it really does."""

    def __init__(self, config: uvicorn.Config, *, explains: bool) -> None:
        """`explains` tells whether there is a page at /docs."""
        super().__init__(config)
        self._explained = " and explains itself on /docs" if explains else ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, and a line for people."""
        await super().startup(sockets)
        # Modules, routes and schemas stay until the end: looking through them for garbage stops every thread for 0.1 s
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(f"Reappear answers on {web_address(host, port)}{self._explained}", flush=True)

    async def on_tick(self, counter: int) -> bool:
        """As uvicorn does; and end where only a new start helps."""
        return await super().on_tick(counter) or self.needs_new_start

    @property
    def needs_new_start(self) -> bool:
        """Whether what is in memory must not be used any more."""
        readiness: Readiness | None = self.lifespan.state.get("readiness")
        return readiness is not None and readiness.needs_new_start


def run(settings: Settings, *, migrate: bool) -> int:
    """Serve until told to stop. Returns 0 after a clean stop, 3 where the start is refused, 4 where only a new start
    helps."""
    configure_logging(settings.log_level)
    try:
        if migrate:
            lock = FolderLock(settings.data_dir)  # not under a service that is running
            bring_up_to_date(settings.url)
            lock.release()
    except (ReappearError, OSError) as error:
        log.critical("cannot start: %s", error)
        return 3
    # uvicorn raises these again once it has stopped: then this is the end
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    share_heaps()
    server = Server(
        uvicorn.Config(
            create_app(settings), host=settings.host, port=settings.port, loop="asyncio", http=Connection, ws="none",
            log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=settings.stop_timeout_s,
            timeout_keep_alive=30,
        ),
        explains=settings.docs,
    )  # fmt: skip
    try:
        server.run()
    except SystemExit:
        if server.started:
            raise
        return 3  # uvicorn could not listen, which its log says
    if server.needs_new_start:
        return 4
    return 0 if server.started else 3


def main() -> int:
    """Exit status 0 after a clean stop, 2 for settings that cannot be used, 3 where the start is refused, 4 where only
    a new start helps."""
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_argument("--migrate", action="store_true", help="bring the database to this version's revision first")
    arguments = parser.parse_args()
    try:
        settings = read_settings()
    except SettingsRefused as error:
        print(f"reappear: {error}", file=sys.stderr)
        return 2
    os.umask(0o077)  # what is made here is for this user alone
    return run(settings, migrate=arguments.migrate)


if __name__ == "__main__":
    sys.exit(main())
