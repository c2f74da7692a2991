"""The running service, as commands talk to it: over HTTP, because it alone writes to its database."""

import os
import time
from pathlib import Path
from typing import Annotated, Any, TypeVar

import httpx2
import typer
from pydantic import TypeAdapter

from service.config import Settings, SettingsRefused, read_settings, web_address
from service.errors import FileRefused

TIMEOUT_S = 60
LONGEST_REST_S = 60  # that a key which has had its share is given

Answer = TypeVar("Answer")

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
        """Without an address it is the one in the settings, on this machine. Raises SettingsRefused, FileRefused, or
        OSError for an unreadable file."""
        settings = read_settings()
        self._url = (url or here(settings)).rstrip("/")
        named = os.environ.get("REAPPEAR_KEY")
        file = key_file or (None if named else settings.admin_key_file)
        key = _key_in(file) if file else named
        if key and not _is_key(key):
            raise SettingsRefused("REAPPEAR_KEY is no key: a key is printable ASCII without spaces")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def _send(self, method: str, path: str, **more: Any) -> httpx2.Response:
        return httpx2.request(method, self._url + path, headers=self._headers, trust_env=False, **more)

    def ask(
        self, method: str, path: str, shape: type[Answer], *, timeout_s: float | None = TIMEOUT_S, **sent: Any
    ) -> Answer:  # fmt: skip
        """An answer of this shape, waited for without end where `timeout_s` is None. Raises NoAnswer, SettingsRefused
        for an address that is none, or Refused with what to do."""
        try:
            answer = self._send(method, path, timeout=timeout_s, **sent)
            while answer.status_code == httpx2.codes.TOO_MANY_REQUESTS and method == "GET":  # as the key's share has it
                after = answer.headers.get("Retry-After", "")
                time.sleep(min(float(after), LONGEST_REST_S) if after.isdecimal() else 1)
                answer = self._send(method, path, timeout=timeout_s, **sent)
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise SettingsRefused(f"{self._url!r} is no address ({error}); --url takes http://HOST:PORT") from error
        except httpx2.RequestError as error:
            if isinstance(error, httpx2.ReadTimeout):
                raise NoAnswer(
                    f"{self._url} has not answered within {timeout_s:g} s and may still be at it; look again later"
                ) from error
            raise NoAnswer(
                f"no service answers on {self._url} ({error}); start it with `reappear serve`, or name it with --url"
            ) from error
        another = f"{self._url} answered {answer.status_code}; is it this service?"
        if answer.is_success:
            try:
                return TypeAdapter(shape).validate_python(answer.json())
            except ValueError as error:
                raise Refused(another) from error
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError, TypeError):
            detail = another
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            detail = f"{self._url}: {detail}. This command sends the key in --key-file FILE, or in REAPPEAR_KEY"
        raise Refused(detail)


def here(settings: Settings) -> str:
    """Where the service of these settings answers on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  # what it is told
    return web_address(host, settings.port)


def _key_in(file: Path) -> str:
    try:
        key = file.read_text().strip()
    except UnicodeDecodeError:
        key = ""
    if not _is_key(key):
        raise FileRefused(f"{file} holds no key: a key is printable ASCII without spaces")
    return key


def _is_key(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and text != ""
