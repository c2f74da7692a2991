import re
import tomllib

import pytest

from service.config import Settings
from tests.conftest import ROOT
from tests.docker.conftest import load

COMPOSE = load(ROOT / "docker-compose.yml")
SERVICES: dict[str, dict] = COMPOSE["services"]
OURS = ("migrate", "reappear", "reappear-gpu")
SECRET = re.compile(r"password|secret|key|token", re.IGNORECASE)


def filled_in(text: str) -> str:
    """Text with the defaults of its variables."""
    return re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)?\}", lambda found: found[1] or "", text)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & service.keys()
    assert name in OURS or int(service["user"].split(":")[0]) > 0, "images of others say who they run as"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_cannot_take_the_machine_for_itself(name: str) -> None:
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert float(filled_in(limits["cpus"])) > 0
    assert re.fullmatch(r"\d+[mg]", filled_in(limits["memory"]))
    assert SERVICES[name]["logging"]["options"]["max-size"]
    assert all("size=" in mount for mount in SERVICES[name]["tmpfs"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_again_and_says_whether_it_is_well(name: str) -> None:
    service = SERVICES[name]
    if name == "migrate":
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"]
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    assert "test" in service["healthcheck"] if "healthcheck" in service else "\nHEALTHCHECK " in dockerfile


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    image, _, tag = filled_in(SERVICES[name]["image"]).rpartition(":")
    assert image
    assert re.search(r"\d", tag), tag
    if name in OURS:
        assert tag == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        assert SERVICES[name]["pull_policy"] == "never"


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_come_as_files(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if SECRET.search(variable):
            assert variable.endswith("_FILE")
            assert value.removeprefix("/run/secrets/") in SERVICES[name]["secrets"]
        assert not re.search(r"://[^/]*:[^/]*@", value), "a URL with a password"
    assert set(SERVICES[name].get("secrets", [])) <= COMPOSE["secrets"].keys()


@pytest.mark.parametrize("secret", COMPOSE["secrets"])
def test_a_secret_without_a_file_is_asked_for_by_name(secret: str) -> None:
    assert COMPOSE["secrets"][secret].keys() == {"file"}
    assert re.fullmatch(rf"\$\{{{secret.upper()}_FILE:\?names the file with .* docker/secrets.sh makes it\}}",
                        COMPOSE["secrets"][secret]["file"])  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert filled_in(port).startswith("127.0.0.1:")
    assert name != "postgres" or "ports" not in SERVICES[name]


def test_the_database_is_reached_from_its_own_network_alone() -> None:
    assert COMPOSE["networks"]["database"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == ["database"]
    assert SERVICES["migrate"]["networks"] == ["database"]


@pytest.mark.parametrize("name", ["reappear", "reappear-gpu"])
def test_the_service_waits_for_migrations_and_has_time_to_stop(name: str) -> None:
    service = SERVICES[name]
    assert service["depends_on"] == {
        "postgres": {"condition": "service_healthy"}, "migrate": {"condition": "service_completed_successfully"},
    }  # fmt: skip
    assert int(service["stop_grace_period"].rstrip("s")) > int(service["environment"]["REAPPEAR_STOP_TIMEOUT_S"])


def test_the_gpu_profile_differs_from_the_cpu_only_in_what_it_computes_on() -> None:
    cpu, gpu = SERVICES["reappear"], SERVICES["reappear-gpu"]
    differs = {key for key in cpu.keys() | gpu.keys() if cpu.get(key) != gpu.get(key)}
    assert differs == {"profiles", "image", "build", "environment", "networks", "deploy"}
    assert gpu["environment"].items() - cpu["environment"].items() == {
        ("REAPPEAR_PROVIDER", "cuda"), ("NVIDIA_DRIVER_CAPABILITIES", "compute,utility"),
    }  # fmt: skip
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia"


def test_only_the_gpu_and_the_monitoring_are_asked_for_by_profile() -> None:
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}
    assert profiles == {
        "postgres": [], "migrate": [], "reappear": [], "reappear-gpu": ["gpu"],
        "prometheus": ["monitoring"], "grafana": ["monitoring"],
    }  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_settings_env_has_the_last_word_on_what_compose_does_not_rely_on(name: str) -> None:
    assert SERVICES[name]["env_file"] == ["docker/defaults.env", {"path": "settings.env", "required": False}]
    lines = (ROOT / "docker" / "defaults.env").read_text().splitlines()
    defaults = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert {variable: filled_in(value) for variable, value in defaults.items()} == {"REAPPEAR_METRICS": "open"}
    assert not defaults.keys() & SERVICES[name]["environment"].keys(), "`environment` wins over every file"


@pytest.mark.parametrize("name", ["reappear", "reappear-gpu"])
def test_what_compose_relies_on_is_fixed_and_said_to_be(name: str) -> None:
    fixed = SERVICES[name]["environment"]
    assert fixed["REAPPEAR_HOST"] == "0.0.0.0"
    assert [port.rpartition(":")[2] for port in SERVICES[name]["ports"]] == [fixed["REAPPEAR_PORT"]]
    assert [volume.split(":")[1] for volume in SERVICES[name]["volumes"]] == [fixed["REAPPEAR_DATA_DIR"]]
    operations = (ROOT / "docs" / "operations.md").read_text()
    _, _, listed = operations.partition("cannot be changed there")
    said = set(re.findall(r"`(REAPPEAR_\w+)`", listed.partition("Metrics are open")[0]))
    assert {variable for variable in fixed if variable.startswith("REAPPEAR_")} | {"REAPPEAR_PROVIDER"} == said


def test_commands_of_operations_name_the_service_by_a_variable_that_a_gpu_sets() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text()
    commands = re.findall(r"docker compose ((?:exec|logs|run|stop|up)\b[^`\n]*)", operations)
    services = [next((word for word in command.split() if "reappear" in word), None) for command in commands]
    assert set(services) == {None, "${SERVICE:-reappear}"}, "the first word of that name is the service"
    assert services.count("${SERVICE:-reappear}") >= 7
    assert "export SERVICE=reappear-gpu" in operations
    assert "reappear-gpu" in SERVICES


def test_settings_that_compose_makes_exist() -> None:

    known = {f"REAPPEAR_{name.upper()}" for name in Settings.model_fields}
    for name in OURS:
        mine = {variable for variable in SERVICES[name]["environment"] if variable.startswith("REAPPEAR_")}
        assert mine - known == set()
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    assert set(re.findall(r"(REAPPEAR_\w+)=", dockerfile)) - known == set()
