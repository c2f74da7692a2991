import time

import httpx2 as httpx

from tests.crash.audit import audit
from tests.crash.crowd import Crowd
from tests.crash.oracle import Oracle
from tests.server import Server

DURATION_S = 30
CLIENTS = 32
SEED = 20260522


def test_many_clients_at_once_lose_nothing_and_each_reads_what_it_wrote(server: Server, database_url: str) -> None:
    """Each client asks for what it enrolled and removed right after the answer; see `Crowd` for what it demands."""
    print(f"seed {SEED}")
    oracle = Oracle()
    crowd = Crowd(server.url, oracle, clients=CLIENTS, seed=SEED)
    crowd.start()
    time.sleep(DURATION_S)
    crowd.stop()
    print(crowd.statuses, oracle.count())
    assert crowd.failures == []
    assert crowd.statuses.keys() <= {"200", "201", "503"}
    assert oracle.unanswered() == []
    rows = audit(database_url, server.data_dir)
    assert oracle.problems(rows) == []
    assert _listed(server.url) == oracle.must_have()
    count = oracle.count()
    assert count["enrolments done"] > CLIENTS * 3, "too little was done to say anything"
    assert count["removals done"] > CLIENTS, "too little was done to say anything"


def _listed(url: str) -> dict[int, str]:
    """Every crop that the pages of the gallery show, and its identity."""
    with httpx.Client(base_url=url, timeout=30) as client:
        found: dict[int, str] = {}
        for identity in _pages(client, "/gallery", "identities"):
            crops = [one["crop"] for one in _pages(client, f"/gallery/{identity['id']}/crops", "crops")]
            assert len(crops) == identity["crops"]
            assert not found.keys() & set(crops), "a crop is listed twice"
            found.update(dict.fromkeys(crops, identity["id"]))
        return found


def _pages(client: httpx.Client, path: str, name: str) -> list[dict]:
    entries: list[dict] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(path, params={"limit": 37, "cursor": cursor}).json()
        entries += page[name]
        cursor = page["next"]
    return entries
