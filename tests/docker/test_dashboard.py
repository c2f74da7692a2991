import json

import pytest

from tests.conftest import ROOT
from tests.docker.conftest import DOCKER, load, problems_of
from tests.docker.promql import without_variables

GRAFANA = DOCKER / "grafana"
COLUMNS = 24


@pytest.fixture(scope="module")
def dashboard() -> dict:
    return json.loads((GRAFANA / "dashboards" / "reappear.json").read_text())


def expressions(dashboard: dict) -> list[str]:
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return queries + [one["expr"] for one in dashboard["annotations"]["list"]]


def test_every_metric_and_label_that_the_dashboard_uses_exists(dashboard: dict, exposed: dict[str, set[str]]) -> None:
    problems = {one: problems_of(without_variables(one), exposed) for one in expressions(dashboard)}
    assert len(problems) > 20
    assert {one: found for one, found in problems.items() if found} == {}


def test_panels_have_ids_of_their_own_and_do_not_overlap(dashboard: dict) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= COLUMNS
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_has_a_title_a_description_a_unit_and_queries(dashboard: dict) -> None:
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] in ("timeseries", "stat", "table")
        assert panel["title"]
        assert panel["description"]
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"]
        letters = [target["refId"] for target in panel["targets"]]
        assert letters
        assert len(set(letters)) == len(letters)


def test_everything_asks_the_provisioned_datasource(dashboard: dict) -> None:
    (source,) = load(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    wanted = {"type": source["type"], "uid": source["uid"]}
    asked = [panel["datasource"] for panel in dashboard["panels"] if panel["type"] != "row"]
    asked += [target["datasource"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    asked += [one["datasource"] for one in dashboard["annotations"]["list"] + dashboard["templating"]["list"]]
    assert all(one == wanted for one in asked)
    name, port = source["url"].removeprefix("http://").split(":")
    assert load(ROOT / "docker-compose.yml")["services"][name]["ports"][0].endswith(f":{port}")


def test_the_dashboard_is_where_grafana_looks_for_it(dashboard: dict) -> None:
    (provider,) = load(GRAFANA / "provisioning" / "dashboards" / "reappear.yml")["providers"]
    folder = provider["options"]["path"]
    grafana = load(ROOT / "docker-compose.yml")["services"]["grafana"]
    mounts = {target: ROOT / source for source, target, _ in (volume.split(":") for volume in grafana["volumes"][:2])}
    assert (mounts[folder] / "reappear.json").is_file()
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/reappear.json"
    assert (mounts["/etc/grafana/provisioning"] / "datasources").is_dir()
    assert dashboard["uid"] == "reappear"
    assert dashboard["schemaVersion"] >= 39
    assert "id" not in dashboard, "an id belongs to one Grafana; provisioned dashboards have none"
