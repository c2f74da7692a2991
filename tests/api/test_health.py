"""What those who keep it running ask: alive, ready, which version, how busy, and what it logs."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from service.app import create_app
from service.config import Settings
from tests.api.conftest import running
from tests.api.holdings import wait_for
from tests.api.sending import form, raw
from tests.pictures import jpeg
from tests.server import Server


def sample(text: str, name: str, **labels: str) -> float:
    """The value of one metric; 0 where there is none."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


def test_a_service_says_that_it_lives_and_is_ready_and_what_it_is(client: TestClient, settings: Settings) -> None:
    assert client.get("/livez").json() == {"alive": True}
    assert client.get("/readyz").json() == {"ready": True, "crops": 0, "generation": 0}
    client.post("/gallery", **form("images", [jpeg(1), jpeg(2)], identity="p-1"))
    assert client.get("/readyz").json() == {"ready": True, "crops": 2, "generation": 2}
    version = client.get("/version").json()
    assert set(version) >= {"version", "model", "provider", "faiss", "database"}
    assert version["database"] == ("sqlite" if settings.database_url.startswith("sqlite") else "postgresql")
    assert re.fullmatch(r"[a-z0-9._-]+@sha256:[0-9a-f]{12}", version["model"])
    assert version["provider"] == "CPUExecutionProvider"


def test_metrics_tell_stages_batches_requests_and_refusals_and_no_names(lite: TestClient) -> None:
    lite.post("/gallery", **raw(jpeg(1), identity="p-secret", name="Zorro"))
    for k in (1, 10, 1000):
        lite.post("/query", **raw(jpeg(1), filter='{"attributes.a": 1}', k=k))
    lite.post("/embed", **raw(jpeg(1)))
    lite.get("/gallery/p-secret")
    lite.get("/gallery/p-nobody")
    lite.post("/query", **raw(b"text"))
    lite.get("/nowhere/p-secret")
    text = lite.get("/metrics").text
    for stage, count in (("decode", 6), ("embed", 5), ("search", 3), ("join", 3), ("filter", 3), ("commit", 1)):
        assert sample(text, "reappear_stage_seconds_count", stage=stage) == count, stage
    for batcher in ("embed", "query", "long-query", "write"):
        assert sample(text, "reappear_batch_size_count", batcher=batcher) >= 1
        assert sample(text, "reappear_waiting_items", batcher=batcher) == 0
    requests = "reappear_request_seconds_count"
    assert sample(text, requests, method="POST", route="/query", status="200") == 3
    assert sample(text, requests, method="POST", route="/gallery", status="201") == 1
    assert sample(text, requests, method="GET", route="/gallery/{identity}", status="404") == 1
    assert sample(text, "reappear_refusals_total", status="404") == 2
    assert sample(text, "reappear_refusals_total", status="415") == 1
    assert sample(text, "reappear_index_crops") == 1
    assert sample(text, "reappear_generation") == 1
    assert "p-secret" not in text
    assert "Zorro" not in text


def test_routes_nobody_made_do_not_make_metrics_without_end(lite: TestClient) -> None:
    for number in range(20):
        lite.get(f"/nowhere/{number}")
        lite.get(f"/gallery/p-{number}")
        lite.get(f"/gallery/p%2F{number}")
        lite.get("/livez", headers={"Host": f"h{number}.example"})
    text = lite.get("/metrics").text
    assert len([line for line in text.splitlines() if line.startswith("reappear_request_seconds_count")]) < 12


@pytest.fixture
def other_model(tmp_path: Path) -> Path:
    """The model in use under another name, which is another model as far as anybody knows."""
    folder = Path(shutil.copytree(Settings().model_dir, tmp_path / "other-model"))
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "name": "another"}))
    return folder


