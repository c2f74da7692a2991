"""One large file whose size and checksum are known beforehand, fetched so that an interruption costs only what was in
flight. It knows nothing of models."""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2

from reappear.remote import NoAnswer, Refused
from service.store.folder import sync_folder

MOST_REDIRECTS = 5
MOST_CONNECTIONS = 200  # a server that sends a little and then another file would keep us for ever
LONGEST_WAIT_S = 60.0
LOOPBACK = ("127.0.0.1", "::1", "localhost")
Show = Callable[[int], None]  # bytes that are there


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the file must be."""

    url: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a silent server is waited for, how often in a row without a single byte, and the first pause between
    two tries, which doubles each time."""

    timeout_s: float = 30.0
    tries: int = 5
    pause_s: float = 1.0


class _Interrupted(Exception):
    """Worth another try; the text says what happened, `wait_s` how long the server asked to be left alone."""

    def __init__(self, what: str, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.wait_s = wait_s


def download(wanted: Wanted, file: Path, show: Show, patience: Patience = Patience()) -> None:
    """Leave exactly the wanted file at the path, or nothing but a `.part` beside it that the next call goes on from.

    A file that is already there is checked, not fetched. Goes on with HTTP Range and If-Range (RFC 9110, 13 and 14).
    Raises Refused with what to do, NoAnswer when the server stays silent.
    """
    if file.exists():
        with file.open("rb", buffering=0) as there:
            if _sum_of(there) != wanted.sha256:
                raise Refused(f"{file} is there already and is another file; remove it, or choose another folder")
        return
    _check_address(wanted.url)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    with part.open("a+b", buffering=0) as out:
        _lock(out, part)
        ours = _is_at(out, part)
        if ours and file.exists():  # finished before we opened a new part
            _drop(part)
            ours = False
        if ours:
            _finish(wanted, out, part, file, show, patience)
    if not ours:  # another process finished it, or gave it up, after we opened it
        download(wanted, file, show, patience)


def _finish(wanted: Wanted, out: FileIO, part: Path, file: Path, show: Show, patience: Patience) -> None:
    """Make the part whole and give it the file's name, while it is locked."""
    try:
        _complete(wanted, out, part, show, patience)
        os.fsync(out.fileno())
        part.replace(file)
    finally:
        if out.seek(0, os.SEEK_END) == 0:
            _drop(part)
    _tag_of(part).unlink(missing_ok=True)
    sync_folder(file.parent)


def _complete(wanted: Wanted, out: FileIO, part: Path, show: Show, patience: Patience) -> None:
    """Make the part the wanted file, or raise and keep only what may still become it."""
    if out.seek(0, os.SEEK_END) > wanted.size_bytes:
        _restart(out, part)
    _check_room(part, wanted.size_bytes - out.tell())
    pieced = _fill(wanted, out, part, show, patience)
    if pieced and _sum_of(out) != wanted.sha256:  # the pieces were of different files
        _restart(out, part)
        _fill(wanted, out, part, show, patience)
    if (found := _sum_of(out)) != wanted.sha256:
        _drop(part)
        raise Refused(
            f"{wanted.url} has sha256 {found}, {wanted.sha256} is expected: the file was changed there, or on the way; "
            "nothing was kept"
        )


def _fill(wanted: Wanted, out: FileIO, part: Path, show: Show, patience: Patience) -> bool:
    """Append to the part until it is whole; true if it is of more than one connection."""
    failures, connections, resumed = 0, 0, out.seek(0, os.SEEK_END) > 0
    with httpx2.Client(timeout=patience.timeout_s, trust_env=not _is_here(wanted.url)) as client:
        while (before := out.seek(0, os.SEEK_END)) < wanted.size_bytes:
            connections += 1
            try:
                _receive(client, wanted, out, part, show)
            except (httpx2.TransportError, _Interrupted) as error:
                failures = 1 if out.seek(0, os.SEEK_END) > before else failures + 1
                if failures >= patience.tries or connections >= MOST_CONNECTIONS:
                    raise NoAnswer(
                        f"{wanted.url}: {error or type(error).__name__}, {connections} tries; what came is kept in "
                        f"{part}, run this again to go on"
                    ) from error
                asked = error.wait_s if isinstance(error, _Interrupted) else 0.0
                time.sleep(min(LONGEST_WAIT_S, max(asked, patience.pause_s * 2 ** (failures - 1))))
    return resumed or connections > 1


def _receive(client: httpx2.Client, wanted: Wanted, out: FileIO, part: Path, show: Show) -> None:
    """One connection: ask for what is missing and append it."""
    there = out.seek(0, os.SEEK_END)
    headers = {"Accept-Encoding": "identity"}
    if there:
        headers["Range"] = f"bytes={there}-"
        if _tag_of(part).exists():
            headers["If-Range"] = _tag_of(part).read_text()
    with closing(_open(client, wanted.url, headers)) as answer:
        _check_status(answer, wanted)
        whole = f"{wanted.size_bytes - 1}/{wanted.size_bytes}"
        if answer.status_code == httpx2.codes.OK:
            _restart(out, part)
            there = 0
            _check_length(answer, wanted, part)
            _note_tag(answer, part)
        elif answer.headers.get("Content-Range") != f"bytes {there}-{whole}":  # of a file that has changed
            _restart(out, part)
            raise _Interrupted(f"the answer is not what is missing of {wanted.size_bytes} bytes")
        for chunk in answer.iter_raw():
            there += len(chunk)
            if there > wanted.size_bytes:
                _drop(part)
                raise Refused(f"{wanted.url} sends more than {wanted.size_bytes} bytes: another file; nothing was kept")
            _write(out, chunk, part, wanted)
            show(there)
    if there < wanted.size_bytes:
        raise _Interrupted(f"the connection ended after {there} of {wanted.size_bytes} bytes")


def _open(client: httpx2.Client, url: str, headers: dict[str, str]) -> httpx2.Response:
    """Follow redirects by hand, so that none leads away from https."""
    for _ in range(MOST_REDIRECTS + 1):
        if urlsplit(url).scheme != "https" and not _is_here(url):
            raise Refused(f"{url} is not https; a model is fetched over https only")
        answer = client.send(client.build_request("GET", url, headers=headers), stream=True)
        if not answer.has_redirect_location:
            return answer
        answer.close()
        target = _join(url, answer.headers["Location"])
        if urlsplit(target).scheme != "https" and not (_is_here(url) and _is_here(target)):
            raise Refused(f"{url} leads to {target}, which is not https; a model is fetched over https only")
        url = target
    raise Refused(f"{url}: more than {MOST_REDIRECTS} redirects")


def _join(url: str, location: str) -> str:
    """Where a redirect leads. Raises Refused where that is no address."""
    try:
        target = urljoin(url, location)
    except ValueError as error:
        raise Refused(f"{url} leads to {location}, which is no address ({error})") from error
    _check_address(target)
    return target


def _check_address(url: str) -> None:
    """Raises Refused for what no server can be found by."""
    try:
        parts = urlsplit(url)
        named = bool(parts.scheme and parts.hostname)
        _ = parts.port
    except ValueError as error:
        raise Refused(f"{url} is not an address ({error}); give one such as https://example.org/model.onnx") from error
    if not named:
        raise Refused(f"{url} names no server; give an address such as https://example.org/model.onnx")


def _is_here(url: str) -> bool:
    """Plain http is for a server on this machine only."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in LOOPBACK


def _check_status(answer: httpx2.Response, wanted: Wanted) -> None:
    status = answer.status_code
    if status == httpx2.codes.TOO_MANY_REQUESTS or status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        after = answer.headers.get("Retry-After", "")
        raise _Interrupted(f"the server answered {status}", float(after) if after.isdecimal() else 0.0)
    if status not in (httpx2.codes.OK, httpx2.codes.PARTIAL_CONTENT, httpx2.codes.RANGE_NOT_SATISFIABLE):
        raise Refused(f"{wanted.url} answered {status} {answer.reason_phrase}; name another source with --url")


def _check_length(answer: httpx2.Response, wanted: Wanted, part: Path) -> None:
    length = answer.headers.get("Content-Length", str(wanted.size_bytes))
    if length != str(wanted.size_bytes):
        _drop(part)
        raise Refused(
            f"{wanted.url} has {length} bytes, {wanted.size_bytes} are expected: another file; nothing was kept"
        )


def _write(out: FileIO, chunk: bytes, part: Path, wanted: Wanted) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[out.write(rest) :]
    except OSError as error:
        raise Refused(
            f"{part} cannot be written ({error.strerror}); {wanted.size_bytes / 1e6:.0f} MB are needed, then run this "
            "again to go on"
        ) from error


def _check_room(part: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < needed_bytes:
        raise Refused(
            f"{part.parent} has {free / 1e6:.0f} MB free, {needed_bytes / 1e6:.0f} MB more are needed; make room"
        )


def _lock(out: FileIO, part: Path) -> None:
    try:
        fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise Refused(f"{part} is being written by another process; wait for it") from error


def _is_at(out: FileIO, part: Path) -> bool:
    """Whether the file that was locked is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(out.fileno()), part.stat())
    except FileNotFoundError:
        return False


def _tag_of(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _note_tag(answer: httpx2.Response, part: Path) -> None:
    """Only a strong tag may stand in If-Range (RFC 9110, 13.1.5)."""
    tag = answer.headers.get("ETag", "")
    if tag.startswith('"'):
        _tag_of(part).write_text(tag)


def _restart(out: FileIO, part: Path) -> None:
    out.truncate(0)
    out.seek(0)
    _tag_of(part).unlink(missing_ok=True)


def _drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_of(part).unlink(missing_ok=True)


def _sum_of(file: FileIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
