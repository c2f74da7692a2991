"""The bounds that the project holds itself to, each with what was measured. Pure arithmetic over results.json: a bound
that was not measured says so, and is neither held nor broken.

What the parts allow together: a query takes 1/D + 1/E + 1/S seconds of the whole machine, with D, E and S the pictures,
vectors and searches a second that decoding, the network and the index do alone, each on all cores and at its best. So
the machine can answer 1 / (1/D + 1/E + 1/S) queries a second, if nothing else costs anything, load generator included.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

LOADED = "100000"
MILLION = "1000000"
CLIENTS = "32"
Results = dict[str, Any]
Turn = dict[str, Any]  # what the parts alone gave, and the service right after; see benchmarks.turns

RAW = ("faiss", "sgemm")  # what there was without the service; a product alone does not even choose the best
OWN = (*RAW, "index")


def allowed_per_s(alone: dict[str, Any], ways: tuple[str, ...] = OWN) -> float:
    """Queries a second that decode, embed and the fastest way to search alone allow on the same cores."""
    searches = max(int(count) / _each_ms(alone, count, ways) * 1000 for count in alone["faiss"]["queries"])
    rates = (alone["decode"]["per_s"]["median"], alone["embed"]["per_s"]["median"], searches)
    return float(1 / sum(1 / rate for rate in rates))


def alone_p50_ms(alone: dict[str, Any], ways: tuple[str, ...] = OWN) -> float:
    """Median time of one picture through decode, embed and the fastest way to search alone, one after the other."""
    return float(alone["decode"]["p50_ms"] + alone["embed"]["p50_ms"] + search_alone_ms(alone, "1", ways))


def search_alone_ms(alone: dict[str, Any], queries: str, ways: tuple[str, ...] = OWN) -> float:
    """Time of so many queries in one search by the fastest of some ways: raw FAISS and NumPy, each at the best of its
    knobs, and the service's own index, alone as well."""
    return float(min(alone[way]["queries"][queries]["best_ms"]["median"] for way in ways))


def _each_ms(alone: dict[str, Any], queries: str, ways: tuple[str, ...]) -> float:
    """As `search_alone_ms`, of many such searches, which our own index also does side by side."""
    beside = [alone[way]["queries"][queries].get("side_by_side_ms") for way in ways]
    return min(search_alone_ms(alone, queries, ways), *(one["median"] for one in beside if one), float("inf"))


def check_bounds(results: Results) -> list[dict[str, Any]]:
    """Each bound: key, what, bound, relation, value, holds, and how the value came about. Value and holds are None
    where it was not measured."""
    loaded, million = _gallery(results, LOADED), _gallery(results, MILLION)
    flood = (results.get("overload") or {}).get("demands") or []
    soak = results.get("soak") or {}
    throughput = "query throughput, 32 clients, raw JPEG, 100,000 crops, over what decode, embed and search alone allow"
    added = "latency added at 1 client over decode + embed + search alone, p50, ms, 100,000 crops"
    return [
        _bound("query_throughput", f"{throughput}, searching by raw FAISS or NumPy", ">=", 0.80,
               *_throughput(loaded, "raw")),
        _bound("query_throughput_own_index", "the same, searching by the service's own index", ">=", 0.80,
               *_throughput(loaded, "own")),
        _bound("latency_added", f"{added}, searching by raw FAISS or NumPy", "<=", 2.0, *_added(loaded, "raw")),
        _bound("latency_added_own_index", "the same, searching by the service's own index", "<=", 2.0,
               *_added(loaded, "own")),
        *_batched(million),
        _bound("search_pause", "longest search while 131,072 vectors are sealed and compacted beside it, over the "
               "middle one of them all beside nothing, ms", "<=", 20.0, *_pause(results.get("pauses") or {})),
        _bound("bulk_enrolment", "bulk enrolment, acknowledged durable, over raw embedding", ">=", 0.7,
               *_bulk(loaded)),
        _bound("restart_100k", "ready after restart, 100,000 crops, s", "<=", 3.0, *_restart(loaded)),
        _bound("restart_1m", "ready after restart, 1,000,000 crops, s", "<=", 10.0, *_restart(million)),
        _bound("memory_100k", "resident memory, 100,000 crops, over 1.3 × vectors + model + 300 MB", "<=", 1.0,
               *_memory(loaded)),
        _bound("memory_1m", "resident memory, 1,000,000 crops, over 1.3 × vectors + model + 300 MB", "<=", 1.0,
               *_memory(million)),
        _bound("memory_flat", "growth of resident memory under an hour of mixed load, second half, MB an hour",
               "<=", 20.0, *_flat(soak)),
        _bound("overload_tail", "overload at 4 × capacity: p99 of accepted requests over p99 at capacity", "<=", 3.0,
               *_demand(flood, "p99 of accepted")),
        _bound("overload_refusals", "overload at 4 × capacity: refusals, p99, ms", "<=", 50.0,
               *_demand(flood, "refusals, p99")),
        _bound("overload_answers", "overload at 4 × capacity: answers that are neither 200 nor 503 with Retry-After",
               "<=", 0.0, *_demand(flood, "answers that are neither")),
    ]  # fmt: skip