def test_vectors_of_another_model_make_it_not_ready_and_never_an_empty_gallery(
    database_url: str, tmp_path: Path, other_model: Path
) -> None:
    with running(tmp_path / "data", database_url) as client:
        mine = client.get("/version").json()["model"]
        client.post("/gallery", **form("images", [jpeg(1), jpeg(2), jpeg(3)], identity="p-1"))
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url, model_dir=other_model, log_level="error")
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        wait_for(lambda: client.get("/readyz").json().get("error") != "LOADING")
        assert client.get("/livez").status_code == 200
        assert client.get("/metrics").status_code == 200
        other = client.get("/version").json()["model"]
        assert other.startswith("another@")
        requests: list[tuple[str, str, dict[str, Any]]] = [
            ("GET", "/readyz", {}), ("POST", "/query", raw(jpeg(1))), ("POST", "/gallery", raw(jpeg(1))),
            ("GET", "/gallery", {}), ("POST", "/embed", raw(jpeg(1))), ("DELETE", "/gallery/p-1", {}),
        ]  # fmt: skip
        for method, path, sent in requests:
            answer = client.request(method, path, **sent)
            assert (answer.status_code, answer.json()["error"]) == (503, "MODEL_MISMATCH"), path
            assert int(answer.headers["retry-after"]) >= 1
            detail = answer.json()["detail"]
            assert "3 crops" in detail
            assert mine in detail
            assert other in detail
            assert "REAPPEAR_MODEL_DIR" in detail
    with running(tmp_path / "data", database_url) as client:
        found = client.post("/query", **raw(jpeg(1))).json()
        assert found["candidates"][0]["identity"] == "p-1", "nothing was lost"


def test_an_empty_database_takes_any_model(database_url: str, tmp_path: Path, other_model: Path) -> None:
    with running(tmp_path / "data", database_url) as client:
        client.post("/gallery", **raw(jpeg(1), identity="p-1"))
        client.delete("/gallery/p-1")
    with running(tmp_path / "data", database_url, model_dir=other_model) as client:
        answer = client.post("/gallery", **raw(jpeg(1), identity="p-1"))
        assert answer.json()["model"].startswith("another@")


def test_a_restart_changes_no_answer(database_url: str, tmp_path: Path) -> None:
    with running(tmp_path / "data", database_url) as client:
        for seed in range(4):
            client.post("/gallery", **form("images", [jpeg(seed), jpeg(seed, view=1)], identity=f"p-{seed}"))
        client.delete("/gallery/p-0")
        before = client.post("/query", **raw(jpeg(1, view=5), hits=10)).json()
    with running(tmp_path / "data", database_url) as client:
        after = client.post("/query", **raw(jpeg(1, view=5), hits=10)).json()
        assert client.get("/readyz").json() == {"ready": True, "crops": 6, "generation": 10}
    assert before["candidates"] == after["candidates"]
    assert before["generation"] == after["generation"]


def test_the_log_is_json_with_request_ids_and_without_anybodys_name(tmp_path: Path, sqlite_url: str) -> None:
    server = Server(tmp_path / "data", sqlite_url, REAPPEAR_LOG_LEVEL="info")
    server.start()
    try:
        with httpx.Client(base_url=server.url) as client:
            sent = raw(jpeg(1), identity="p-secret", name="Zorro", attributes='{"mask":"black-velvet"}')
            assert client.post("/gallery", **sent).status_code == 201
            odd = raw(jpeg(1), identity="a%2Fb?c")
            assert client.post("/gallery", **odd).json()["identity"]["id"] == "a%2Fb?c"
            assert client.get("/gallery/a%252Fb%3Fc").json()["id"] == "a%2Fb?c"
            answers = [
                client.get("/gallery/p-secret", headers={"X-Request-ID": "req-1"}),
                client.get("/gallery?name=Zorro"),
                client.post("/query", **raw(jpeg(1))),
                client.post("/query", **raw(b"text")),
                client.get("/gallery/p-secret%2Fcrops"),
                client.patch("/gallery/p-secret", json={"name": 5}),
                client.delete("/gallery/p-secret"),
                client.get("/gallery/p-secret"),
            ]
    finally:
        status = server.stop()
    log = server.log.read_text()
    lines = [json.loads(line) for line in log.splitlines() if not line.startswith("Reappear answers on ")]
    assert status in (0, -15)
    assert all({"level", "logger", "message", "time"} <= set(line) for line in lines)
    requests = {line["request_id"]: line for line in lines if line["message"] == "request"}
    assert [requests[answer.headers["x-request-id"]]["status"] for answer in answers] == [
        answer.status_code for answer in answers
    ]
    assert requests["req-1"]["route"] == "/gallery/{identity}"
    assert all(line["ms"] >= 0 for line in requests.values())
    for private in ("p-secret", "Zorro", "black-velvet", "mask"):
        assert private not in log
