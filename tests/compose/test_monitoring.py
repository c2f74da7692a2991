"""Prometheus' own tool on its configuration and on what the alerts do, and compose's on the profile."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.compose.stack import Stack
from tests.conftest import ROOT

ALERTS_TEST = Path(__file__).with_name("alerts_test.yml")
PROMETHEUS = ROOT / "docker" / "prometheus"


def test_prometheus_takes_its_configuration_and_rules(promtool: Path) -> None:
    command = [promtool, "check", "config", PROMETHEUS / "prometheus.yml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


def test_alerts_fire_when_they_should_and_not_otherwise(promtool: Path, tmp_path: Path) -> None:
    shutil.copy(PROMETHEUS / "alerts.yml", tmp_path)
    shutil.copy(ALERTS_TEST, tmp_path)
    command = [promtool, "test", "rules", tmp_path / ALERTS_TEST.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_settings_env_closes_the_metrics_and_moves_nothing_else(stack: Stack) -> None:
    secrets = {f"{name}_FILE": "/dev/null" for name in ("DATABASE_PASSWORD", "ADMIN_KEY", "GRAFANA_PASSWORD")}
    settings = stack.folder / "settings.env"

    def made(text: str) -> tuple[str, str]:
        settings.write_text(text)
        done = stack.try_compose("config", "--format", "json", **secrets)
        assert done.returncode == 0, done.stderr
        environment = json.loads(done.stdout)["services"]["reappear"]["environment"]
        return environment["REAPPEAR_METRICS"], environment["REAPPEAR_PORT"]

    try:
        assert made("") == ("open", "8000")
        assert made("REAPPEAR_METRICS=key\nREAPPEAR_PORT=9000\n") == ("key", "8000")
    finally:
        settings.unlink()


def test_compose_takes_every_profile(stack: Stack) -> None:
    secrets = {f"{name}_FILE": "/dev/null" for name in ("DATABASE_PASSWORD", "ADMIN_KEY", "GRAFANA_PASSWORD")}
    wanted = {"": set(), "gpu": {"reappear-gpu"}, "monitoring": {"prometheus", "grafana"}}
    for profile, more in wanted.items():
        done = stack.try_compose("config", "--format", "json", COMPOSE_PROFILES=profile, **secrets)
        assert done.returncode == 0, done.stderr
        assert set(json.loads(done.stdout)["services"]) == {"postgres", "migrate", "reappear"} | more
