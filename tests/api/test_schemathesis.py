"""Requests made from the OpenAPI document, sound and unsound, against a service in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx

from tests.pictures import jpeg
from tests.server import Server

ROOT = Path(__file__).resolve().parents[2]
SEED = 20261123
EXAMPLES = 30  # for each operation
NOT_CHECKED = "positive_data_acceptance"  # no schema says that a text is a picture, or that a field comes once
SETTINGS = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 414, 415, 422, 431]
"""


def test_no_request_made_from_the_document_is_answered_otherwise_than_it_says(server: Server, tmp_path: Path) -> None:
    with httpx.Client(base_url=server.url) as client:
        for identity, seed in (("p-0042", 1), ("p-0042", 2), ("p-1", 3)):
            path = f"/gallery?identity={identity}&camera=c3"
            answer = client.post(path, content=jpeg(seed), headers={"Content-Type": "image/jpeg"})
            assert answer.status_code in (200, 201)
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--no-color",
        "--seed", str(SEED), "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing",
        "--exclude-checks", NOT_CHECKED, "--continue-on-failure", "--request-timeout", "20", "--warnings", "off",
        "--generation-database", "none", "--report", "ndjson", "--report-ndjson-path", str(tmp_path / "report"),
    ]  # fmt: skip
    hooks = {"SCHEMATHESIS_HOOKS": "tests.api.schemathesis_checks", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env={**os.environ, **hooks}, capture_output=True, text=True)
    print(ended.stdout[-2000:])
    assert ended.returncode == 0, ended.stdout[-15_000:] + ended.stderr[-3000:]
    report = (tmp_path / "report").read_text()
    assert report.count("refusals_keep_their_form") > 100, "our own check was not among those that ran"
    assert "a request failed" not in server.log.read_text()
