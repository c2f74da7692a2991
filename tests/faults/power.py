"""What a disk holds after its power was cut: what was synced, and by chance some of what was not.

Pure: it replays a journal in memory. Of a file, contents up to its last sync survive; later writes each survive or not
in sectors, in any order, and the last one may be torn within a sector. Of a folder, names up to its last sync survive;
later ones each survive or not. A rename across folders is one change, never half of it lost: the new name comes before
the old one goes.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.journal import Record

SHARED_MEMORY_BYTES = 32_768


@dataclass(slots=True)
class File:
    """Contents as of the last sync, and the writes and truncations since."""

    synced: bytearray = field(default_factory=bytearray)
    since: list[tuple[int, bytes | None]] = field(default_factory=list)  # offset and bytes; None truncates there


@dataclass(slots=True)
class Folder:
    """Names as they look to programs, and as of the last sync."""

    live: "dict[str, Node]" = field(default_factory=dict)
    synced: "dict[str, Node]" = field(default_factory=dict)


Node = File | Folder


@dataclass(slots=True)
class _Naming:
    """One change of a name: it came to be a node, or (None) it went."""

    folder: Folder
    name: str
    node: Node | None
    needs: "_Naming | None" = None  # the new name of a rename, without which the old one does not go
    lasting: bool = False

    def apply(self, names: "dict[str, Node]") -> None:
        if self.node is None:
            names.pop(self.name, None)
        else:
            names[self.name] = self.node


@dataclass(frozen=True, slots=True)
class Loss:
    """How cruel one loss of power is: the chance of what was not synced to survive, whether in order, and more."""

    survives: float
    in_order: bool
    sector_bytes: int
    torn: bool  # the last sector that survives is not whole
    garbage: bool  # in the holes of a file whose end survived and whose middle did not

    @staticmethod
    def draw(chance: random.Random) -> "Loss":
        """A loss by chance: from one that drops all that was not synced to one that keeps nearly everything."""
        return Loss(
            chance.choice([0.0, 0.2, 0.5, 0.8, 0.97]), chance.random() < 0.4, chance.choice([512, 4096]),
            chance.random() < 0.5, chance.random() < 0.3,
        )  # fmt: skip


WORST = Loss(survives=0.0, in_order=False, sector_bytes=512, torn=False, garbage=False)


class Disk:
    """A folder and everything below it, as it changes. What it begins with is taken for durable."""

    def __init__(self) -> None:
        self.root = Folder()
        self._open: dict[int, Node] = {}
        self._since: list[_Naming] = []  # changes of names that no sync has made lasting

    def apply(self, record: Record) -> None:
        """Follow one record of the journal."""
        match record.op:
            case "o":
                self._open[record.fd] = node = self._opened(record.paths[0])
                if record.offset and isinstance(node, File):
                    node.since.append((0, None))
            case "w":
                self._file(record.fd).since.append((record.offset, record.data))
            case "t":
                self._file(record.fd).since.append((record.offset, None))
            case "s":
                self._sync(self._open[record.fd])
            case "m":
                self._name(record.paths[0], Folder())
            case "u":
                self._name(record.paths[0], None)
            case "l":
                self._name(record.paths[1], self._find(record.paths[0]))
            case "r":
                new = self._name(record.paths[1], self._find(record.paths[0]))
                self._name(record.paths[0], None, needs=new)

    def write_survivors(self, target: Path, loss: Loss, chance: random.Random) -> None:
        """Make `target` what the disk holds if the power is lost now."""
        names: dict[int, dict[str, Node]] = {}  # by the folder's id
        for change in _survivors(self._since, loss, chance):
            for one in (change.needs, change):  # a rename's new name with its old one
                if one is not None and not one.lasting:
                    one.apply(names.setdefault(id(one.folder), dict(one.folder.synced)))
        _write_folder(target, self.root, names, loss, chance)

    def _opened(self, path: str) -> Node:
        folder, name = self._place(path)
        node = folder.live.get(name) if name else folder
        if node is None:
            node = File()
            self._name(path, node)
        return node

    def _file(self, fd: int) -> File:
        node = self._open[fd]
        assert isinstance(node, File)
        return node

    def _find(self, path: str) -> Node:
        folder, name = self._place(path)
        return folder.live[name] if name else folder

    def _place(self, path: str) -> tuple[Folder, str]:
        *above, name = path.split("/")
        folder = self.root
        for part in above:
            below = folder.live[part]
            assert isinstance(below, Folder)
            folder = below
        return folder, name

    def _name(self, path: str, node: Node | None, needs: _Naming | None = None) -> _Naming:
        folder, name = self._place(path)
        change = _Naming(folder, name, node, needs)
        change.apply(folder.live)
        self._since.append(change)
        return change

    def _sync(self, node: Node) -> None:
        if isinstance(node, File):
            _write(node.synced, node.since)
            node.since = []
            return
        for change in self._since:
            if change.folder is node and not change.lasting:
                for one in (change.needs, change):
                    if one is not None and not one.lasting:
                        one.apply(one.folder.synced)
                        one.lasting = True
        self._since = [change for change in self._since if not change.lasting]


def _survivors(changes: list[_Naming], loss: Loss, chance: random.Random) -> list[_Naming]:
    if loss.in_order:
        return changes[: round(len(changes) * chance.random())]
    return [change for change in changes if chance.random() < loss.survives]


def _write_folder(
    target: Path, folder: Folder, names: dict[int, dict[str, Node]], loss: Loss, chance: random.Random
) -> None:
    target.mkdir()
    for name, node in sorted(names.get(id(folder), folder.synced).items()):
        if isinstance(node, Folder):
            _write_folder(target / name, node, names, loss, chance)
        elif name.endswith("-shm"):
            (target / name).write_bytes(chance.randbytes(SHARED_MEMORY_BYTES))  # it may be anything
        else:
            (target / name).write_bytes(_content(node, loss, chance))


def _content(file: File, loss: Loss, chance: random.Random) -> bytes:
    pieces = [piece for offset, data in file.since for piece in _sectors(offset, data, loss.sector_bytes)]
    if loss.in_order:
        pieces = pieces[: round(len(pieces) * chance.random())]
    else:
        pieces = [piece for piece in pieces if chance.random() < loss.survives]
    if pieces and loss.torn:
        offset, data = pieces[-1]
        if data:
            pieces[-1] = offset, data[: chance.randint(1, len(data))]
    content = bytearray(file.synced)
    _write(content, pieces, hole=chance if loss.garbage else None)
    return bytes(content)


def _sectors(offset: int, data: bytes | None, size: int) -> Iterator[tuple[int, bytes | None]]:
    """A write in the pieces that a disk writes whole; a truncation is one."""
    if data is None:
        yield offset, None
        return
    at = 0
    while at < len(data):
        step = size - (offset + at) % size
        yield offset + at, data[at : at + step]
        at += step


def _write(content: bytearray, changes: list[tuple[int, bytes | None]], hole: random.Random | None = None) -> None:
    """Apply writes and truncations. Holes get zeros, or garbage by chance."""
    for offset, data in changes:
        if offset > len(content):
            gap = offset - len(content)
            content += hole.randbytes(gap) if hole else bytes(gap)
        if data is None:
            del content[offset:]
        else:
            content[offset : offset + len(data)] = data
