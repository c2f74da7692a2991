"""The metrics of a service that has done some of everything, and the files that use them."""

from pathlib import Path

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import ROOT
from tests.docker.promql import ADDED_BY_PROMETHEUS, MADE_BY_PROMETHEUS, selectors
from tests.pictures import jpeg

DOCKER = ROOT / "docker"
JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture
def exposed(lite: TestClient) -> dict[str, set[str]]:
    """Names of the samples that a busy service exposes, each with the names of its labels."""
    assert lite.post("/gallery?identity=p-1", content=jpeg(1), headers=JPEG).status_code == 201
    assert lite.post("/query", content=jpeg(1), headers=JPEG).status_code == 200
    assert lite.get("/gallery/nobody").status_code == 404
    found = {name: set(labels) for name, labels in MADE_BY_PROMETHEUS.items()}
    for family in text_string_to_metric_families(lite.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels, ADDED_BY_PROMETHEUS)
    return found


@pytest.fixture(scope="session")
def alerts() -> list[dict]:
    """The alerts, as Prometheus reads them."""
    return [rule for group in load(DOCKER / "prometheus" / "alerts.yml")["groups"] for rule in group["rules"]]


def load(path: Path) -> dict:
    """A YAML file."""
    return yaml.safe_load(path.read_text())


def problems_of(expression: str, exposed: dict[str, set[str]]) -> list[str]:
    """Metrics and labels that an expression uses and nothing exposes."""
    found = []
    for selector in selectors(expression):
        if selector.metric not in exposed:
            found.append(f"{selector.metric} does not exist")
        elif unknown := selector.labels - exposed[selector.metric]:
            found.append(f"{selector.metric} has no label {', '.join(sorted(unknown))}")
    return found
