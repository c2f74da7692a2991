"""A web server on this machine that serves one file, and misbehaves as it is told."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Host:
    """What is served and how. `asked` collects each request's path and its Range, If-Range."""

    content: bytes
    tag: str = '"one"'
    ranges: bool = True
    cut_after: int = 0  # bytes after which each connection ends; 0 never
    stall_after: int = 0  # bytes after which the first connection says no more
    status: list[int] = field(default_factory=list)  # instead of an answer, one for each request to come
    location: str = ""  # where every request is sent on to
    length: int | None = None  # what Content-Length claims
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    host: Host

    def do_GET(self) -> None:
        host = self.host
        wanted, condition = self.headers.get("Range", ""), self.headers.get("If-Range", "")
        host.asked.append((self.path, wanted, condition))
        if host.status or host.location:
            self.send_response(host.status.pop(0) if host.status else 302)
            if host.location:
                self.send_header("Location", host.location)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and host.ranges else 0
        if condition and condition != host.tag:
            start = 0
        if start > len(host.content):
            self.send_error(416)
            return
        body = host.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("ETag", host.tag)
        self.send_header("Content-Length", str(len(body) if host.length is None else host.length))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(host.content) - 1}/{len(host.content)}")
        self.end_headers()
        self._send(body)

    def _send(self, body: bytes) -> None:
        host = self.host
        if host.stall_after:
            self.wfile.write(body[: host.stall_after])
            host.stall_after = 0
            time.sleep(1)
        elif host.cut_after and host.cut_after < len(body):
            self.wfile.write(body[: host.cut_after])
            self.wfile.flush()
        else:
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what some tests are about."""


@contextmanager
def serving(host: Host) -> Iterator[Host]:
    """The host at `host.url` until the block ends."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"host": host}))
    host.url = f"http://127.0.0.1:{server.server_port}/model.onnx"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
