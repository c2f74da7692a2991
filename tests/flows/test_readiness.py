"""Whether the service may answer yet, and why not."""

import shutil
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service import app, start
from service.config import Settings
from service.errors import DatabaseRefused, NotReady
from service.flows.loading import load_galleries
from service.flows.readiness import Readiness
from service.index.gallery import Galleries
from service.index.segmented import SegmentedIndex
from tests.api.holdings import PATIENCE_S, wait_for
from tests.flows.indexed import PEOPLE, index_of, serving, sources
from tests.pictures import jpeg


def reason(loading: "Future[None]") -> tuple[str, str]:
    with pytest.raises(NotReady) as error:
        Readiness(loading, Galleries(lambda: SegmentedIndex(4))).check()
    return error.value.error_code, error.value.detail


def test_it_says_whether_the_index_is_loading_or_why_it_could_not_be_loaded() -> None:
    loading: Future[None] = Future()
    assert reason(loading)[0] == "LOADING"
    loading.set_exception(MemoryError("no room for 10 GB"))
    code, detail = reason(loading)
    assert code == "LOAD_FAILED"
    assert "the log says why" in detail
    assert "10 GB" not in detail, "anybody may ask"
    refused: Future[None] = Future()
    refused.set_exception(DatabaseRefused("not like this", code="MODEL_MISMATCH"))
    assert reason(refused) == ("MODEL_MISMATCH", "not like this")
    loaded: Future[None] = Future()
    loaded.set_result(None)
    Readiness(loaded, Galleries(lambda: SegmentedIndex(4))).check()


def test_while_the_index_loads_it_lives_and_says_so_and_answers_nothing_else(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slowly(*arguments: object) -> None:
        assert go_on.wait(PATIENCE_S)
        load_galleries(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(start, "load_galleries", slowly)
    (tmp_path / "own.db").write_bytes(sqlite_template.read_bytes())
    settings = Settings(data_dir=tmp_path / "data", database_url=f"sqlite:///{tmp_path / 'own.db'}", log_level="error")
    with TestClient(app.create_app(settings), base_url="http://127.0.0.1") as client:
        try:
            assert client.get("/livez").status_code == 200
            assert "reappear_ready 0.0" in client.get("/metrics").text
            for method, path in (("GET", "/readyz"), ("GET", "/gallery"), ("POST", "/query"), ("GET", "/audit")):
                answer = client.request(method, path, content=jpeg(1), headers={"Content-Type": "image/jpeg"})
                assert (answer.status_code, answer.json()["error"]) == (503, "LOADING"), path
                assert int(answer.headers["retry-after"]) >= 1
        finally:
            go_on.set()
        wait_for(lambda: client.get("/readyz").status_code == 200)
        assert "reappear_ready 1.0" in client.get("/metrics").text


@pytest.mark.parametrize("source", ["snapshot", "database"])
def test_a_stop_does_not_wait_for_the_load_and_keeps_the_snapshot(
    source: str, filled: Settings, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == "database":
        shutil.rmtree(index_of(filled))
    reached = threading.Event()

    def slowly(*arguments: Any) -> None:
        *others, go_on = arguments

        def wait_and_go_on() -> None:
            reached.set()
            while True:
                go_on()
                time.sleep(0.001)

        load_galleries(*others, wait_and_go_on)

    with monkeypatch.context() as patched:
        patched.setattr(start, "load_galleries", slowly)
        with TestClient(app.create_app(filled), base_url="http://127.0.0.1") as client:
            assert reached.wait(PATIENCE_S)
            assert client.get("/readyz").json()["error"] == "LOADING"
    log.clear()
    with serving(filled) as client:
        assert len(client.get("/gallery").json()["identities"]) == PEOPLE - 1
    assert sources(log) == [(PEOPLE + 1, 0) if source == "snapshot" else (0, PEOPLE + 1)]
    assert "not used" not in log.text
