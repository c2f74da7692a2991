from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from service.domain import AuditEntry
from service.store.unwritten import UnwrittenReads

READ = AuditEntry(datetime(2026, 5, 1, 12, tzinfo=UTC), "r-1", "loopback", "query", "default", ("p-1", "p-2"))


def test_a_line_that_a_crash_tore_spoils_neither_the_others_nor_the_start(tmp_path: Path) -> None:
    path = tmp_path / "reads.jsonl"
    reads = UnwrittenReads(path)
    assert reads.read() == []
    reads.keep([READ, READ])
    path.write_bytes(path.read_bytes()[:-10])
    assert reads.read() == [READ]
    reads.keep([READ])
    assert reads.read() == [READ, READ]
    reads.drop()
    assert reads.read() == []
    assert not path.exists()


@pytest.mark.parametrize("line", [b"{}", b"[]", b"7", b'{"at": "yesterday"}', b'{"at": 1, "subjects": 5}'])
def test_a_line_that_is_no_read_is_set_aside_once_the_others_are_written(line: bytes, tmp_path: Path) -> None:
    path, aside = tmp_path / "reads.jsonl", tmp_path / "reads.damaged"
    reads = UnwrittenReads(path)
    reads.keep([READ])
    path.write_bytes(line + b"\n" + path.read_bytes())
    for _ in range(2):  # the second time, as if the database had been down
        assert reads.read() == [READ]
    assert not aside.exists()
    reads.drop()
    assert orjson.loads(aside.read_bytes()) == orjson.loads(line)
    assert not path.exists()


def test_a_file_without_any_read_is_set_aside_at_once(tmp_path: Path) -> None:
    path, aside = tmp_path / "reads.jsonl", tmp_path / "reads.damaged"
    for count in (1, 2):
        path.write_bytes(b"{}\n")
        assert UnwrittenReads(path).read() == []
        assert (path.exists(), aside.read_bytes()) == (False, b"{}\n" * count)
