"""`make bench`: everything in one run, side by side on the same cores, into benchmarks/results.json and from there into
docs/performance.md. `--only` and `--sizes` measure a part again and leave the rest as it is."""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

from benchmarks.bounds import LOADED
from benchmarks.galleries import Scope, measure_gallery, prepare
from benchmarks.generator import name_of_generator
from benchmarks.machine import ROOT, describe_machine, ensure_wrk
from benchmarks.report import RESULTS, write_report, write_results
from benchmarks.serving import Plan

FORMAT = 1
PARTS = ("alone", "service", "pauses", "overload")
FULL_SIZES = (1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
QUICK_SIZES = (1_000, 10_000, 100_000)
LOAD = (1_000, 100_000, 1_000_000)  # the others only show the growth
KS_AT = 100_000  # and filters from there on: in smaller galleries the search takes too little to tell
CROPS_PER_S = 150_000  # at least so long under load: a run in which nothing is answered tells nothing
FULL = Plan(seconds=5, repeats=3, turns=5, rounds=3, clients=(1, 8, 32, 128), naive_clients=(1, 8, 32, 128))
QUICK = Plan(seconds=1, repeats=2, turns=2, rounds=1, clients=(1, 8, 32, 128), naive_clients=(1, 32))


def main() -> int:
    """Exit status 0 also where a bound does not hold: this tells, it does not judge."""
    arguments = _arguments()
    usual = QUICK_SIZES if arguments.quick else FULL_SIZES
    sizes = arguments.sizes or usual
    if arguments.prepare:
        for crops in sizes:
            prepare(crops)
        return 0
    began = time.perf_counter()
    ensure_wrk()
    results = read_results() if arguments.sizes or set(arguments.only) != set(PARTS) else {}
    results |= {"format": FORMAT, "quick": arguments.quick, "machine": describe_machine()}
    results["generator"] = name_of_generator()
    if results["generator"] != "wrk":
        _say("wrk is not here and cannot be installed: benchmarks.load takes its place, and more of the cores")
    galleries = results.setdefault("galleries", {})
    for crops in sizes if {"alone", "service"} & set(arguments.only) else ():
        scope = _scope(crops, arguments)
        galleries[str(crops)] = galleries.get(str(crops), {}) | measure_gallery(crops, scope, _say)
        write_results(results)
    if "pauses" in arguments.only:
        _say("pauses")
        results["pauses"] = measure_pauses(quick=arguments.quick)
    if "overload" in arguments.only:
        _say("overload")
        results["overload"] = measure_overload(2 if arguments.quick else 8)
    results["took_s"] = round(time.perf_counter() - began, 1)
    write_results(results)
    write_report(results)
    for one in results["bounds"]:
        print(f"{_word(one['holds'])} {one['what']}: {one['value']} ({one['relation']} {one['bound']}) – {one['how']}")
    return 0


def read_results() -> dict[str, Any]:
    """What was measured before; empty where nothing was."""
    if not RESULTS.exists():
        return {}
    found: dict[str, Any] = json.loads(RESULTS.read_text())
    return found


def measure_overload(seconds: float) -> dict[str, Any]:
    """What `make bench-overload` measures, in a process of its own."""
    path = ROOT / "benchmarks" / "results" / "overload.json"
    path.unlink(missing_ok=True)
    subprocess.run(
        [sys.executable, "-m", "benchmarks.overload"], cwd=ROOT, env={**os.environ, "BENCH_S": str(seconds)},
        stdout=subprocess.DEVNULL, check=False,  # 1 where a demand does not hold
    )  # fmt: skip
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def measure_pauses(*, quick: bool) -> dict[str, Any]:
    """How long searches wait for what the index does beside them, in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.pauses", *(["--quick"] if quick else [])],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def _scope(crops: int, arguments: argparse.Namespace) -> Scope:
    load, quick, plan = crops in LOAD, arguments.quick, QUICK if arguments.quick else FULL
    return Scope(
        alone="alone" in arguments.only, service="service" in arguments.only, load=load,
        turns=str(crops) == LOADED, filters=load and crops >= KS_AT, ks=crops == KS_AT,
        restarts=1 if quick or not load else 3, raw_seconds=0.2 if quick else 1.0,
        plan=replace(plan, seconds=max(arguments.seconds or plan.seconds, crops / CROPS_PER_S)),
    )  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller galleries and shorter runs: five minutes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="the others stay as they are")
    parser.add_argument("--sizes", nargs="+", type=int, help="galleries to measure; the others stay as they are")
    parser.add_argument("--seconds", type=float, help="of each run under load, instead of 5, or 1 where quick")
    parser.add_argument("--prepare", action="store_true", help="only fill the galleries, for a run that follows")
    return parser.parse_args()


def _word(holds: bool | None) -> str:
    return {True: "holds  ", False: "FAILS  ", None: "unknown"}[holds]


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
