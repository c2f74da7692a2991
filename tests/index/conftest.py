import pytest

from service.index.faiss_setup import tune_faiss
from tests.index.contract import LARGE_DIM


@pytest.fixture(autouse=True, scope="session")
def _tuned() -> None:
    tune_faiss(LARGE_DIM)
