"""What commands are told to ask with, and whom: all that cannot be used is refused in one line."""

import json
import os
from pathlib import Path

import pytest

from reappear.audit import Page
from reappear.keys import Keys, list_keys
from reappear.remote import NoAnswer, Refused, Remote, here
from reappear.retention import retention
from service.config import Settings, SettingsRefused
from service.errors import FileRefused
from tests.command.conftest import run
from tests.command.host import Host, serving
from tests.server import free_port


@pytest.mark.parametrize(
    "content",
    [
        b"<html>", b"", b"\xff", b"null", b"[]", b"{}", b'{"keys": [{"kid": "1", "kty": "RSA"}]}',
        b'{"detail": "all is well"}',
    ],
)  # fmt: skip
def test_another_web_server_is_not_taken_for_the_service(content: bytes, tmp_path: Path) -> None:
    with serving(Host(content)) as host:
        for shape in (Keys, Page):
            with pytest.raises(Refused, match="is it this service"):
                Remote(host.url, None).ask("GET", "/keys", shape)
        file = tmp_path / "audit.jsonl"
        done = run("audit", "export", str(file), "--url", host.url, **os.environ) if content == b"{}" else None
    if done:
        assert (done.returncode, done.stderr.count("\n")) == (3, 1)
        assert list(tmp_path.iterdir()) == []


def test_a_share_of_the_minute_that_is_used_up_is_waited_for() -> None:
    with serving(Host(b'{"keys": []}', status=[429, 429])) as host:
        assert Remote(host.url, None).ask("GET", "/keys", Keys) == Keys([])
    assert len(host.asked) == 3


def test_a_service_that_is_at_it_for_long_is_not_said_to_be_down() -> None:
    with (
        serving(Host(b"{}" * 1000, stall_after=2)) as host,
        pytest.raises(NoAnswer, match=r"has not answered within 0\.2 s and may still be at it"),
    ):
        Remote(host.url, None).ask("GET", "/keys", Keys, timeout_s=0.2)


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("192.168.1.10", "192.168.1.10"), ("::1", "[::1]")],
)
def test_the_service_is_asked_where_it_listens(host: str, address: str) -> None:
    assert here(Settings(host=host, port=81)) == f"http://{address}:81"


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:x", "http://a..b", f"http://{'a' * 70}.invalid"])
def test_an_address_that_is_none_is_refused_as_a_setting(url: str) -> None:
    with pytest.raises(SettingsRefused, match="is no address"):
        list_keys(url)


@pytest.mark.parametrize("key", ["ä€", "two words", "line\nbreak", "\x7f"])
def test_a_key_that_no_request_can_carry_is_refused_and_not_shown(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(key)
    with pytest.raises(FileRefused, match="holds no key") as refused:
        Remote("", tmp_path / "key")
    monkeypatch.setenv("REAPPEAR_KEY", key)
    with pytest.raises(SettingsRefused, match="REAPPEAR_KEY is no key") as unset:
        Remote("", None)
    assert key not in f"{refused.value}{unset.value}"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00key", b"", b"\n"])
def test_a_file_without_a_key_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(FileRefused, match="holds no key"):
        Remote("", tmp_path / "key")


def test_an_empty_variable_is_as_if_it_were_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"\xff")
    monkeypatch.setenv("REAPPEAR_KEY", "")
    monkeypatch.setenv("REAPPEAR_ADMIN_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(FileRefused):  # the file is read
        Remote("", None)
    monkeypatch.setenv("REAPPEAR_ADMIN_KEY_FILE", "")
    with pytest.raises(NoAnswer):
        list_keys(f"http://127.0.0.1:{free_port()}")


def test_a_time_that_no_clock_has_is_refused() -> None:
    done = run("keys", "create", "x", "--scope", "read", "--expires-days", "4000000", **os.environ)
    assert done.returncode == 2
    assert "--expires-days" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_may_end_in_a_slash() -> None:
    with serving(Host(b'{"keys": []}')) as host:
        Remote(f"{host.url}/", None).ask("GET", "/keys", Keys)
    assert [path for path, *_ in host.asked] == ["/model.onnx/keys"]


def test_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a name has in brackets, even what would style a terminal or end such a style."""
    names = ["a [3]", "[/x]", "[red]"]
    key = {"id": "0f3c9a2b7d04", "scope": "read", "collection": None, "created_at": "", "expires_at": None,
           "revoked_at": None}  # fmt: skip
    due = {"at": "now", "collections": [{"collection": name, "crops": 1, "identities": 1} for name in names]}
    with serving(Host(json.dumps({"keys": [{**key, "name": name} for name in names]}).encode())) as host:
        list_keys(host.url)
    with serving(Host(json.dumps(due).encode())) as host:
        retention(url=host.url)
    shown = capsys.readouterr().out
    assert [shown.count(name) for name in names] == [2, 2, 2]
