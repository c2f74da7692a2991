"""Pictures on disk: staged, published, read, removed."""

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import NotFound, StoreDown
from service.store.folder import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FolderStore]:
    store = FolderStore(tmp_path / "pictures")
    yield store
    store.close()


def on_disk(tmp_path: Path) -> dict[str, bytes]:
    root = tmp_path / "pictures"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_picture_waits_in_staging_until_it_is_published(store: FolderStore, tmp_path: Path) -> None:
    (name,) = store.stage([b"one"])
    assert store.staged() == [name]
    assert on_disk(tmp_path) == {f"staging/{name}": b"one"}
    assert list(store.names()) == []
    assert store.read(name) == b"one", "a row may name it before it is in its place"
    store.publish([name])
    assert store.staged() == []
    assert on_disk(tmp_path) == {f"{name[:2]}/{name}": b"one"}
    assert list(store.names()) == [name]
    assert store.read(name) == b"one"


def test_names_are_random_even_for_equal_pictures(store: FolderStore, tmp_path: Path) -> None:
    names = store.stage([b"same"] * 40)
    assert len(set(names)) == 40
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in names)
    store.publish(names)
    store.unlink(names[:1])
    assert len(on_disk(tmp_path)) == 39
    assert store.read(names[1]) == b"same"


def test_discarded_pictures_are_gone_and_publishing_them_does_nothing(store: FolderStore, tmp_path: Path) -> None:
    names = store.stage([b"one", b"two"])
    store.discard(names[:1])
    store.publish(names)
    assert sorted(store.names()) == [names[1]]
    with pytest.raises(NotFound):
        store.read(names[0])
    store.discard(["0" * 32])
    assert len(on_disk(tmp_path)) == 1


def test_unlinking_removes_published_and_staged_pictures_and_ignores_what_is_gone(
    store: FolderStore, tmp_path: Path
) -> None:
    published, staged = store.stage([b"one", b"two"])
    store.publish([published])
    store.unlink([published, staged, published, "f" * 32])
    assert on_disk(tmp_path) == {}
    with pytest.raises(NotFound) as refusal:
        store.read(published)
    assert refusal.value.error_code == "PICTURE_NOT_FOUND"


def test_publishing_twice_is_harmless(store: FolderStore) -> None:
    names = store.stage([b"one"])
    store.publish(names)
    store.publish(names)
    assert store.read(names[0]) == b"one"


def test_where_one_of_several_pictures_cannot_be_written_none_is_left(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        store.stage([b"one", "no bytes", b"three"])  # type: ignore[list-item]
    assert on_disk(tmp_path) == {}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "is full; make room"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "cannot be written (Input/output error)"),
    ],
    ids=["full", "quota", "read-only", "broken"],
)
def test_a_disk_that_fails_is_named_with_the_remedy_and_nothing_is_left(
    number: int, words: str, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as failing:
        failing.setattr("os.fsync", fail)
        with pytest.raises(StoreDown) as refusal:
            store.stage([b"one", b"two"])
    assert words in refusal.value.detail
    assert on_disk(tmp_path) == {}
    store.stage([b"three"])


def test_staged_pictures_that_cannot_be_dropped_now_go_with_the_next_ones(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    left = store.stage([b"one", b"two"])
    with monkeypatch.context() as failing:
        failing.setattr(Path, "unlink", fail)
        store.discard(left)
    assert store.staged() == sorted(left)
    names = store.stage([b"three"])
    assert store.staged() == names


def test_pictures_and_staging_outlive_the_process(store: FolderStore, tmp_path: Path) -> None:
    names = store.stage([b"one", b"two"])
    store.publish(names[:1])
    store.close()
    again = FolderStore(tmp_path / "pictures")
    assert again.read(names[0]) == b"one"
    assert again.staged() == names[1:]
    again.close()


def test_many_threads_may_use_it_at_once(store: FolderStore, tmp_path: Path) -> None:
    def work(number: int) -> None:
        for turn in range(10):
            content = f"{number} {turn}".encode()
            names = store.stage([content, content])
            store.publish(names)
            assert store.read(names[0]) == content
            store.unlink(names[:1])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(on_disk(tmp_path).values()) == sorted(f"{n} {t}".encode() for n in range(4) for t in range(10))
    assert store.staged() == []


def test_a_picture_that_the_disk_does_not_give_now_is_not_said_to_be_gone(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    (name,) = store.stage([b"picture"])
    store.publish([name])
    place = store._place(name)
    place.unlink()
    place.mkdir()
    with pytest.raises(StoreDown, match="cannot be read now"):
        store.read(name)
