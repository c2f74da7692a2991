"""The running service, as commands talk to it: over HTTP, because it alone writes to its database."""

import os
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from service.config import read_settings

TIMEOUT_S = 60

Url = Annotated[str, typer.Option(envvar="REAPPEAR_URL", help="Where the service answers; this machine by default.")]
KeyFile = Annotated[
    Path | None, typer.Option(help="File with an admin key. Else REAPPEAR_KEY, else REAPPEAR_ADMIN_KEY_FILE.")
]


class NoAnswer(Exception):
    """Nobody answers at the address."""


class Refused(Exception):
    """The service refused; the text is its detail."""


class Remote:
    """The service at an address, asked with a key."""

    def __init__(self, url: str, key_file: Path | None) -> None:
        """Without an address it is the one in the settings, on this machine. Raises OSError for an unreadable file."""
        settings = read_settings()
        self._url = url or f"http://127.0.0.1:{settings.port}"
        file = key_file or (None if "REAPPEAR_KEY" in os.environ else settings.admin_key_file)
        key = file.read_text().strip() if file else os.environ.get("REAPPEAR_KEY")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def ask(self, method: str, path: str, *, timeout_s: float | None = TIMEOUT_S, **sent: Any) -> dict[str, Any]:
        """The JSON of an answer, waited for without end where `timeout_s` is None. Raises NoAnswer, or Refused with
        what to do."""
        try:
            answer = httpx2.request(
                method, self._url + path, headers=self._headers, timeout=timeout_s, trust_env=False, **sent
            )
        except httpx2.TransportError as error:
            raise NoAnswer(
                f"no service answers on {self._url} ({error}); start it with `reappear serve`, or name it with --url"
            ) from error
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError, TypeError):
            detail = f"{self._url} answered {answer.status_code}; is it this service?"
        raise Refused(detail)
