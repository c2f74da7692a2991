from datetime import UTC, datetime
from pathlib import Path

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
