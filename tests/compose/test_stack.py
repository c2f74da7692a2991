"""One stack, from the README's first command to its end. Each test takes it as the one before left it, and after each
everything that was ever acknowledged must be there."""

import json
import re
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compose.engine import docker
from tests.compose.ledger import JPEG, Ledger
from tests.compose.prometheus import Prometheus
from tests.compose.stack import Stack
from tests.conftest import ROOT
from tests.pictures import jpeg

pytestmark = pytest.mark.timeout(600)

SECRETS = ("database_password", "admin_key", "grafana_password")
MAX_IMAGE_BYTES = 700_000_000
GRACE_S = 30
SOME = 25
REVISIONS = """
from alembic.script import ScriptDirectory
from service.db.schema import _config
print(*[script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()])
"""
DOWNGRADE = """
from service.config import Settings
from service.db.schema import downgrade
downgrade(Settings().url, "-1")
"""
FOUND = """
from sqlalchemy import text
from service.config import Settings
from service.db.engine import make_engine, parse_url
with make_engine(parse_url(Settings().url), pool_size=1, read_only=True).connect() as connection:
    print(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
"""


def test_nothing_starts_without_its_secrets_and_each_is_asked_for_by_name(stack: Stack) -> None:
    files = {f"{name.upper()}_FILE": str(stack.folder / "secrets" / name) for name in SECRETS}
    for missing in files:
        others = {name: path for name, path in files.items() if name != missing}
        done = stack.try_compose("up", "--detach", "--wait", **others)
        assert done.returncode != 0
        assert missing in done.stderr
        assert "docker/secrets.sh" in done.stderr
    assert stack.try_compose("config", "--quiet", **files).returncode == 0
    assert docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={stack.name}") == ""


def test_the_commands_of_the_readme_bring_it_up(stack: Stack, record_property: Callable[[str, object], None]) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if "docker compose" in block)
    commands = block.strip().splitlines()
    assert len(commands) == 3
    begun = time.monotonic()
    for command in commands:
        said = stack.shell(command.replace(":8000", f":{stack.port}").replace("@models", f"@{ROOT}/models"))
    record_property("up_s", round(time.monotonic() - begun, 1))
    assert json.loads(said)["identity"]["crops"] == 1, "the last command enrols somebody"


def test_what_is_enrolled_is_found_and_what_is_removed_is_not(stack: Stack, ledger: Ledger) -> None:
    with ledger.clients(stack):
        ledger.wait_for(SOME)
    assert ledger.gone
    assert ledger.problems(stack) == []


def test_a_loss_would_be_noticed(stack: Stack) -> None:
    blind = Ledger(first_seed=9_000_000)
    with stack.http() as http:
        crops = [blind.enrol(http), blind.enrol(http)]
        for crop in crops:
            assert http.delete(f"/gallery/{blind.kept[crop].identity}/crops/{crop}").status_code == 200
    assert len(blind.problems(stack)) == len(crops)


def test_the_command_works_inside(stack: Stack) -> None:
    assert "scope" in stack.compose("exec", "--no-TTY", "reappear", "reappear", "keys", "list")
    findings = json.loads(stack.compose("exec", "--no-TTY", "reappear", "reappear", "doctor", "--json"))
    assert [one for one in findings if not one["well"]] == []


def test_nobody_gets_in_without_a_key(stack: Stack) -> None:
    with stack.http() as http:
        assert http.get("/gallery").status_code == 200
        del http.headers["Authorization"]
        assert http.get("/readyz").status_code == 200
        assert http.get("/livez").status_code == 200
        for method, path in (("GET", "/gallery"), ("POST", "/query"), ("DELETE", "/gallery/p-1"), ("GET", "/version")):
            assert http.request(method, path).status_code == 401, path


