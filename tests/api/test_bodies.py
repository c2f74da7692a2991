"""Bodies as they come: counted, bounded and timed; clients who leave; and errors that nobody foresaw."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.api.guards import Guard
from service.domain import CropIds, VectorArray
from service.flows.courses import Course, Search
from service.telemetry import Telemetry
from tests.api.holdings import PATIENCE_S, holdings, parts_of, wait_for
from tests.api.sending import raw
from tests.pictures import jpeg

Message = dict[str, Any]


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


def test_who_asks_before_it_sends_too_large_a_body_is_not_told_to_send_it() -> None:
    headers = {"content-length": "180", "expect": "100-continue"}
    answer = asyncio.run(Stage(swallow).request(chunks(90, 90), headers))
    assert answer["status"] == 413
    assert answer["unread"] == 2, "to read is to invite"
    assert answer["headers"]["connection"] == "close"


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

    busy = []
    for _ in parts.courses.batcher.threads:  # one after another: two at once would share a search
        busy.append(lite.portal.start_task_soon(parts.courses.take, search()))
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


def test_a_form_that_finds_no_room_for_temporary_files_is_to_be_sent_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    large = jpeg(1) + bytes(2 << 20)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    answer = client.post("/query", files={"image": ("large.jpg", large)})
    assert (answer.status_code, answer.json()["error"]) == (503, "STORE_DOWN")
    assert "as the body itself" in answer.json()["detail"]
    assert client.post("/query", **raw(large)).status_code == 200
