"""A way to a database server that can be cut, silenced and mended while connections are in use."""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL


class Proxy:
    """Listens on a port of its own and passes bytes on to the server of a URL, over TCP or its Unix socket."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self._open = True
        self._lines: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listening = self._call(asyncio.start_server(self._pass_on, "127.0.0.1", 0))
        port = self._listening.sockets[0].getsockname()[1]
        self.url = server.set(host="127.0.0.1", port=port, query={})

    def cut(self) -> None:
        """End all connections at once and take no new ones."""
        self._call(self._cut())

    def silence(self) -> None:
        """Keep all connections, take new ones, and pass nothing on."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    def mend(self) -> None:
        """Take connections again, and pass on what has waited."""
        self._open = True
        self._loop.call_soon_threadsafe(self._passing.set)

    def close(self) -> None:
        """Cut, for good."""
        self.cut()
        self._loop.call_soon_threadsafe(self._listening.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, act: "Coroutine[Any, Any, Any]") -> Any:
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(10)

    async def _cut(self) -> None:
        self._open = False
        self._passing.set()
        for line in self._lines:
            line.transport.abort()
        await asyncio.sleep(0)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        there_reader, there_writer = await self._connect()
        lines = {writer, there_writer}
        self._lines |= lines
        try:
            await asyncio.gather(self._copy(reader, there_writer), self._copy(there_reader, writer))
        finally:
            self._lines -= lines

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = str(self._server.query.get("host") or self._server.host or "127.0.0.1")
        port = self._server.port or int(str(self._server.query.get("port") or 5432))
        if host.startswith("/"):
            return await asyncio.open_unix_connection(str(Path(host) / f".s.PGSQL.{port}"))
        return await asyncio.open_connection(host, port, family=socket.AF_UNSPEC)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while part := await reader.read(65_536):
                await self._passing.wait()
                writer.write(part)
                await writer.drain()
        except OSError:
            pass  # the line was cut
        finally:
            writer.close()