def test_prometheus_scrapes_it_and_evaluates_every_alert(
    stack: Stack, prometheus_program: Path, tmp_path: Path
) -> None:
    with Prometheus(prometheus_program, tmp_path, f"127.0.0.1:{stack.port}") as prometheus:
        rules = prometheus.wait_for_rules()
        assert {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")} == {}
        assert {rule["name"]: rule["state"] for rule in rules if rule["state"] != "inactive"} == {}
        assert prometheus.ask("up") == ["1"]
        assert len(prometheus.ask("reappear_index_crops")) == 1


@pytest.mark.parametrize("service", ["reappear", "postgres"])
def test_a_container_has_no_rights_and_no_place_to_write(stack: Stack, service: str) -> None:
    inside = ("exec", "--no-TTY", service)
    status = dict(re.findall(r"^(\w+):\t(.*)$", stack.compose(*inside, "cat", "/proc/1/status"), re.MULTILINE))
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    mounts = [line.split() for line in stack.compose(*inside, "cat", "/proc/mounts").splitlines()]
    (root,) = [options for _, at, _, options, *_ in mounts if at == "/"]
    assert "ro" in root.split(",")
    for path in ("/", "/etc", "/usr/bin", "/run/secrets"):
        assert stack.try_compose(*inside, "touch", f"{path}/x").returncode != 0, path


def test_ports_are_bound_to_this_machine_and_the_database_to_nobody(stack: Stack) -> None:
    bound = stack.inspect("reappear")["HostConfig"]["PortBindings"]
    assert bound == {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(stack.port)}]}
    assert not stack.inspect("postgres")["HostConfig"]["PortBindings"]


def test_secrets_are_in_no_image_no_environment_and_no_log(stack: Stack) -> None:
    secrets = [(stack.folder / "secrets" / name).read_text() for name in SECRETS]
    said = stack.compose("logs") + stack.compose("config") + docker("history", "--no-trunc", stack.image)
    said += docker("image", "inspect", stack.image)
    said += "".join(json.dumps(stack.inspect(service)) for service in ("reappear", "migrate", "postgres"))
    assert [secret for secret in secrets if secret in said] == []


