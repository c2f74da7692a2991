"""`reappear model`: what it lists, fetches and says, and with which exit status."""

import hashlib
import os
from pathlib import Path

import pytest

from reappear.download import Wanted
from reappear.model import KNOWN, Known, fetch, next_command
from tests.command.conftest import run
from tests.command.host import Host, serving

ENVIRONMENT = {**os.environ, "COLUMNS": "200"}


def test_the_list_names_each_model_with_licence_and_checksum() -> None:
    told = run("model", "list", **ENVIRONMENT)
    assert told.returncode == 0
    for one in KNOWN:
        assert one.name in told.stdout
        assert one.licence in told.stdout
        assert one.wanted.sha256[:12] in told.stdout


def test_each_known_model_is_fetched_over_https_and_pinned() -> None:
    for one in KNOWN:
        assert one.wanted.url.startswith("https://")
        assert one.wanted.url.endswith(one.file)
        assert len(bytes.fromhex(one.wanted.sha256)) == 32
        assert one.wanted.size_bytes > 0


def test_youtureid_is_the_file_of_opencvs_zoo() -> None:
    (one,) = (one for one in KNOWN if one.name == "youtureid")
    assert one.wanted.size_bytes == 106_878_407
    assert one.wanted.sha256 == "0579683334d4b9440221606dcb461656dd0dc64143b18f48faedaced9b4f580d"


def test_a_model_is_fetched_and_the_next_command_can_be_copied(tmp_path: Path) -> None:
    content = b"a network" * 1000
    with serving(Host(content)) as host:
        wanted = Wanted(host.url, len(content), hashlib.sha256(content).hexdigest())
        known = Known("small", "small.onnx", wanted, "Apache-2.0", "a test", ("--layout", "nchw"))
        file = fetch(known, tmp_path / "models of mine")
    assert file.read_bytes() == content
    told = next_command(known, file)
    assert told.startswith(f"python -m models import '{file}' --name small --layout nchw --source-url http://127")


@pytest.mark.parametrize(
    ("host", "status", "word"),
    [(Host(b"short"), 3, "has 5 bytes, 106878407 are expected"), (Host(b"", status=[404]), 3, "answered 404")],
)
def test_a_source_that_has_another_file_is_refused_in_one_line(
    host: Host, status: int, word: str, tmp_path: Path
) -> None:
    with serving(host):
        done = run("model", "pull", "youtureid", "--out", str(tmp_path), "--url", host.url, **ENVIRONMENT)
    assert done.returncode == status
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_name_is_a_mistake_of_usage_that_names_the_known_ones(tmp_path: Path) -> None:
    done = run("model", "pull", "nobody", "--out", str(tmp_path), **ENVIRONMENT)
    assert done.returncode == 2
    assert "youtureid" in done.stderr
