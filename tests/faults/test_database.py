"""A database that goes away and comes back, is locked by another program, or has its file taken away."""

import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.crash.audit import audit
from tests.crash.crowd import JPEG, Crowd
from tests.crash.oracle import Oracle
from tests.damage import spoil_table
from tests.faults.proxy import Proxy
from tests.pictures import jpeg
from tests.server import Server

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CUTS = 4
PATIENCE_S = 20


@pytest.fixture
def line(database_url: str) -> Iterator[Proxy]:
    line = Proxy(make_url(database_url))
    yield line
    line.close()


@pytest.fixture
def far(line: Proxy, tmp_path: Path) -> Iterator[Server]:
    """A service whose database is at the end of a line."""
    server = Server(tmp_path / "data", line.url.render_as_string(hide_password=False))
    server.start()
    yield server
    server.stop()


def enrol(client: httpx.Client, seed: int) -> httpx.Response:
    return client.post(f"/gallery?identity=p-{seed}", content=jpeg(seed), headers=JPEG)


def wait_until_enrolled(client: httpx.Client, seed: int) -> None:
    """It works again by itself, and what it answers until then says that it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while (answer := enrol(client, seed)).status_code != 201:
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


@on_postgresql
def test_without_its_database_the_service_says_so_and_comes_back_by_itself(
    far: Server, line: Proxy, database_url: str
) -> None:
    with httpx.Client(base_url=far.url, timeout=30) as client:
        assert enrol(client, 1).status_code == 201
        line.cut()
        for refused in (
            enrol(client, 2),
            client.post("/query", content=jpeg(1), headers=JPEG),
            client.get("/gallery"),
            client.delete("/gallery/p-1"),
        ):
            assert (refused.status_code, refused.json()["error"]) == (503, "DATABASE_DOWN"), refused.text
            assert int(refused.headers["retry-after"]) >= 1
            assert "database" in refused.json()["detail"]
        assert client.get("/livez").status_code == 200
        line.mend()
        wait_until_enrolled(client, 3)
        answer = client.post("/query", content=jpeg(1), headers=JPEG)
        assert answer.json()["candidates"][0]["identity"] == "p-1"
        assert 'status="500"' not in client.get("/metrics").text
    assert [row.identity for row in audit(database_url, far.data_dir)] == ["p-1", "p-3"]


@on_postgresql
@pytest.mark.parametrize("failure", ["gone", "silent"])
def test_while_its_database_does_not_answer_the_metrics_say_soon_that_the_service_is_not_ready(
    failure: str, far: Server, line: Proxy
) -> None:
    with httpx.Client(base_url=far.url, timeout=PATIENCE_S) as client:
        assert "\nreappear_ready 1.0" in client.get("/metrics").text
        (line.cut if failure == "gone" else line.silence)()
        for _ in range(3):
            metrics = client.get("/metrics").text
            assert "\nreappear_ready 0.0" in metrics
            assert "\nreappear_outbox_pictures NaN" in metrics
            refused = client.get("/readyz")
            assert (refused.status_code, refused.json()["error"]) == (503, "DATABASE_DOWN")
        line.mend()
        far.wait_until_ready()
        assert "\nreappear_ready 1.0" in client.get("/metrics").text


@on_postgresql
def test_a_database_that_is_cut_off_again_and_again_under_load_loses_nothing(
    far: Server, line: Proxy, database_url: str, chance: random.Random
) -> None:
    oracle = Oracle()
    crowd = Crowd(far.url, oracle, clients=6, seed=chance.randrange(2**32))
    crowd.start()
    for _ in range(CUTS):
        time.sleep(chance.uniform(0.4, 1.0))
        line.cut()
        time.sleep(chance.uniform(0, 0.5))
        line.mend()
    time.sleep(0.5)
    with httpx.Client(base_url=far.url, timeout=30) as client:
        wait_until_enrolled(client, 1)
        assert client.delete("/gallery/p-1").status_code == 200
    crowd.stop()
    print(crowd.statuses, oracle.count())
    assert crowd.failures == []
    assert crowd.statuses.keys() == {"200", "201", "503"}
    assert oracle.count()["enrolments done"] > 20
    far.stop()
    far.start()  # which settles what was in doubt
    assert oracle.problems(audit(database_url, far.data_dir)) == []


@on_postgresql
def test_a_database_that_comes_back_read_only_refuses_changes_with_the_remedy_and_answers_queries(
    far: Server, line: Proxy, database_url: str
) -> None:
    """As a standby is that the line now leads to."""

    def set_read_only(value: str) -> None:
        with psycopg.connect(make_url(database_url).set(drivername="postgresql").render_as_string(False)) as connection:
            connection.read_only = False
            name = connection.info.dbname
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")  # type: ignore[arg-type]
        line.cut()
        line.mend()

    with httpx.Client(base_url=far.url, timeout=30) as client:
        assert enrol(client, 1).status_code == 201
        set_read_only("on")
        for refused in (enrol(client, 2), client.delete("/gallery/p-1")):
            assert (refused.status_code, refused.json()["error"]) == (503, "DATABASE_DOWN"), refused.text
            assert "read-only" in refused.json()["detail"]
        answer = client.post("/query", content=jpeg(1), headers=JPEG)
        assert answer.json()["candidates"][0]["identity"] == "p-1"
        set_read_only("DEFAULT")
        wait_until_enrolled(client, 3)
    assert [row.identity for row in audit(database_url, far.data_dir)] == ["p-1", "p-3"]


@on_postgresql
def test_after_its_database_was_gone_a_service_still_keeps_others_out_of_it(
    far: Server, line: Proxy, database_url: str, tmp_path: Path
) -> None:
    line.cut()
    line.mend()
    with httpx.Client(base_url=far.url, timeout=30) as client:
        wait_until_enrolled(client, 1)
        other = Server(tmp_path / "other", database_url)
        other.launch()
        try:
            assert other.wait_for_death() == 3
        finally:
            other.stop()
        assert "another service uses this database" in other.log.read_text()
        assert enrol(client, 2).status_code == 201


@on_sqlite
def test_a_database_that_another_program_keeps_locked_is_waited_for_and_then_said_to_be_locked(
    server: Server, database_url: str
) -> None:
    other = sqlite3.connect(make_url(database_url).database or "", isolation_level=None)
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert enrol(client, 1).status_code == 201
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        refused = enrol(client, 2)
        assert (refused.status_code, refused.json()["error"]) == (503, "DATABASE_DOWN")
        assert "locked" in refused.json()["detail"]
        assert 4 < time.monotonic() - begun < 15, "a short lock is waited for, a long one is not"
        assert client.post("/query", content=jpeg(1), headers=JPEG).status_code == 200
        other.execute("ROLLBACK")
        other.close()
        assert enrol(client, 3).status_code == 201
    assert [row.identity for row in audit(database_url, server.data_dir)] == ["p-1", "p-3"]


@on_sqlite
@pytest.mark.parametrize("replaced", [False, True], ids=["moved", "replaced by a copy"])
def test_nothing_is_acknowledged_into_a_database_file_that_is_no_longer_in_its_place(
    replaced: bool, server: Server, database_url: str
) -> None:
    path = Path(make_url(database_url).database or "")
    aside = path.with_name("aside.db")
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert enrol(client, 1).status_code == 201
        path.rename(aside)
        if replaced:
            shutil.copy(aside, path)
        for refused in (enrol(client, 2), client.delete("/gallery/p-1"), client.get("/gallery")):
            assert (refused.status_code, refused.json()["error"]) == (503, "DATABASE_DOWN"), refused.text
            assert "put it back" in refused.json()["detail"]
        aside.rename(path)
        assert enrol(client, 3).status_code == 201
    assert [row.identity for row in audit(database_url, server.data_dir)] == ["p-1", "p-3"]


@on_sqlite
def test_nothing_is_acknowledged_into_a_database_file_once_it_is_known_to_be_damaged(
    server: Server, database_url: str
) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert enrol(client, 1).status_code == 201
        server.stop()
        spoil_table(Path(make_url(database_url).database or ""), "identities")
        server.start()  # which does not read that page
        for refused in (
            client.post("/query", content=jpeg(1), headers=JPEG),
            enrol(client, 2),
            client.get("/collections"),
            client.get("/readyz"),
        ):
            assert (refused.status_code, refused.json()["error"]) == (503, "DATABASE_DAMAGED"), refused.text
            assert "restore the last backup" in refused.json()["detail"]
        assert client.get("/livez").status_code == 200
        assert "reappear_ready 0.0" in client.get("/metrics").text
    server.stop()
    told = [line for line in server.log.read_text().splitlines() if '"CRITICAL"' in line]
    assert len(told) == 1, "once, and not with each request"
