"""From one vector to the k best identities, each with its best crops."""

import numpy as np

from service.domain import CropIds, VectorArray
from service.flows.searcher import Searcher
from service.index.gallery import Gallery
from service.matching.grouping import Group, Hit, group, hits_of, order

FIRST_FETCH = 32  # crops; most galleries hold few crops of each identity
CROPS_PER_IDENTITY = 4
MAX_FETCH = 131_072  # past this the answer says that it is not complete


async def find_candidates(
    searcher: Searcher, gallery: Gallery, vector: VectorArray, *,
    k: int, hits: int, allow: CropIds | None, excluded: frozenset[int],
) -> tuple[list[Group], bool]:  # fmt: skip
    """The k identities with the most similar crops, best first, each with up to `hits` of them.

    The second value is False only where an identity not seen could still enter: crops are fetched, ever more of them,
    until k identities are found or the gallery is exhausted.
    """
    fetch = max(FIRST_FETCH, CROPS_PER_IDENTITY * k) + len(excluded)
    while True:
        similarities, ids = await searcher.search(gallery.vectors, vector, fetch, allow)
        groups = order(group(hits_of(similarities, ids, excluded), gallery.owner))
        complete = len(groups) >= k or bool((ids < 0).any())
        if complete or fetch >= MAX_FETCH:
            break
        fetch = min(fetch * 4, MAX_FETCH)
    winners = groups[:k]
    more = await _more_hits(searcher, gallery, vector, winners, hits, allow, excluded)
    found = [Group(one.identity, more.get(one.identity, one.hits)[:hits]) for one in winners]
    return found, complete


async def _more_hits(
    searcher: Searcher, gallery: Gallery, vector: VectorArray, winners: list[Group],
    hits: int, allow: CropIds | None, excluded: frozenset[int],
) -> dict[int, tuple[Hit, ...]]:  # fmt: skip
    """All hits of those winners that have more crops than the search came across, and fewer than asked for."""
    crops = [
        crop
        for winner in winners
        if len(winner.hits) < min(hits, len(gallery.crops(winner.identity)))
        for crop in gallery.crops(winner.identity)
        if crop not in excluded
    ]
    ids = np.array(crops, np.int64)
    if allow is not None:
        ids = np.intersect1d(ids, allow)
    if not len(ids):
        return {}
    similarities, found = await searcher.search(gallery.vectors, vector, len(ids), ids)
    return {one.identity: one.hits for one in group(hits_of(similarities, found, excluded), gallery.owner)}
