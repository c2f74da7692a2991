"""Fetching a large file over a line and from a server that are as bad as they come."""

import fcntl
import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import numpy as np
import pytest

from reappear.download import Patience, Wanted, download
from reappear.remote import NoAnswer, Refused
from tests.command.host import Host, serving
from tests.server import ROOT

CONTENT = np.random.default_rng(0).bytes(300_000)
QUICK = Patience(timeout_s=0.5, tries=3, pause_s=0.01)


@pytest.fixture
def host() -> Iterator[Host]:
    with serving(Host(CONTENT)) as host:
        yield host


def wanted(host: Host, content: bytes = CONTENT) -> Wanted:
    return Wanted(host.url, len(content), hashlib.sha256(content).hexdigest())


def fetch(host: Host, file: Path, content: bytes = CONTENT) -> list[int]:
    seen: list[int] = []
    download(wanted(host, content), file, seen.append, QUICK)
    return seen


def test_a_file_arrives_whole_with_its_progress_and_leaves_nothing_beside_it(host: Host, tmp_path: Path) -> None:
    seen = fetch(host, tmp_path / "new" / "model.onnx")
    assert (tmp_path / "new" / "model.onnx").read_bytes() == CONTENT
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["model.onnx"]


def test_what_is_there_already_is_checked_and_not_fetched_again(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(CONTENT)
    fetch(host, file)
    assert host.asked == []
    file.write_bytes(CONTENT[:-1])
    with pytest.raises(Refused, match="is another file; remove it"):
        fetch(host, file)


def test_each_connection_that_ends_early_is_gone_on_from(host: Host, tmp_path: Path) -> None:
    host.cut_after = 100_000
    fetch(host, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT
    assert [range for _, range, _ in host.asked] == ["", "bytes=100000-", "bytes=200000-"]
    assert host.asked[1][2] == '"one"', "a part is continued only if the file is still the same"


def test_a_pull_that_was_killed_is_gone_on_from_by_the_next(host: Host, tmp_path: Path) -> None:
    (tmp_path / "model.onnx.part").write_bytes(CONTENT[:123_456])
    fetch(host, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT
    assert host.asked == [("/model.onnx", "bytes=123456-", "")]


def test_a_server_without_ranges_is_read_from_the_beginning(host: Host, tmp_path: Path) -> None:
    host.ranges = False
    (tmp_path / "model.onnx.part").write_bytes(b"x" * 5_000)
    fetch(host, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


def test_a_part_of_another_file_is_noticed_by_its_tag_or_in_the_end_by_the_checksum(host: Host, tmp_path: Path) -> None:
    part = tmp_path / "model.onnx.part"
    part.write_bytes(b"x" * 5_000)
    (tmp_path / "model.onnx.part.etag").write_text('"of another"')
    fetch(host, tmp_path / "model.onnx")
    assert len(host.asked) == 1, "If-Range made the server send the whole file at once"
    (tmp_path / "model.onnx").unlink()
    part.write_bytes(b"x" * 5_000)
    fetch(host, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT
    part_too_long = b"x" * (len(CONTENT) + 1)
    (tmp_path / "model.onnx").unlink()
    part.write_bytes(part_too_long)
    fetch(host, tmp_path / "model.onnx")
    (tmp_path / "model.onnx").unlink()
    part.write_bytes(CONTENT[::-1])
    fetch(host, tmp_path / "model.onnx")
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]


def test_another_file_of_the_same_size_is_refused_by_its_checksum_and_not_kept(host: Host, tmp_path: Path) -> None:
    host.content = CONTENT[::-1]
    with pytest.raises(Refused, match=f"has sha256 {hashlib.sha256(host.content).hexdigest()}"):
        fetch(host, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
    assert len(host.asked) == 1, "a whole file that is wrong is wrong again"


@pytest.mark.parametrize("size", [10, len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_file_of_another_size_is_refused_before_it_is_read(size: int, host: Host, tmp_path: Path) -> None:
    host.content = (CONTENT + b"more")[:size]
    with pytest.raises(Refused, match=f"has {size} bytes, 300000 are expected"):
        fetch(host, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_has_changed_its_size_since_the_part_is_refused(host: Host, tmp_path: Path) -> None:
    part = tmp_path / "model.onnx.part"
    for content in (CONTENT + b"more", CONTENT[:500]):
        host.content = content
        part.write_bytes(CONTENT[:1000])
        with pytest.raises(Refused, match=f"has {len(content)} bytes"):
            fetch(host, tmp_path / "model.onnx")
        assert list(tmp_path.iterdir()) == []


def test_a_server_that_stalls_is_left_and_asked_again(host: Host, tmp_path: Path) -> None:
    host.stall_after = 70_000
    fetch(host, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT
    assert [range for _, range, _ in host.asked] == ["", "bytes=70000-"]


def test_errors_that_pass_are_waited_out_and_others_are_told_at_once(host: Host, tmp_path: Path) -> None:
    host.status = [503, 429]
    fetch(host, tmp_path / "model.onnx")
    assert len(host.asked) == 3
    host.status = [404]
    with pytest.raises(Refused, match="answered 404 Not Found"):
        fetch(host, tmp_path / "other.onnx")
    assert len(host.asked) == 4


def test_a_server_that_never_answers_is_given_up_with_what_came_kept(host: Host, tmp_path: Path) -> None:
    host.status = [500, 500, 500]
    (tmp_path / "model.onnx.part").write_bytes(CONTENT[:1000])
    with pytest.raises(NoAnswer, match="run this again to go on"):
        fetch(host, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx.part").read_bytes() == CONTENT[:1000]
    silent = Wanted("http://127.0.0.1:9/model.onnx", 10, "0" * 64)
    with pytest.raises(NoAnswer, match="Connection refused"):
        download(silent, tmp_path / "other.onnx", lambda there: None, QUICK)


def test_no_redirect_leads_away_from_https_nor_round_in_circles(host: Host, tmp_path: Path) -> None:
    host.location = "http://example.org/model.onnx"
    with pytest.raises(Refused, match="not https"):
        fetch(host, tmp_path / "model.onnx")
    host.location = "/again"
    with pytest.raises(Refused, match="more than 5 redirects"):
        fetch(host, tmp_path / "model.onnx")
    with pytest.raises(Refused, match="over https only"):
        download(Wanted("http://example.org/x", 1, "0" * 64), tmp_path / "x", lambda there: None, QUICK)


def test_a_redirect_on_this_machine_is_followed(host: Host, tmp_path: Path) -> None:
    with serving(Host(b"", location=host.url)) as first:
        fetch(first, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


def test_a_disk_without_room_is_said_before_the_first_byte(tmp_path: Path) -> None:
    huge = Wanted("http://127.0.0.1:9/model.onnx", 10**18, "0" * 64)
    with pytest.raises(Refused, match="MB more are needed"):
        download(huge, tmp_path / "model.onnx", lambda there: None, QUICK)


def test_a_disk_that_fills_up_ends_in_one_line_and_the_next_pull_goes_on(host: Host, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from reappear.download import *\n"
        f"download({wanted(host)!r}, Path(sys.argv[1]), lambda there: None)"
    )
    file = tmp_path / "model.onnx"
    alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}  # it writes as well
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)], cwd=ROOT, env=alone, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot be written (File too large)" in done.stderr.splitlines()[-1]
    assert not file.exists()
    assert (tmp_path / "model.onnx.part").stat().st_size == 50_000
    fetch(host, file)
    assert file.read_bytes() == CONTENT
    assert host.asked[-1][1] == "bytes=50000-"


def test_two_pulls_of_one_file_do_not_write_over_each_other(host: Host, tmp_path: Path) -> None:
    part = tmp_path / "model.onnx.part"
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="another process"):
            fetch(host, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "url", ["https://[bad", "https://", "https:///model.onnx", "https://host:port/m", "model.onnx"]
)
def test_what_is_no_address_is_refused_at_once(url: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"is not an address|names no server"):
        download(Wanted(url, 10, ""), tmp_path / "new" / "model.onnx", print, Patience(tries=1))
    assert not list(tmp_path.iterdir())


def test_a_redirect_to_no_address_is_refused(host: Host, tmp_path: Path) -> None:
    host.location = "http://[bad"
    with pytest.raises(Refused, match=r"leads to http://\[bad"):
        fetch(host, tmp_path / "model.onnx")


def test_a_pull_whose_part_another_one_finished_meanwhile_takes_what_is_there(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, lock = tmp_path / "model.onnx", fcntl.flock

    def finish_first(part: FileIO, how: int) -> None:
        if not file.exists():
            (tmp_path / "model.onnx.part").write_bytes(CONTENT)
            (tmp_path / "model.onnx.part").rename(file)
        lock(part, how)

    monkeypatch.setattr("reappear.download.fcntl.flock", finish_first)
    fetch(host, file)
    assert file.read_bytes() == CONTENT
    assert host.asked == []
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]


def test_a_part_that_another_pull_gave_up_is_begun_anew(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, locked = fcntl.flock, list[int]()

    def drop_first(part: FileIO, how: int) -> None:
        if not locked:
            (tmp_path / "model.onnx.part").unlink()
        locked.append(how)
        lock(part, how)

    monkeypatch.setattr("reappear.download.fcntl.flock", drop_first)
    fetch(host, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT
    assert len(locked) == 2
