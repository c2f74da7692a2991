"""Requests for which there is no room: what is refused, how, and when."""

import asyncio
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from service.api import refusals
from service.api.refusals import EACH, HELD_S, MOST, Refusals
from service.flows.admission import BULK_PLACES, Lane
from service.telemetry import Telemetry
from tests.api.conftest import running
from tests.api.holdings import holdings, parts_of, wait_for, writer_held
from tests.api.sending import form, raw
from tests.pictures import jpeg


def test_a_full_service_refuses_at_once_and_does_nothing_of_the_request(tmp_path: Path, sqlite_url: str) -> None:
    with running(tmp_path / "data", sqlite_url, max_waiting=1) as client:
        client.post("/gallery", **raw(jpeg(1), identity="p-1"))
        before = holdings(client, tmp_path / "data")
        admission = parts_of(client).admission
        for lane, path, sent in (
            (Lane.QUERY, "/query", raw(jpeg(1))),
            (Lane.QUERY, "/embed", raw(jpeg(1))),
            (Lane.QUERY, "/compare", {"json": {"a": {"crop": 1}, "b": {"crop": 1}}}),
            (Lane.BULK, "/gallery", raw(jpeg(2), identity="p-2")),
        ):
            with admission.enter(BULK_PLACES if lane is Lane.BULK else 1, lane):
                began = time.monotonic()
                answer = client.post(path, **sent)
                assert time.monotonic() - began < 1
                assert (answer.status_code, answer.json()["error"]) == (503, "OVERLOADED")
                assert int(answer.headers["retry-after"]) >= 1
        assert holdings(client, tmp_path / "data") == before
        with admission.enter(1, Lane.BULK):
            assert client.post("/query", **raw(jpeg(1))).status_code == 200, "enrolment does not shut out queries"
        assert client.post("/query", **form("image", [jpeg(1), jpeg(2)])).status_code == 200, "alone it is taken"


def test_a_request_for_which_there_is_no_place_is_refused_with_all_an_answer_has_and_one_line_a_second(
    tmp_path: Path, sqlite_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("service.api.refusals"), "handlers", [caplog.handler])
    caplog.set_level("WARNING", "service.api.refusals")
    with running(tmp_path / "data", sqlite_url, max_waiting=1) as client:
        admission = parts_of(client).admission
        admission.come(Lane.QUERY)
        answers = [client.post("/query", **raw(jpeg(1))) for _ in range(3)]
        admission.go(Lane.QUERY)
        fine = client.post("/query", **raw(jpeg(1)))
        wait_for(lambda: sum(line.__dict__.get("refused", 0) for line in caplog.records) == 3)
        metrics = client.get("/metrics").text
    assert fine.status_code == 200
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]) == (503, "OVERLOADED")
        assert answer.headers.keys() - fine.headers.keys() == {"retry-after"}
        assert fine.headers.keys() <= answer.headers.keys()
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
    assert 'reappear_request_seconds_count{method="POST",route="/query",status="503"} 3.0' in metrics


def test_an_enrolment_that_finds_the_writers_queue_full_leaves_nothing_behind(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.start.MAX_WAITING_WRITES", 1)
    with running(tmp_path / "data", sqlite_url) as client:
        waiting = threading.Thread(target=lambda: client.post("/collections", json={"name": "waits"}))
        with writer_held(client):
            waiting.start()
            wait_for(lambda: parts_of(client).writer.batcher.waiting == 1)
            answer = client.post("/gallery", **raw(jpeg(1), identity="p-1"))
            assert (answer.status_code, answer.json()["error"]) == (503, "OVERLOADED")
            assert holdings(client, tmp_path / "data")["files"] == {}
        waiting.join()
        assert client.get("/gallery").json()["identities"] == []
        assert client.post("/gallery", **raw(jpeg(1), identity="p-1")).status_code == 201


def test_refusals_are_held_only_where_far_more_are_refused_than_served(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[float] = []

    async def sleep(seconds: float) -> None:
        held.append(seconds)

    async def refuse(times: int) -> int:
        """How many of them were held; each was sent whole."""
        before, sent = len(held), list[Any]()

        async def send(message: Any) -> None:
            sent.append(message)

        for number in range(times):
            await door.answer(send, str(number), "POST", "/query")
        assert [one["status"] for one in sent[::2]] == [503] * times
        return len(held) - before

    async def scene() -> None:
        assert await refuse(MOST) == 0, "a burst"
        assert await refuse(3) == 3
        door.served()
        assert await refuse(EACH + 1) == 1
        for _ in range(MOST):
            door.served()
        assert await refuse(MOST + 1) == 1, "no more is saved up than a burst"

    monkeypatch.setattr(refusals.asyncio, "sleep", sleep)
    door = Refusals(Telemetry(), {})
    asyncio.run(scene())
    assert set(held) == {HELD_S}


def test_who_is_served_lets_others_be_refused_at_once(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.refusals.HELD_S", 0.25)
    with running(tmp_path / "data", sqlite_url, max_waiting=1) as client:
        admission = parts_of(client).admission

        def refuse(times: int) -> float:
            """How long all that were ever refused have been held."""
            admission.come(Lane.QUERY)
            for _ in range(times):
                assert client.post("/query", **raw(jpeg(1))).status_code == 503
            admission.go(Lane.QUERY)
            line = 'reappear_request_seconds_sum{method="POST",route="/query",status="503"} '
            return float(client.get("/metrics").text.partition(line)[2].partition("\n")[0])

        assert refuse(MOST) == 0
        assert refuse(2) == 0.5
        assert client.post("/query", **raw(jpeg(1))).status_code == 200
        assert refuse(EACH) == 0.5
        assert refuse(1) == 0.75
