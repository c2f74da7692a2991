"""Every kind of index by the one contract, and kinds that there are not."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import faiss
import pytest

from service.errors import IndexRefused
from service.index import scan
from service.index.kinds import EXACT, EXACT_HALVES, kind_of
from service.index.segmented import SegmentedIndex
from tests.index.contract import DIM, MakeIndex, VectorIndexContract
from tests.index.stand_in import StandIn

Background = Callable[[Callable[[], None]], object]
HALF = 1e-3  # similarity of vectors that are kept as float16


@pytest.fixture
def behind() -> Iterator[Background]:
    """A thread that seals beside the one that adds."""
    with ThreadPoolExecutor(1) as executor:
        yield executor.submit


def _at_once(work: Callable[[], None]) -> None:
    work()


class TestExact(VectorIndexContract):
    """Blocks so small that everything crosses them, middling ones that fill and are compacted, and one for all."""

    @pytest.fixture(params=[3, 64, 4096], ids=lambda rows: f"blocks of {rows}")
    def make_index(self, request: pytest.FixtureRequest) -> MakeIndex:
        return lambda dim: SegmentedIndex(dim, block_rows=request.param)


class TestSketched(VectorIndexContract):
    """With sketches from a few rows on, several rounds and two threads; else the contract has too few rows for them."""

    @pytest.fixture(autouse=True)
    def _from_few_rows_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scan, "SMALL", 8)
        monkeypatch.setattr(scan, "FIRST", 32)
        monkeypatch.setattr(scan, "PRODUCTS", 64)
        monkeypatch.setattr(scan, "SHARED", 64)
        monkeypatch.setattr(scan, "CROWDED", 2)

    @pytest.fixture(params=[EXACT, EXACT_HALVES], ids=lambda kind: kind.name)
    def make_index(self, request: pytest.FixtureRequest) -> MakeIndex:
        self.tolerance = HALF if request.param is EXACT_HALVES else self.tolerance
        return lambda dim: SegmentedIndex(dim, request.param, block_rows=64, threads=2)


class TestExactHalves(VectorIndexContract):
    tolerance = HALF

    @pytest.fixture(params=[16, 4096], ids=lambda rows: f"blocks of {rows}")
    def make_index(self, request: pytest.FixtureRequest) -> MakeIndex:
        return lambda dim: SegmentedIndex(dim, EXACT_HALVES, block_rows=request.param)


class TestApproximate(VectorIndexContract):
    """Kinds that lose nothing, so that all around them can be held to brute force: the accelerator has all rows of a
    segment, or all lists are probed. Sealed where it is added, and in the background."""

    @pytest.fixture(params=["Flat", "IVF2,Flat;nprobe=2"])
    def make_index(self, request: pytest.FixtureRequest, behind: Background) -> MakeIndex:
        background = behind if request.param == "Flat" else _at_once
        return lambda dim: SegmentedIndex(
            dim, kind_of(request.param, dim), block_rows=32, segment_rows=128, background=background
        )


class TestCard(VectorIndexContract):
    """With a stand-in for the card: what is tested is everything but FAISS's own code on it."""

    @pytest.fixture(params=[False, True], ids=["classic", "cuvs"])
    def make_index(self, request: pytest.FixtureRequest, behind: Background) -> MakeIndex:
        background = behind if request.param else _at_once
        return lambda dim: SegmentedIndex(
            dim, kind_of("gpu", dim, StandIn(cuvs=request.param)), block_rows=32, segment_rows=128,
            background=background,
        )  # fmt: skip


@pytest.mark.gpu
@pytest.mark.skipif(not faiss.get_num_gpus(), reason="FAISS sees no CUDA card here")
class TestRealCard(VectorIndexContract):
    @pytest.fixture
    def make_index(self) -> MakeIndex:
        return lambda dim: SegmentedIndex(dim, kind_of("gpu", dim), block_rows=512, segment_rows=4096)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("IVFx", "could not parse index string IVFx"),
        ("", "could not parse"),
        ("IVF16,SQ8;nprob=3", "could not set parameter nprob"),
        ("PQ3", "multiple of the number of subquantizers"),
        ("IDMap,Flat", "cannot be built of 1 rows: add does not make sense"),
        ("gpu", "needs a GPU build of FAISS"),
        ("Exact", "could not parse"),
    ],
)
def test_a_kind_that_there_is_not_is_refused_with_the_reason(name: str, said: str) -> None:
    with pytest.raises(IndexRefused, match=said):
        kind_of(name, DIM)


def test_a_gpu_build_that_sees_no_card_is_refused() -> None:
    with pytest.raises(IndexRefused, match="sees no card"):
        kind_of("gpu", DIM, StandIn(cards=0))
