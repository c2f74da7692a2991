"""The sections of docs/performance.md on what commands of their own measure: peers, GPU, soak."""

from typing import Any

from benchmarks.tables import spread, table


def soak_section(found: dict[str, Any] | None) -> str:
    """Resident memory over time."""
    if not found:
        return "Not measured yet: `make bench-soak SOAK_S=3600` takes an hour."
    head = (
        f"{found['seconds']:,.0f} s of queries, enrolments and removals with varying sizes, k and filters: "
        f"{found['requests']:,} requests, {found['failed']} of them failed (version "
        f"{found.get('machine', {}).get('commit', 'unknown')}). Resident memory grows by "
        f"{found['slope_mb_per_hour']:,.1f} MB an hour over the second half, "
        f"{found['slope_whole_mb_per_hour']:,.1f} over the whole run."
    )
    points = found["samples"][:: max(1, len(found["samples"]) // 12)]
    return head + "\n\n" + table(("after, s", "resident, MB"), [(f"{at:,.0f}", f"{mb:,.1f}") for at, mb in points])


def peers_section(found: dict[str, Any] | None) -> str:
    """The same vectors in other systems."""
    if not found:
        return "Not measured yet: `make bench-peers`."
    rows = []
    for name, one in found["systems"].items():
        if "error" in one:
            rows.append((name, one["error"], *[""] * 8))
            continue
        rows.append(
            (f"{name} {one.get('version', '')}", one["through"], *(
                spread(one[key], 2) if isinstance(one.get(key), dict) else "–"
                for key in ("load_s", "search_1_ms", "search_32_ms", "filtered_ms", "delete_ms", "restart_s")
            ), f"{one['recall']:.3f}", f"{one['recall_filtered']:.3f}")
        )  # fmt: skip
    head = ("system", "through", "load, s", "1 query, ms", "32 queries, ms", "1 filtered, ms", "delete, ms",
            "restart to first answer, s", "recall@10", "filtered recall@10")  # fmt: skip
    return str(
        f"{found['crops']:,} vectors of {found['dim']} dimensions, the same ones for all, one after the other in one "
        f"run on {found['machine']['cores']} cores of {found['machine']['cpu']}, load average "
        f"{found['machine']['load_average']}. Recall is against exact search; the filter keeps one crop in 16.\n\n"
        + table(head, rows)
        + "\n\n"
        + found["notes"]
    )


def gpu_section(found: dict[str, Any] | None) -> str:
    """What was measured on a GPU, or that nothing was."""
    if not found:
        return (
            "**Not measured.** No figure on this page was taken on a GPU. `make bench-gpu` measures, where CUDA is "
            "present: bytes a second of FAISS's flat index in fp16, by its own kernels and by cuVS, against the card's "
            "bandwidth at batches of 1, 16, 64 and 256 over 1,000,000 and 10,000,000 vectors; searches, additions, "
            "removals and a purge at 10,000,000 through the index of the service; the network on CUDA at batches of 1 "
            "to 32, alike and changing; and the whole service with both on the card."
        )
    flat = table(
        ("vectors", "kernels", "batch", "ms", "GB/s", "of the bandwidth"),
        [
            (
                f"{int(size):,}",
                way,
                batch,
                spread(one["ms"], 2),
                f"{one['gb_per_s']:,.0f}",
                f"{one['of_bandwidth']:.2f}",
            )
            for way, sizes in found["flat"].items()
            for size, batches in sizes.items()
            for batch, one in batches.items()
        ],
    )
    whole = table(
        ("clients, 100,000 crops, raw body", "answers/s", "p50, ms", "p99, ms"),
        [
            (clients, spread(one["answered_per_s"], 0), spread(one["p50_ms"]), spread(one["p99_ms"]))
            for clients, one in found.get("whole", {}).items()
        ],
    )
    embed = table(("batch", "pictures/s"), [(size, spread(one, 0)) for size, one in found.get("embed", {}).items()])
    index = table(
        ("through the service's index", "ms"), [(what, spread(one, 2)) for what, one in found.get("index", {}).items()]
    )
    missing = "; ".join(f"{what} ({why})" for what, why in found["not_measured"].items())
    parts = [
        f"{found['device']}, {found['bandwidth_gb_per_s']:,.0f} GB/s as measured by copying on the card, version "
        f"{found['machine']['commit']}.", flat, embed, index, whole, f"Not measured: {missing}" if missing else "",
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)
