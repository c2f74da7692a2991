"""kill -9 while the index is loaded from a snapshot."""

import httpx2 as httpx

from tests.pictures import jpeg
from tests.server import Server

JPEG = {"Content-Type": "image/jpeg"}


def test_a_kill_while_a_snapshot_is_read_costs_the_next_start_nothing(server: Server) -> None:
    for seed in (1, 2):
        httpx.post(f"{server.url}/gallery?identity=p-{seed}", content=jpeg(seed), headers=JPEG, timeout=30)
    assert server.stop() == 0
    server.launch("tests.dying", "while-reading-a-snapshot", "0")
    assert server.wait_for_death() == -9
    server.start()
    for seed in (1, 2):
        found = httpx.post(f"{server.url}/query", content=jpeg(seed), headers=JPEG, timeout=30).json()
        assert found["candidates"][0]["identity"] == f"p-{seed}"
    assert '"from_snapshot":2,"from_database":0' in server.log.read_text()
