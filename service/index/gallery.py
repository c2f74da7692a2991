"""The index of one collection, and who owns each crop. Both change together, in commit order, by one writer."""

import threading
from array import array
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from service.domain import Change, CropIds, Piece, VectorIndex
from service.index.owners import Owners, runs


class Gallery:
    """One collection in memory: its vectors, and which identity each crop belongs to."""

    def __init__(self, vectors: VectorIndex) -> None:
        self.vectors = vectors
        self._owners = Owners()
        self._crops: dict[int, int | array[int]] = {}  # an identity's crop, or crops in the order they came

    def owner(self, crop: int) -> int | None:
        """The identity a crop belongs to; None once it is removed."""
        return self._owners.get(crop)

    def owners(self, crops: Sequence[int]) -> list[int | None]:
        """The identity that each crop belongs to, None for those that are removed."""
        return self._owners.get_each(crops)

    def crops(self, identity: int) -> tuple[int, ...]:
        """The crops of an identity, lowest id first."""
        crops = self._crops.get(identity, ())
        return (crops,) if isinstance(crops, int) else tuple(crops)  # one step, so no writer comes between

    @property
    def identities(self) -> int:
        """How many identities have crops."""
        return len(self._crops)

    def add(self, added: list[Change]) -> None:
        """Take crops with their vectors. Owners first: a search never finds a crop whose owner is unknown."""
        self.remove(change.crop for change in added if change.crop in self._owners)  # left by an apply that failed
        for change in added:
            self._own(change.crop, change.identity)
        ids = np.array([change.crop for change in added], np.int64)
        self.vectors.add(ids, np.stack([change.vector for change in added if change.vector is not None]))

    def own(self, crops: CropIds, identities: CropIds) -> None:
        """Take the owners of all crops at once, as read at start, apart from their vectors: (n,), (n,)."""
        order = np.argsort(crops)
        self._owners.put_all(crops[order], identities[order])
        order = np.lexsort((crops, identities))
        members = crops[order]
        for identity, start, end in runs(identities[order]):
            theirs = members[start:end]
            self._crops[identity] = int(theirs[0]) if len(theirs) == 1 else array("q", theirs.tobytes())

    def remove(self, crops: Iterable[int]) -> None:
        """Forget crops; unknown ones are ignored."""
        removed = list(crops)
        if not removed:
            return
        self.vectors.remove(np.array(removed, np.int64))
        gone: dict[int, set[int]] = {}
        for crop in removed:
            identity = self._owners.pop(crop)
            if identity is not None:
                gone.setdefault(identity, set()).add(crop)
        for identity, theirs in gone.items():
            rest = [one for one in self.crops(identity) if one not in theirs]
            if rest:
                self._crops[identity] = array("q", rest) if len(rest) > 1 else rest[0]
            else:
                del self._crops[identity]

    def _own(self, crop: int, identity: int) -> None:
        """Note whose crop it is. Most identities have one, and a list for each would take more than all else here."""
        self._owners.put(crop, identity)
        crops = self._crops.get(identity)
        if crops is None:
            self._crops[identity] = crop
        elif isinstance(crops, int):
            self._crops[identity] = array("q", (crops, crop))
        else:
            crops.append(crop)


class Galleries:
    """All collections in memory, at one generation."""

    def __init__(self, make_index: Callable[[], VectorIndex]) -> None:
        self._make_index = make_index
        self._by_collection: dict[int, Gallery] = {}
        self._creating = threading.Lock()
        self.generation = 0
        self.ahead = False  # of the database, which went back: then nothing here may be used any more

    def of(self, collection: int) -> Gallery:
        """The gallery of a collection, made empty where there is none yet."""
        with self._creating:
            if collection not in self._by_collection:
                self._by_collection[collection] = Gallery(self._make_index())
            return self._by_collection[collection]

    def drop(self, collection: int) -> None:
        """Forget a collection that is gone, and all that is left of it."""
        with self._creating:
            gallery = self._by_collection.pop(collection, None)
        if gallery is not None:
            gallery.vectors.close()
            gallery.vectors.purge()

    def clear(self) -> None:
        """Forget everything."""
        with self._creating:
            self._by_collection, self.generation = {}, 0

    @property
    def holds_removed(self) -> bool:
        """Whether a removed vector is still in memory."""
        return any(gallery.vectors.holds_removed for gallery in list(self._by_collection.values()))

    def purge(self) -> None:
        """See to it that no removed vector is left in memory. Takes as long as building what holds some."""
        for gallery in list(self._by_collection.values()):
            gallery.vectors.purge()

    def close(self) -> None:
        """Let what is under way in the background end soon."""
        for gallery in list(self._by_collection.values()):
            gallery.vectors.close()

    @property
    def accelerated(self) -> int:
        """How many vectors, also such as were removed since, accelerators were built from, in all collections."""
        return sum(gallery.vectors.accelerated for gallery in list(self._by_collection.values()))

    def __len__(self) -> int:
        """How many crops are indexed, in all collections."""
        return sum(len(gallery.vectors) for gallery in list(self._by_collection.values()))

    def cut(self) -> dict[int, list[Piece]]:
        """The vectors of every collection, as of `generation`. Cheap; by the one writer, between two changes."""
        return {collection: gallery.vectors.cut() for collection, gallery in sorted(self._by_collection.items())}

    @property
    def vector_bytes(self) -> int:
        """Memory that the vectors take, places kept free for more included."""
        return sum(gallery.vectors.bytes for gallery in list(self._by_collection.values()))

    def apply(self, changes: list[Change]) -> None:
        """Apply changes in the order of their generations; those already applied are skipped.

        Runs of one kind in one collection are applied together, which keeps bulk enrolment and erasure fast.
        """
        run: list[Change] = []
        for change in changes:
            if change.generation <= self.generation:
                continue
            if run and (change.collection, change.vector is None) != (run[0].collection, run[0].vector is None):
                self._apply_run(run)
                run = []
            run.append(change)
        if run:
            self._apply_run(run)

    def _apply_run(self, run: list[Change]) -> None:
        gallery = self.of(run[0].collection)
        if run[0].vector is None:
            gallery.remove(change.crop for change in run)
        else:
            gallery.add(run)
        self.generation = run[-1].generation
