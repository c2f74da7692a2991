"""Exit status 0 where the service in this container is ready. For HEALTHCHECK: no shell, no curl, few imports."""

import os
import socket
import sys

TIMEOUT_S = 4

address = ("127.0.0.1", int(os.environ.get("REAPPEAR_PORT", "8000")))
try:
    with socket.create_connection(address, timeout=TIMEOUT_S) as connection:
        connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with connection.makefile("rb") as answer:
            status = answer.readline().split()[1]
            headers_and_body = answer.read()
except (OSError, IndexError) as error:
    sys.exit(f"no answer: {error}")
if status != b"200":
    sys.exit(headers_and_body.rpartition(b"\r\n")[2].decode(errors="replace"))
