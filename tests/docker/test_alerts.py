import re

import pytest

from tests.conftest import ROOT
from tests.docker.conftest import DOCKER, load, problems_of
from tests.docker.promql import selectors


def test_every_metric_and_label_that_alerts_use_exists(alerts: list[dict], exposed: dict[str, set[str]]) -> None:
    problems = {rule["alert"]: problems_of(rule["expr"], exposed) for rule in alerts}
    assert {name: found for name, found in problems.items() if found} == {}


def test_every_alert_says_how_bad_it_is_and_what_to_do(alerts: list[dict]) -> None:
    assert len({rule["alert"] for rule in alerts}) == len(alerts) >= 12
    for rule in alerts:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}
        kebab = re.sub(r"(?<!^)(?=[A-Z])", "-", rule["alert"]).lower()
        assert rule["annotations"]["runbook"] == f"docs/operations.md#alert-{kebab}"
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))


def test_every_runbook_is_written(alerts: list[dict]) -> None:
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    wanted = {rule["annotations"]["runbook"].split("#")[1] for rule in alerts}
    assert wanted - anchors == set()


def test_what_is_not_promql_is_noticed() -> None:
    with pytest.raises(ValueError, match=r".+"):
        selectors("sum by (instance (up))")


def test_prometheus_scrapes_the_service_by_the_name_it_has_in_compose() -> None:
    config = load(DOCKER / "prometheus" / "prometheus.yml")
    compose = load(ROOT / "docker-compose.yml")
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "reappear", "alerts choose by this name"
    ((name, port),) = [target.split(":") for target in job["static_configs"][0]["targets"]]
    assert name in compose["services"]
    assert name in compose["services"]["reappear-gpu"]["networks"]["front"]["aliases"]
    assert compose["services"][name]["ports"][0].endswith(f":{port}")
    assert [(DOCKER / "prometheus" / file).is_file() for file in config["rule_files"]] == [True]
