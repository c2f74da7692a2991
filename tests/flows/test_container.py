"""What a container says of its memory."""

import math
from pathlib import Path

import pytest

from service.flows.container import memory_of

FILES = {
    "memory.max": "2147483648\n", "memory.current": "1900000000\n",
    "memory.stat": "anon 1000000000\nfile 800000000\nshmem 500000000\ninactive_file 300000000\nactive_file 100000\n",
}  # fmt: skip


def cgroup(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_what_counts_against_the_limit_is_all_but_page_cache_that_can_go(tmp_path: Path) -> None:
    assert memory_of(cgroup(tmp_path, FILES)) == (1_600_000_000, 2_147_483_648)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"memory.limit_in_bytes": "2147483648\n"},
        {**FILES, "memory.max": "max\n"},
        {**FILES, "memory.stat": "anon 1000000000\n"},
        {name: text for name, text in FILES.items() if name != "memory.current"},
    ],
    ids=["none", "version 1", "no limit", "no page cache", "no use"],
)
def test_without_a_limit_there_are_no_numbers(files: dict[str, str], tmp_path: Path) -> None:
    assert all(math.isnan(number) for number in memory_of(cgroup(tmp_path, files)))
