"""Tables of docs/performance.md. Each takes a part of results.json and gives Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.bounds import OWN, RAW, allowed_per_s, alone_p50_ms
from benchmarks.filling import CAMERAS
from benchmarks.serving import STAGES

NOTHING = "Not measured in this run."


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; says so where it has no rows."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    if not lines:
        return NOTHING
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *lines])


def spread(found: dict[str, float] | None, digits: int = 1) -> str:
    """A figure: median, and least and most where it was measured several times; a dash for none."""
    if found is None:
        return "–"
    text = f"{found['median']:,.{digits}f}"
    return text if found["runs"] < 2 else f"{text} ({found['min']:,.{digits}f}–{found['max']:,.{digits}f})"


def count(crops: str) -> str:
    """A size of a gallery."""
    return f"{int(crops):,}"


def by_size(galleries: dict[str, Any]) -> list[tuple[str, Any]]:
    """Smallest first."""
    return sorted(galleries.items(), key=lambda item: int(item[0]))


def machine_table(results: dict[str, Any]) -> str:
    """What it was measured on."""
    machine = results["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    generator = results["generator"]
    note = "" if generator == "wrk" else " (wrk was not to be had; this takes more of the cores)"
    return table(
        ("", ""),
        [
            ("CPU", f"{machine['cpu']}, {machine['cores']} cores"),
            ("memory", f"{machine['memory_gb']} GiB, {machine['memory_free_gb']} GiB of it free before the run"),
            ("load average before the run", machine["load_average"]),
            ("system", f"{machine['system']}, Python {machine['python']}"), ("libraries", libraries),
            ("load generator", generator + note), ("version", machine["commit"]),
            ("measured", f"{machine['measured_at']}, took {results.get('took_s', 0):,.0f} s"),
        ],
    )  # fmt: skip


def runs_table(galleries: dict[str, Any]) -> str:
    """When each size was measured, and how busy the machine was before: above 1, others were at work."""
    return table(
        ("crops", "what", "measured", "version", "load average before", "runs under load"),
        [
            (count(crops), what, one["measured_at"], one.get("commit", ""), one["load_average"],
             f"{found['plan']['repeats']} of {found['plan']['seconds']:g} s" if "plan" in found else "")
            for crops, found in by_size(galleries)
            for what, one in (("alone", found.get("alone", {})), ("service", found if "restart" in found else {}))
            if "load_average" in one
        ],
    )  # fmt: skip


def bounds_table(bounds: list[dict[str, Any]]) -> str:
    """Each bound of the design with what was measured."""
    words = {True: "holds", False: "**does not hold**", None: "not measured"}
    return table(
        ("what", "bound", "measured", "", "how"),
        [
            (one["what"], f"{'≥' if one['relation'] == '>=' else '≤'} {one['bound']:g}",
             "" if one["value"] is None else f"{one['value']:,}", words[one["holds"]], one["how"])
            for one in bounds
        ],
    )  # fmt: skip


def alone_table(galleries: dict[str, Any]) -> str:
    """Decode, embed, search alone, and what they allow together."""
    rows: list[tuple[object, ...]] = []
    for crops, found in by_size(galleries):
        alone = found["alone"]
        for number, searched in alone["faiss"]["queries"].items():
            rows.append(
                (count(crops), number, spread(searched["defaults_ms"], 2), spread(searched["best_ms"], 2),
                 spread(alone["sgemm"]["queries"][number]["best_ms"], 2),
                 spread(alone["index"]["queries"][number]["best_ms"], 2))
            )  # fmt: skip
    searches = table(
        ("crops", "queries", "IndexFlatIP, ms", "IndexFlatIP at its best, ms", "sgemm alone, ms", "our index, ms"), rows
    )
    parts = table(
        ("beside crops", "decode, pictures/s", "way", "embed, pictures/s", "way",
         "allowed queries/s, raw search", "own index",
         "alone p50, ms, raw search", "own index"),
        [
            (count(crops), spread(found["alone"]["decode"]["per_s"], 0), found["alone"]["decode"]["best"],
             spread(found["alone"]["embed"]["per_s"], 0), found["alone"]["embed"]["best"],
             *(f"{allowed_per_s(found['alone'], ways):,.0f}" for ways in (RAW, OWN)),
             *(f"{alone_p50_ms(found['alone'], ways):.2f}" for ways in (RAW, OWN)))
            for crops, found in by_size(galleries)
        ],
    )  # fmt: skip
    return (
        f"{parts}\n\nAllowed is 1 / (1/decode + 1/embed + 1/search), each at its best on all cores.\n\n{searches}"
        "\n\nsgemm is the product only, without choosing the best rows."
    )


def load_table(galleries: dict[str, Any]) -> str:
    """The service and the naive one, by clients and kind of body."""
    rows = []
    for crops, found in by_size(galleries):
        for kind, by_clients in found["load"]["service"].items():
            for clients, ours in by_clients.items():
                naive = found["load"].get("naive", {}).get(kind, {}).get(clients)
                rows.append(
                    (count(crops), kind, clients, spread(ours["answered_per_s"], 0), spread(ours["p50_ms"]),
                     spread(ours["p99_ms"]), f"{ours['refused']:,}", f"{ours['generator_cores']['median']:.2f}",
                     spread(naive["answered_per_s"], 0) if naive else "", spread(naive["p99_ms"]) if naive else "")
                )  # fmt: skip
    return table(
        ("crops", "body", "clients", "answers/s", "p50, ms", "p99, ms", "refused", "cores of the generator",
         "naive, answers/s", "naive p99, ms"), rows,
    ) + (
        "\n\nRefused are answers with 503: `REAPPEAR_MAX_WAITING` says how many queries are taken at once, and clients "
        "here ask again at once. Latencies are over all answers, refusals included; answers/s are without them. "
        "They are wrk's, which adds answers that were not asked for while a long one was waited for: where times are "
        "spread wide, p50 and p99 are higher than what clients saw, of both services."
    )  # fmt: skip


def stage_table(galleries: dict[str, Any]) -> str:
    """Mean time of each stage, raw bodies."""
    rows = []
    for crops, found in by_size(galleries):
        for clients, ours in found["load"]["service"].get("raw", {}).items():
            means = [ours["stages"].get(stage, {}).get("mean_ms") for stage in STAGES]
            cells = ["" if mean is None else f"{mean:,.2f}" for mean in means]
            rows.append((count(crops), clients, *cells, _whole(ours), f"{ours['service_cores']:.2f}"))
    head = ("crops", "clients", *(f"{stage}, ms" for stage in STAGES), "whole, p50, ms", "cores of the service")
    return (
        table(head, rows)
        + "\n\nMeans of the service's own /metrics; waiting for a place in a batch is part of a stage."
    )


def _whole(run: dict[str, Any]) -> str:
    return "" if run["refused"] else spread(run["p50_ms"])


def filter_table(galleries: dict[str, Any]) -> str:
    """What it costs to ask for some cameras only."""
    return table(
        ("crops", "cameras", "answers/s", "p50, ms", "p99, ms", "p50 over that of all cameras"),
        [
            (count(crops), f"{cameras} of {CAMERAS}", spread(one["answered_per_s"], 0), spread(one["p50_ms"], 2),
             spread(one["p99_ms"], 1), f"{one['p50_ms']['median'] / filters[str(CAMERAS)]['p50_ms']['median']:.2f}")
            for crops, found in by_size(galleries)
            if (filters := found.get("filters"))
            for cameras, one in filters.items()
        ],
    ) + (
        f"\n\nOne client, crops spread evenly over {CAMERAS} cameras, runs in turn. Whom a filter allows is read "
        "from the database once, and remembered until something is written."
    )  # fmt: skip


def enrolment_table(galleries: dict[str, Any]) -> str:
    """Crops a second, acknowledged durable."""
    return table(
        ("crops", "how", "crops/s", "p50 of a request, ms", "p99, ms", "ms per crop"),
        [
            (count(crops), way, spread(one["crops_per_s"], 0), spread(one["p50_ms"]), spread(one["p99_ms"]),
             one["ms_per_crop"])
            for crops, found in by_size(galleries)
            for way, one in found.get("enrolment", {}).items()
        ],
    )  # fmt: skip


def memory_table(galleries: dict[str, Any]) -> str:
    """Restart and resident memory."""
    return table(
        ("crops", "first start, s", "stop, s", "ready after restart, s", "resident, ready, MB", "bound, MB",
         "after load and enrolment, MB", "of it not of files, MB", "crops by then", "bound then, MB"),
        [
            (count(crops), found["first_start_s"], spread(found["restart"]["stop_s"], 2),
             spread(found["restart"]["ready_s"], 2), f"{found['memory']['ready']['resident_mb']:,.0f}",
             f"{found['memory']['ready']['bound_mb']:,.0f}", f"{found['memory']['after_load']['resident_mb']:,.0f}",
             f"{found['memory']['after_load']['anonymous_mb']:,.0f}", f"{found['memory']['after_load']['crops']:,}",
             f"{found['memory']['after_load']['bound_mb']:,.0f}")
            for crops, found in by_size(galleries)
            if "restart" in found
        ],
    )  # fmt: skip


def overload_table(found: dict[str, Any] | None) -> str:
    """Requests at four times the capacity."""
    if not found:
        return NOTHING
    return table(
        ("", "answered/s", "accepted p50, ms", "accepted p99, ms", "refused p50, ms", "refused p99, ms"),
        [
            (name, one["answered_per_s"], one["accepted"]["p50_ms"], one["accepted"]["p99_ms"],
             one["refused"]["p50_ms"], one["refused"]["p99_ms"])
            for name, one in ((name, found[name]) for name in ("capacity", "flood", "afterwards"))
        ],
    )  # fmt: skip


def growth_table(growth: dict[str, Any]) -> str:
    """Points and fitted exponents."""
    rows = []
    for one in growth.values():
        fit, points = one["fit"], "; ".join(f"{x:,.0f}: {y:,.3g}" for x, y in one["points"])
        exponent = "too few points" if fit is None else f"{fit['exponent']:.2f} (r² {fit['r2']:.2f})"
        last = "" if one["last"] is None else f"{one['last']:.2f}"
        rows.append((f"{one['what']}, {one['unit']}", one["against"], points, exponent, last))
    return table(("what", "against", "points", "exponent", "of the last two"), rows) + (
        "\n\nValue = factor · size^exponent by least squares of the logarithms, galleries of 10,000 and more: 0 is "
        "flat, 1 is in proportion. What a small gallery costs too (300 MB, a second to start) lowers the exponent of "
        "all points; that of the last two tells more of what comes after them."
    )
