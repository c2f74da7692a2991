"""What is measured of each kind of index, and what is recommended."""

from dataclasses import replace

import numpy as np
import pytest

from service.errors import IndexRefused
from service.index import advice as advising
from service.index.accelerators import Accelerator, Source
from service.index.advice import Measured, advise, kinds_for, recommend
from service.index.kinds import EXACT
from tests.index.brute_force import unit_vectors

ROWS, DIM = 1500, 32


def test_kinds_are_measured_on_the_vectors_that_are_given() -> None:
    vectors, tried = unit_vectors(ROWS, DIM, seed=1), []
    queries = unit_vectors(20, DIM, seed=2)
    kinds = ["exact", "exact-fp16", "IVF8,SQ8;nprobe=8", "IVF8,Flat;nprobe=1", "IVFx", "gpu"]
    advice = advise(vectors, queries, kinds, budget_ms=1000, threads=1, block_rows=500, note=tried.append)
    assert tried == kinds
    by_kind = {one.kind: one for one in advice.measured}
    assert by_kind["exact"].recall == 1
    assert by_kind["exact-fp16"].recall > 0.97
    sketch_and_id = DIM + 4 + 8
    assert by_kind["exact"].bytes == ROWS * (DIM * 4 + sketch_and_id)
    assert by_kind["exact-fp16"].bytes == ROWS * (DIM * 2 + sketch_and_id)
    assert by_kind["IVF8,SQ8;nprobe=8"].recall > 0.97
    assert by_kind["IVF8,SQ8;nprobe=8"].bytes > by_kind["exact"].bytes + ROWS * DIM
    assert by_kind["IVF8,Flat;nprobe=1"].recall < 0.8, "one list in eight cannot find all"
    assert all(one.single_ms > 0 and one.batch_ms > 0 for one in advice.measured if not one.refused)
    assert "could not parse" in by_kind["IVFx"].refused
    assert "needs a GPU build" in by_kind["gpu"].refused
    assert (advice.kind, advice.vectors, advice.dim) == ("exact", ROWS, DIM)


def test_exact_is_recommended_as_long_as_it_answers_in_time() -> None:
    exact, fast = Measured("exact", 1, 40), Measured("fast", 0.995, 2)
    assert recommend([exact, fast], 50)[0] == "exact"
    assert recommend([exact, fast], 39)[0] == "fast"


def test_what_finds_too_little_is_not_recommended_however_fast() -> None:
    measured = [
        Measured("exact", 1, 40),
        Measured("hasty", 0.98, 1),
        Measured("good", 0.99, 10),
        Measured("no", refused="no"),
    ]
    assert recommend(measured, 20) == ("good", "exact takes 40.0 ms; this is the fastest that finds 99 of 100")
    kind, reason = recommend(measured, 5)
    assert kind == "good"
    assert "nothing that finds 99 of 100 answers within 5 ms" in reason


def test_approximate_kinds_are_tried_where_there_is_something_to_seal() -> None:
    assert kinds_for(10_000) == ["exact", "exact-fp16", "gpu"]
    assert "IVF1024,SQ8;nprobe=128" in kinds_for(100_000)
    assert any(kind.startswith("HNSW") for kind in kinds_for(100_000))
    assert not any(kind.startswith("HNSW") for kind in kinds_for(1_000_000))


def test_the_vectors_of_several_blocks_are_found_by_each_kind() -> None:
    vectors = unit_vectors(ROWS, DIM, seed=3)
    advice = advise(vectors, vectors[:5], ["exact", "Flat"], budget_ms=0, threads=1, block_rows=100)
    assert [one.recall for one in advice.measured] == [1, 1]
    assert np.isfinite([one.build_s for one in advice.measured]).all()


def test_a_kind_that_is_not_built_of_so_few_vectors_is_not_taken_for_exact() -> None:
    vectors, queries = unit_vectors(ROWS, DIM, seed=1), unit_vectors(20, DIM, seed=2)
    advice = advise(vectors, queries, ["exact", "HNSW32", "IVF64,SQ8"], budget_ms=0, threads=1, block_rows=1600)
    assert advice.kind == "exact"
    refused = {one.kind: one.refused for one in advice.measured}
    assert refused["HNSW32"].startswith("it is built from 1,600 vectors on, and fewer are compared one by one")
    assert refused["IVF64,SQ8"].startswith("it is built from 3,200 vectors on")


def test_a_kind_that_could_not_be_built_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(source: Source) -> Accelerator:
        raise IndexRefused("the card has no room")

    kinds = {"exact": EXACT, "Flat": replace(EXACT, name="Flat", build=no_room)}
    monkeypatch.setattr(advising, "kind_of", lambda name, dim: kinds[name])
    found = advise(unit_vectors(ROWS, DIM, seed=1), unit_vectors(20, DIM, seed=2), ["exact", "Flat"], budget_ms=0,
                   threads=1, block_rows=100)  # fmt: skip
    assert [one.refused for one in found.measured] == ["", "the card has no room"]