def test_the_image_is_small_and_has_nothing_of_training(
    stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    size = int(docker("image", "inspect", "--format", "{{.Size}}", stack.image))
    record_property("image_mb", round(size / 1e6))
    print(f"the image has {size / 1e6:.0f} MB")
    assert size < MAX_IMAGE_BYTES
    installed = stack.run_python("from importlib.metadata import distributions as d; print(*{x.name for x in d()})")
    assert not {"torch", "onnx", "pytest", "pip", "setuptools"} & set(installed.split())
    assert stack.run_python("import pathlib; print(*pathlib.Path('models').iterdir())") == "models/default"


def test_up_changes_nothing_where_all_is_up(stack: Stack, ledger: Ledger) -> None:
    before = stack.inspect("reappear")["State"]["StartedAt"]
    stack.compose("up", "--detach", "--wait")
    assert stack.inspect("reappear")["State"]["StartedAt"] == before
    assert ledger.problems(stack) == []


def test_a_restart_loses_nothing(stack: Stack, ledger: Ledger) -> None:
    with ledger.clients(stack):
        ledger.wait_for(SOME)
        stack.compose("restart", "reappear")
        stack.wait_until_ready()
        ledger.wait_for(SOME)
    assert ledger.problems(stack) == []


def test_a_killed_service_starts_by_itself_and_has_lost_nothing(stack: Stack, ledger: Ledger) -> None:
    before = stack.inspect("reappear")["RestartCount"]
    with ledger.clients(stack):
        ledger.wait_for(SOME)
        stack.kill("reappear")
        ledger.wait_for(SOME)
    assert stack.inspect("reappear")["RestartCount"] == before + 1
    assert ledger.problems(stack) == []


def test_a_killed_database_starts_by_itself_and_nothing_is_lost(stack: Stack, ledger: Ledger) -> None:
    before = stack.inspect("reappear")["State"]["StartedAt"]
    with ledger.clients(stack):
        ledger.wait_for(SOME)
        stack.kill("postgres")
        ledger.wait_for(SOME)
    assert stack.inspect("postgres")["RestartCount"] >= 1
    assert stack.inspect("reappear")["State"]["StartedAt"] == before, "the service outlives its database"
    assert ledger.problems(stack) == []


def test_both_killed_at_once_start_by_themselves_and_nothing_is_lost(stack: Stack, ledger: Ledger) -> None:
    with ledger.clients(stack):
        ledger.wait_for(SOME)
        kills = [threading.Thread(target=stack.kill, args=(service,)) for service in ("postgres", "reappear")]
        for kill in kills:
            kill.start()
        for kill in kills:
            kill.join()
        ledger.wait_for(SOME)
    assert ledger.problems(stack) == []


def test_a_stop_ends_well_in_time_and_answers_what_it_began(stack: Stack, ledger: Ledger) -> None:
    picture = jpeg(7)
    key = (stack.folder / "secrets" / "admin_key").read_text()
    head = (f"POST /query HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
            f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n")  # fmt: skip
    with ledger.clients(stack), socket.create_connection(("127.0.0.1", stack.port), timeout=GRACE_S) as request:
        ledger.wait_for(SOME)
        request.sendall(head.encode() + picture[:100])
        begun = time.monotonic()
        command = shlex.split("docker compose stop reappear")
        stopping = subprocess.Popen(command, cwd=stack.folder, env=stack.environment, stderr=subprocess.DEVNULL)
        time.sleep(1)
        assert stopping.poll() is None, "it waits for the request"
        request.sendall(picture[100:])
        with request.makefile("rb") as answer:
            assert answer.readline().split()[1] == b"200"
        assert stopping.wait(GRACE_S) == 0
        stopped_s = time.monotonic() - begun
    state = stack.inspect("reappear")["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    assert stopped_s < GRACE_S
    print(f"stopped in {stopped_s:.1f} s")
    stack.compose("up", "--detach", "--wait")
    assert ledger.problems(stack) == []


def test_an_upgrade_from_the_revision_before_loses_nothing(stack: Stack, ledger: Ledger) -> None:
    head, *older = stack.run_python(REVISIONS).split()
    stack.compose("stop", "reappear")
    stack.run_python(DOWNGRADE)
    assert stack.run_python(FOUND) == older[0]
    refused = stack.try_compose("run", "--rm", "--no-deps", "reappear", "serve")
    assert refused.returncode == 3, "it does not serve a database of another revision"
    assert head in refused.stdout + refused.stderr
    stack.compose("up", "--detach", "--wait")
    assert stack.run_python(FOUND) == head
    assert stack.inspect("migrate")["State"]["ExitCode"] == 0
    with ledger.clients(stack):
        ledger.wait_for(SOME)
    assert ledger.problems(stack) == []


def test_taken_down_and_brought_up_again_it_has_lost_nothing(stack: Stack, ledger: Ledger) -> None:
    stack.compose("down")
    key = stack.folder / "secrets" / "admin_key"
    key.rename(key.with_suffix(".away"))
    refused = stack.try_compose("up", "--detach", "--wait")
    assert refused.returncode != 0
    assert str(key) in refused.stderr, "a secret whose file is gone is asked for by its path"
    assert stack.compose("ps", "--quiet") == "", "and nothing runs without it"
    key.with_suffix(".away").rename(key)
    stack.compose("up", "--detach", "--wait")
    assert ledger.problems(stack) == []


def test_the_gpu_profile_takes_the_place_of_the_cpu(stack: Stack, ledger: Ledger) -> None:
    """With the same image and no GPU, because there is none here: what is tested is who starts, and on whose data."""
    (stack.folder / "no-gpu.yml").write_text(
        "services:\n  reappear-gpu:\n    environment: {REAPPEAR_PROVIDER: cpu}\n"
        "    deploy: {resources: {reservations: !reset null}}\n"
    )
    files = ("--file", "docker-compose.yml", "--file", "no-gpu.yml")
    both = {"COMPOSE_PROFILES": "gpu", "DEPLOY_GPU_IMAGE": stack.image}
    refused = stack.try_compose(*files, "up", "--detach", "--no-build", "--wait", **both)
    assert refused.returncode != 0
    assert "port is already allocated" in refused.stderr, "one of the two, and the other goes on"
    assert ledger.problems(stack) == []
    done = stack.try_compose(*files, "up", "--detach", "--no-build", "--wait", **both, DEPLOY_CPU_REPLICAS="0")
    assert done.returncode == 0, done.stderr
    running = stack.try_compose("ps", "--services", COMPOSE_PROFILES="gpu").stdout.split()
    assert sorted(running) == ["postgres", "reappear-gpu"]
    assert ledger.problems(stack) == []
    with stack.http() as http:
        assert http.post("/query", content=jpeg(1), headers=JPEG).status_code == 200


def test_in_the_end_nothing_is_left(stack: Stack, ledger: Ledger) -> None:
    print(f"{len(ledger.kept)} crops kept, {len(ledger.gone)} removed")
    stack.take_down()
    mine = ("--filter", f"label=com.docker.compose.project={stack.name}", "--quiet")
    assert docker("ps", "--all", *mine) == ""
    assert docker("volume", "ls", *mine) == ""
    assert docker("network", "ls", *mine) == ""