def _bound(key: str, what: str, relation: str, bound: float, value: float | None, how: str) -> dict[str, Any]:
    holds = None if value is None else (value >= bound if relation == ">=" else value <= bound)
    rounded = None if value is None else round(value, 4)  # 0.7996 is less than 0.8, and is shown as such
    return {
        "key": key,
        "what": what,
        "relation": relation,
        "bound": bound,
        "value": rounded,
        "holds": holds,
        "how": how,
    }


Measured = tuple[float | None, str]
NOT: Measured = (None, "not measured in this run")


def _gallery(results: Results, crops: str) -> dict[str, Any]:
    found: dict[str, Any] = results.get("galleries", {}).get(crops, {})
    return found


def _in_turn(measured: Sequence[Turn], value: Callable[[Turn], float], how: Callable[[Turn], str]) -> Measured:
    """The median over the turns, and how the turn in the middle came about."""
    turns = sorted(measured, key=value)
    if not turns:
        return NOT
    spread = f"{len(turns)} turns, {value(turns[0]):.2f} to {value(turns[-1]):.2f}"
    return statistics.median(map(value, turns)), f"{how(turns[len(turns) // 2])}; {spread}"


def _throughput(gallery: dict[str, Any], ways: str) -> Measured:
    return _in_turn(
        gallery.get("turns", ()),
        lambda turn: turn["answered_per_s"] / turn["allowed_per_s"][ways],
        lambda turn: f"{turn['answered_per_s']:,.0f} of {turn['allowed_per_s'][ways]:,.0f} queries a second",
    )


def _added(gallery: dict[str, Any], ways: str) -> Measured:
    return _in_turn(
        gallery.get("turns", ()),
        lambda turn: turn["p50_ms"] - turn["alone_p50_ms"][ways],
        lambda turn: f"{turn['p50_ms']:.2f} ms over HTTP, {turn['alone_p50_ms'][ways]:.2f} ms alone",
    )


def _batched(gallery: dict[str, Any]) -> list[dict[str, Any]]:
    what = "batched exact search on CPU, 32 queries, 1,000,000 crops"
    sgemm = defaults = same = NOT
    if "alone" in gallery:
        alone = gallery["alone"]
        ours = alone["index"]["queries"][CLIENTS]["best_ms"]["median"]
        product = alone["sgemm"]["queries"][CLIENTS]["best_ms"]["median"]
        flat = alone["faiss"]["queries"][CLIENTS]["defaults_ms"]["median"]
        sgemm = (product / ours, f"{ours:.0f} ms, NumPy's sgemm {product:.0f} ms")
        defaults = (flat / ours, f"{ours:.0f} ms, IndexFlatIP {flat:.0f} ms")
        same = (float(alone["index"]["same_results"]), "against a brute force in NumPy, the best 10 of 32 queries")
    return [
        _bound("search_sgemm", f"{what}, over NumPy's sgemm", ">=", 0.7, *sgemm),
        _bound("search_defaults", f"{what}, over IndexFlatIP at its defaults", ">=", 2.0, *defaults),
        _bound("search_same", f"{what}, same results (1 for yes)", ">=", 1.0, *same),
    ]


def _bulk(gallery: dict[str, Any]) -> Measured:
    return _in_turn(
        gallery.get("bulk_turns", ()),
        lambda turn: turn["bulk_crops_per_s"] / turn["embed_per_s"],
        lambda turn: f"{turn['bulk_crops_per_s']:,.0f} crops a second, the network alone {turn['embed_per_s']:,.0f}",
    )


def _pause(pauses: dict[str, Any]) -> Measured:
    if not pauses:
        return NOT
    kind = max(pauses, key=lambda one: float(pauses[one]["pause_ms"]["median"]))
    worst, pause = pauses[kind], pauses[kind]["pause_ms"]
    how = f"{kind}: {worst['meanwhile_ms']['max']:.1f} ms of {worst['meanwhile_ms']['searches']:,} searches, beside "
    how += f"nothing {worst['idle_ms']['max']:.1f} of {worst['idle_ms']['searches']:,}"
    return pause["median"], f"{how}; {pause['runs']} runs, {pause['min']:.1f} to {pause['max']:.1f}"


def _restart(gallery: dict[str, Any]) -> Measured:
    ready = gallery.get("restart", {}).get("ready_s")
    return (ready["median"], f"{ready['min']:.2f}–{ready['max']:.2f} s over {ready['runs']}") if ready else NOT


def _memory(gallery: dict[str, Any]) -> Measured:
    found = gallery.get("memory", {}).get("after_load")
    if not found:
        return NOT
    of = f"{found['resident_mb']:,.0f} of {found['bound_mb']:,.0f} MB"
    return found["resident_mb"] / found["bound_mb"], f"{of}, with {found['crops']:,} crops after enrolment"


def _flat(soak: dict[str, Any]) -> Measured:
    if not soak or soak["seconds"] < 3600:
        return None, "not measured over an hour" + (f"; {soak['seconds']:.0f} s were" if soak else "")
    return soak["slope_mb_per_hour"], f"over {soak['seconds']:.0f} s"


def _demand(demands: list[dict[str, Any]], start: str) -> Measured:
    for one in demands:
        if one["what"].startswith(start) and one["value"] is not None:
            return float(one["value"]), f"{one['what']}; 200 people"
    return NOT
