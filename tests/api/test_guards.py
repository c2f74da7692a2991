"""What every request passes: who may send it, how large it may be, when it is refused for want of room; and what every
answer carries."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.api.guards import Guard
from service.domain import CropIds, VectorArray
from service.embedding.batcher import Lane
from service.flows.admission import BULK_PLACES
from service.flows.courses import Course, Search
from service.telemetry import Telemetry
from tests.api.conftest import Filled, running
from tests.api.holdings import PATIENCE_S, holdings, parts_of, wait_for, writer_held
from tests.api.sending import form, raw
from tests.pictures import jpeg

Message = dict[str, Any]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.1:8000", 200), ("localhost", 200), ("LOCALHOST:80", 200), ("[::1]", 200),
        ("[::1]:8000", 200), ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("localhost.", 403),
        ("127.0.0.1@evil.example", 403), ("", 403), ("[", 403), ("[::1", 403), ("[evil]", 403), ("a:b:c", 403),
        ("127.0.0.2", 403), ("0.0.0.0", 403), ("localhost, evil.example", 403),
    ],
)  # fmt: skip
def test_only_this_machines_own_names_are_answered_to(host: str, status: int, filled: Filled) -> None:
    for method, path in (("GET", "/livez"), ("GET", "/gallery"), ("DELETE", "/gallery/p-nobody")):
        answer = filled.client.request(method, path, headers={"Host": host})
        expected = {403} if status == 403 else {200, 404}
        assert answer.status_code in expected, answer.text
        if status == 403:
            assert answer.json()["error"] == "NOT_ALLOWED"
            assert "REAPPEAR_ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize("names", ["Reid.example,other.example", " reid.example , other.example "])
def test_further_names_may_be_allowed(names: str, tmp_path: Path, sqlite_url: str) -> None:
    with running(tmp_path / "data", sqlite_url, allowed_hosts=names) as client:
        for host in ("reid.example", "REID.example:8000", "other.example", "127.0.0.1"):
            assert client.get("/livez", headers={"Host": host}).status_code == 200, host
        assert client.get("/livez", headers={"Host": "evil.example"}).status_code == 403


def test_beyond_loopback_any_name_is_answered_to_unless_some_are_named(tmp_path: Path, sqlite_url: str) -> None:
    admin_key = tmp_path / "key"
    admin_key.write_text("k" * 32)
    with running(tmp_path / "a", sqlite_url, host="0.0.0.0", admin_key_file=admin_key) as client:
        assert client.get("/livez", headers={"Host": "reid.example"}).status_code == 200
    beyond: dict[str, Any] = {"host": "0.0.0.0", "admin_key_file": admin_key, "allowed_hosts": "reid.example"}
    with running(tmp_path / "a", sqlite_url, **beyond) as client:
        assert client.get("/livez", headers={"Host": "reid.example"}).status_code == 200
        assert client.get("/livez", headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://127.0.0.1:9999"}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": "127.0.0.1"}, False),
        ({"Origin": "http://evil.example?http://127.0.0.1"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "cross-site"}, False),
    ],
    ids=str,
)
def test_pages_of_other_sites_cannot_change_anything(headers: dict[str, str], allowed: bool, filled: Filled) -> None:
    client = filled.client
    for method, path, sent in (
        ("POST", "/query", raw(jpeg(1))),
        ("POST", "/gallery", form("images", [b"text"])),
        ("PATCH", "/gallery/nobody", {"json": {"name": "x"}}),
        ("DELETE", "/gallery/nobody", {}),
        ("DELETE", "/collections/nowhere", {}),
    ):
        answer = client.request(method, path, **{**sent, "headers": {**sent.get("headers", {}), **headers}})
        assert (answer.status_code != 403) is allowed, (method, path)
        if not allowed:
            assert answer.json()["error"] == "NOT_ALLOWED"
    assert client.get("/gallery", headers=headers).status_code == 200, "reading sends nothing back to another site"
    filled.assert_untouched()


@pytest.mark.parametrize("header", ["Forwarded", "Via", "X-Forwarded-For", "X-Real-IP"])
def test_who_comes_through_a_proxy_is_not_taken_for_this_machine(
    header: str, filled: Filled, tmp_path: Path, sqlite_url: str
) -> None:
    answer = filled.client.get("/gallery", headers={header: "203.0.113.9"})
    assert answer.status_code == 403
    assert "REAPPEAR_AUTH=on" in answer.json()["detail"]
    admin_key = tmp_path / "key"
    admin_key.write_text("k" * 32)
    with running(tmp_path / "a", sqlite_url, auth="on", admin_key_file=admin_key) as client:
        headers = {header: "203.0.113.9", "X-API-Key": "k" * 32}
        assert client.get("/gallery", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("given", "echoed"),
    [
        ("req-1", True), ("A.b_c-9", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("a\tb", False),
        ("", False), ("a/b", False), ("{}", False),
    ],
)  # fmt: skip
def test_each_answer_has_the_id_of_its_request(given: str, echoed: bool, filled: Filled) -> None:
    seen = set()
    for method, path in (("GET", "/livez"), ("GET", "/nowhere"), ("POST", "/query"), ("GET", "/gallery/a%2Fb")):
        answer = filled.client.request(method, path, headers={"X-Request-ID": given})
        shown = answer.headers["x-request-id"]
        assert (shown == given) is echoed
        assert shown
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"]
        seen.add(shown)
    assert len(seen) == (1 if echoed else 4), "ids of our own are all different"


class Stage:
    """A guard before an application of our own, called as a server calls it."""

    def __init__(self, app: Callable[..., Awaitable[None]], **limits: float) -> None:
        self.telemetry = Telemetry()
        chosen: dict[str, Any] = {"max_body_bytes": 100, "max_bodies_bytes": 1000, "body_timeout_s": 30, **limits}
        self.guard = Guard(
            app, telemetry=self.telemetry, allowed_hosts=None, allowed_origins=(), asks_for_keys=True, **chosen
        )

    async def request(self, messages: list[Message], headers: dict[str, str] | None = None) -> Message:
        """Send a body in chunks; returns the answer's status and content. Then nothing more comes, as from a client
        who waits."""
        sent: list[Message] = []
        waiting = list(messages)

        async def receive() -> Message:
            if waiting:
                return waiting.pop(0)
            await asyncio.sleep(3600)
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/x", "raw_path": b"/x", "query_string": b"",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()],
        }  # fmt: skip
        await asyncio.wait_for(self.guard(scope, receive, send), PATIENCE_S)  # type: ignore[arg-type]
        return {
            "status": sent[0]["status"] if sent else 0,
            "headers": {name.decode(): value.decode() for name, value in sent[0]["headers"]} if sent else {},
            "content": b"".join(message.get("body", b"") for message in sent[1:]),
            "unread": len(waiting),
        }


async def swallow(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads its body and says how long it was."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


def chunks(*sizes: int) -> list[Message]:
    return [
        {"type": "http.request", "body": b"x" * size, "more_body": place < len(sizes) - 1}
        for place, size in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("sizes", "status"),
    [
        ((100,), 200), ((50, 50), 200), ((50, 50, 0), 200), ((101,), 413), ((50, 51), 413), ((50, 51, 0), 413),
        ((100, 1), 413), ((60, 60, 60, 60), 413), ((0, 0, 0), 200),
    ],
)  # fmt: skip
def test_a_body_is_counted_as_it_comes_and_its_sender_is_always_answered(sizes: tuple[int, ...], status: int) -> None:
    answer = asyncio.run(Stage(swallow).request(chunks(*sizes)))
    assert answer["status"] == status
    if status == 200:
        assert answer["content"] == str(sum(sizes)).encode()
    else:
        assert json.loads(answer["content"])["error"] == "BODY_TOO_LARGE"


def test_a_body_that_says_it_is_too_large_is_never_given_to_the_application() -> None:
    reached = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    answer = asyncio.run(Stage(app).request(chunks(90, 90), {"content-length": "180"}))
    assert answer["status"] == 413
    assert answer["unread"] == 0, "what the sender is still sending is read, so that it hears the answer"
    assert reached == []


def test_a_body_without_end_is_not_read_without_end() -> None:
    answer = asyncio.run(Stage(swallow).request(chunks(*[90] * 1000)))
    assert answer["status"] == 413
    assert answer["unread"] > 900


@pytest.mark.parametrize("length", [None, "180"], ids=["of no length", "and too large"])
def test_a_body_that_does_not_arrive_in_time_is_cut_off(length: str | None) -> None:
    headers = {"content-length": length} if length else {}
    unfinished: list[Message] = [{"type": "http.request", "body": b"x", "more_body": True}]
    answer = asyncio.run(Stage(swallow, body_timeout_s=0.05).request(unfinished, headers))
    assert answer["status"] == 408
    assert answer["headers"]["connection"] == "close"
    assert json.loads(answer["content"])["error"] == "SLOW_BODY"


def test_an_answer_may_take_longer_than_its_body_was_allowed_to() -> None:
    async def think(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.1)  # whether the client left: that has no deadline
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    assert asyncio.run(Stage(think, body_timeout_s=0.05).request(chunks(10)))["status"] == 200


@pytest.mark.parametrize("length", ["-1", "many", "²", ""])
def test_a_length_that_is_no_number_is_not_believed(length: str) -> None:
    answer = asyncio.run(Stage(swallow).request(chunks(10), {"content-length": length}))
    assert answer["status"] in (200, 400, 422)


def test_bodies_of_all_requests_together_are_bounded_and_room_is_given_back() -> None:
    async def scene() -> None:
        inside, release = asyncio.Event(), asyncio.Event()

        async def hold(scope: Any, receive: Any, send: Any) -> None:
            if (await receive())["body"] == b"x" * 90:
                inside.set()
                await release.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        stage = Stage(hold, max_bodies_bytes=120)
        first = asyncio.create_task(stage.request(chunks(90)))
        await inside.wait()
        assert (await stage.request(chunks(30)))["status"] == 200
        refused = await stage.request(chunks(31))
        assert refused["status"] == 503
        assert int(refused["headers"]["retry-after"]) >= 1
        assert json.loads(refused["content"])["error"] == "OVERLOADED"
        release.set()
        assert (await first)["status"] == 200
        assert (await stage.request(chunks(80)))["status"] == 200
        assert (await Stage(hold, max_bodies_bytes=10).request(chunks(80)))["status"] == 200, "alone it is taken"

    asyncio.run(scene())


def test_what_nobody_foresaw_is_500_with_an_id_and_without_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("the secret reason")

    answer = asyncio.run(Stage(fail).request(chunks(1), {"x-request-id": "req-7"}))
    assert answer["status"] == 500
    content = json.loads(answer["content"])
    assert content["error"] == "INTERNAL"
    assert "req-7" in content["detail"]
    assert "secret" not in answer["content"].decode()
    assert "the secret reason" in caplog.text, "the log has it"


def test_half_an_answer_is_never_finished_by_another() -> None:
    async def half(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("the disk went away")

    with pytest.raises(RuntimeError, match="the disk"):
        asyncio.run(Stage(half).request(chunks(1)))


def call(client: TestClient, path: str, messages: list[Message]) -> list[Message]:
    """One POST at the ASGI interface, where a client can leave; returns what was sent to it."""
    sent: list[Message] = []
    waiting = list(messages)

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80), "state": client.app_state.copy(),
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"image/jpeg")],
    }  # fmt: skip
    assert client.portal is not None
    client.portal.call(client.app, scope, receive, send)  # type: ignore[arg-type]
    return sent


class Held:
    """An index whose searches wait, to keep the threads of queries busy."""

    dim = 2

    def __init__(self) -> None:
        self.searches, self.release = 0, threading.Event()

    def __len__(self) -> int:
        return 0

    def add(self, ids: CropIds, vectors: VectorArray) -> None:
        raise NotImplementedError

    def remove(self, ids: CropIds) -> int:
        raise NotImplementedError

    def search(self, queries: VectorArray, k: int, allow: CropIds | None = None) -> tuple[VectorArray, CropIds]:
        self.searches += 1
        assert self.release.wait(PATIENCE_S)
        raise ValueError("nothing to find")


def test_a_query_whose_client_left_is_given_up_and_never_searched(lite: TestClient) -> None:
    lite.post("/gallery", **raw(jpeg(1), identity="p-1"))
    parts, held = parts_of(lite), Held()
    assert lite.portal is not None

    def search() -> Course[object]:
        return (yield Search(held, np.zeros((1, 2), np.float32), 1))

    busy = [lite.portal.start_task_soon(parts.courses.take, search()) for _ in parts.courses.batcher.threads]
    wait_for(lambda: held.searches == len(busy))
    before = lite.get("/metrics").text
    sent = call(lite, "/query", [{"type": "http.request", "body": jpeg(1), "more_body": False}])
    assert [message["status"] for message in sent if message["type"] == "http.response.start"] in ([], [499])
    held.release.set()
    for one in busy:
        with pytest.raises(ValueError, match="nothing to find"):
            one.result(PATIENCE_S)
    wait_for(lambda: parts.courses.batcher.waiting == 0)
    assert lite.post("/query", **raw(jpeg(1))).json()["candidates"][0]["identity"] == "p-1"
    assert 'status="500"' not in before + lite.get("/metrics").text


def test_a_client_who_leaves_while_sending_is_no_failure_of_ours(
    lite: TestClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = holdings(lite, tmp_path / "data")
    for path in ("/gallery", "/query", "/embed"):
        sent = call(lite, path, [{"type": "http.request", "body": jpeg(1)[:100], "more_body": True}])
        assert [one["status"] for one in sent if one["type"] == "http.response.start"] in ([], [499])
    assert 'status="500"' not in lite.get("/metrics").text
    assert holdings(lite, tmp_path / "data") == before


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
