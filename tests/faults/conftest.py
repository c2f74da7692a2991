from tests.crash.conftest import chance, seed

__all__ = ["chance", "seed"]
