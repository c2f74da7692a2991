"""`python -m service [--migrate]`: run the service, after bringing its database up to date if asked."""

import argparse
import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

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

TELL_EVERY_S = 10
COLLECT_AFTER = 5_000  # new objects; Python's 700 come together within a few queries, which leave no cycles behind


class Shortage:
    """An event loop's handler of errors, which says now and then that there is no room for connections: the loop says
    so 2,048 times a second, with a traceback each."""

    def __init__(self) -> None:
        self._told_at = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Told by the loop."""
        if not str(context.get("message", "")).startswith("socket.accept() out of"):
            loop.default_exception_handler(context)
        elif loop.time() - self._told_at >= TELL_EVERY_S:
            self._told_at = loop.time()
            log.error(
                "no new connections can be taken (%s): let this process have more files open (ulimit -n), or see who "
                "keeps so many connections", context.get("exception"),
            )  # fmt: skip


class Server(uvicorn.Server):
    """Tells people where it answers, once it really does."""

    def __init__(self, config: uvicorn.Config, *, explains: bool) -> None:
        """`explains` tells whether there is a page at /docs."""
        super().__init__(config)
        self._explained = " and explains itself on /docs" if explains else ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, and a line for people."""
        asyncio.get_running_loop().set_exception_handler(Shortage())
        await super().startup(sockets)
        # Modules, routes and schemas stay until the end: looking through them for garbage stops every thread for 0.1 s
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            _say(f"Reappear answers on {web_address(host, port)}{self._explained}")

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
            bring_up_to_date(settings.url, lock.owner)
            lock.release()
    except (ReappearError, OSError) as error:
        log.critical("cannot start: %s", error)
        return 3
    # uvicorn raises these again once it has stopped: then this is the end
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # a closed terminal; `nohup` has it ignored
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    share_heaps()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection is a file
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
    except SystemExit as ended:
        if server.started:
            raise
        if ended.code and not server.lifespan.should_exit:  # else a signal ended it, or the start was refused
            log.critical(
                "cannot start: %s cannot be listened on, as the line before says; stop what has the port, or set "
                "REAPPEAR_PORT or REAPPEAR_HOST", web_address(settings.host, settings.port),
            )  # fmt: skip
        return 3
    if server.needs_new_start:
        return 4
    return 0 if server.started else 3


def _say(text: str) -> None:
    """A line for people. Where standard output is full or closed nobody reads it, and nothing else fails for it."""
    try:
        print(text, flush=True)
    except OSError:
        with Path(os.devnull).open("w") as nowhere:  # what is still in the buffer would fail at the end
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


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
