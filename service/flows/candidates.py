"""From one vector to the k best identities, each with its best crops."""

from dataclasses import dataclass

import numpy as np

from service.domain import CropIds, VectorArray
from service.flows.courses import Among, Course, Search
from service.index.gallery import Gallery
from service.matching.grouping import Group, Hit, group, hits_of, order

FIRST_FETCH = 32  # crops; most galleries hold few crops of each identity
CROPS_PER_IDENTITY = 4
FEW = 1000  # crops up to which scoring them one by one is faster than a search with an allow-list
MAX_FETCH = 131_072  # past this the answer says that it is not complete


@dataclass(frozen=True, slots=True)
class Field:
    """Who may answer: the crops of a gallery, or only `allow` of them, in order, without one crop or all of one
    identity."""

    gallery: Gallery
    allow: CropIds | None = None
    without_crop: int | None = None
    without_identity: int | None = None

    def group(self, similarities: VectorArray, ids: CropIds) -> list[Group]:
        """One query's row of a search by the identities its crops speak for, without those that must not answer or are
        gone."""
        hits = hits_of(similarities, ids)
        owners = self.gallery.owners([hit.crop for hit in hits])
        if self.without_crop is not None or self.without_identity is not None:
            owners = [
                None if hit.crop == self.without_crop or identity == self.without_identity else identity
                for hit, identity in zip(hits, owners, strict=True)
            ]
        return group(hits, owners)

    @property
    def identities(self) -> int:
        """How many identities may answer, at most: never fewer than there are."""
        if self.allow is None:
            return self.gallery.identities - self._silent
        return len(set(self.gallery.owners(self.allow.tolist())) - {None})

    @property
    def _silent(self) -> int:
        """How many identities with crops must not answer at all."""
        crops, identity = self.gallery.crops, self.without_identity
        if self.without_crop is not None:
            only = self.gallery.owner(self.without_crop)
            identity = only if only is not None and crops(only) == (self.without_crop,) else None
        return int(identity is not None and bool(crops(identity)))

    def may_answer(self, crops: list[int]) -> CropIds:
        """Those of the crops that may answer."""
        ids = np.array([crop for crop in crops if crop != self.without_crop], np.int64)
        if self.allow is None:
            return ids
        allowed: CropIds = ids[np.searchsorted(self.allow, ids) < np.searchsorted(self.allow, ids, side="right")]
        return allowed


def find_candidates(field: Field, vector: VectorArray, *, k: int, hits: int) -> Course[tuple[list[Group], bool]]:
    """The k identities with the most similar crops, best first, each with up to `hits` of them.

    The second value is False only where an identity not seen could still enter: crops are fetched, ever more of them,
    until k identities (or all there are) are found, or no crop is left.
    """
    gallery = field.gallery
    left_out = 0 if field.without_identity is None else len(gallery.crops(field.without_identity))
    fetch = min(max(FIRST_FETCH, CROPS_PER_IDENTITY * k) + left_out, MAX_FETCH)
    everybody: int | None = None  # takes long to count where there is an allow-list, and is hardly ever needed
    while True:
        (similarities,), (ids,) = yield Search(gallery.vectors, vector[None], fetch, field.allow)
        groups = order(field.group(similarities, ids))
        exhausted = bool((ids < 0).any())
        if not exhausted and len(groups) < k and everybody is None:
            everybody = field.identities
        complete = exhausted or len(groups) >= (k if everybody is None else min(k, everybody))
        if complete or fetch >= MAX_FETCH:
            break
        fetch = min(fetch * 4, MAX_FETCH)
    winners = groups[:k]
    more = {} if exhausted else (yield from _more_hits(field, vector, winners, hits))
    found = [Group(one.identity, _united(one.hits, more.get(one.identity, ()))[:hits]) for one in winners]
    return found, complete


def _united(seen: tuple[Hit, ...], further: tuple[Hit, ...]) -> tuple[Hit, ...]:
    """The hits of both searches, best first. The best stays the one that the winners were chosen by, whatever came or
    went between the searches: else candidates would be out of order. The join drops what is gone."""
    known = {hit.crop for hit in seen}
    fresh = [hit for hit in further if hit.crop not in known and hit.similarity <= seen[0].similarity]
    return tuple(sorted((*seen, *fresh), key=lambda hit: (-hit.similarity, hit.crop)))


def _more_hits(
    field: Field, vector: VectorArray, winners: list[Group], hits: int
) -> Course[dict[int, tuple[Hit, ...]]]:
    """All hits of those winners that have more crops than the search came across, and fewer than asked for."""
    owned = [(len(one.hits), field.gallery.crops(one.identity)) for one in winners]
    ids = field.may_answer([crop for seen, crops in owned if seen < min(hits, len(crops)) for crop in crops])
    if not len(ids):
        return {}
    if len(ids) <= FEW:
        similarities, found = yield Among(field.gallery.vectors, vector, ids)
    else:
        (similarities,), (found,) = yield Search(field.gallery.vectors, vector[None], len(ids), ids)
    return {one.identity: one.hits for one in field.group(similarities, found)}
