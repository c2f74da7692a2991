"""Many losses of power from one run: a crowd at work on a watched disk, and what is left of it at chosen moments."""

import random
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient

from service.app import create_app
from service.config import Settings
from service.db.schema import upgrade
from service.store.lock import FolderLock
from tests.conftest import wait_until_ready
from tests.crash.audit import audit
from tests.crash.crowd import Crowd
from tests.crash.oracle import Oracle
from tests.crash.recheck import check_gone, check_search, check_tombstones, check_vectors, repeat_unanswered
from tests.faults.journal import Record
from tests.faults.power import WORST, Disk, Loss
from tests.faults.preload import FaultyDisk
from tests.server import Server

CLIENTS = 6
SAMPLE = 8  # crops that are searched for after each loss; the vectors of all are compared


@dataclass(frozen=True, slots=True)
class Run:
    """What was done to a disk, and what the clients were told meanwhile."""

    records: list[Record]
    oracle: Oracle


@dataclass(frozen=True, slots=True)
class Survivor:
    """A data folder after a loss of power right before one record, and what had been acknowledged by then."""

    data_dir: Path
    oracle: Oracle
    loss: Loss
    record: int


def database_in(data_dir: Path) -> str:
    """The URL of the database that lies in a data folder."""
    return f"sqlite:///{data_dir / 'reappear.db'}"


def run_crowd(folder: Path, chance: random.Random, *turns_s: float, module: tuple[str, ...] = ()) -> Run:
    """Let a crowd work on an empty disk for some turns. The service is stopped after each but the last, and killed."""
    disk = folder / "disk"
    disk.mkdir()
    watched = FaultyDisk(disk, folder)
    often = {"REAPPEAR_SNAPSHOT_MINUTES": "0.001"}
    server, oracle = Server(disk / "data", database_in(disk / "data"), **watched.environment, **often), Oracle()
    try:
        for turn, turn_s in enumerate(turns_s):
            if turn:
                server.stop()
            server.launch(*module)
            server.wait_until_ready()
            crowd = Crowd(server.url, oracle, clients=CLIENTS, seed=chance.randrange(2**32), asks=False)
            crowd.start()
            time.sleep(turn_s)
            crowd.stop()
            assert crowd.failures == []
    finally:
        server.kill()
    return Run(watched.journal(), oracle)


def lose_power(run: Run, folder: Path, chance: random.Random, times: int) -> Iterator[Survivor]:
    """Losses at moments of the run, many right after an acknowledgement, some during the first start. The first one
    comes right after the first acknowledgement and leaves only what was synced."""
    moments = [record.moment_s for record in run.records]
    acknowledged = [bisect_right(moments, moment_s) for moment_s in run.oracle.acknowledged_at()]
    chosen = [
        [chance.choice(acknowledged), chance.randrange(len(moments) + 1), chance.randrange(acknowledged[0])][number % 3]
        for number in range(times - 1)
    ]
    disk, at = Disk(), 0
    for number, record in enumerate(sorted([acknowledged[0], *chosen])):
        for one in run.records[at:record]:
            disk.apply(one)
        loss = WORST if record == acknowledged[0] else Loss.draw(chance)
        at, target = record, folder / f"loss-{number}"
        disk.write_survivors(target, loss, chance)
        moment_s = moments[record] if record < len(moments) else float("inf")
        yield Survivor(target / "data", run.oracle.as_of(moment_s), loss, record)


def check_survivor(survivor: Survivor, chance: random.Random, known: dict[str, "np.ndarray"]) -> None:
    """Start the service on what is left, as `python -m service --migrate` does: it is ready by itself, has everything
    that was acknowledged, nothing that was removed, and takes repeated requests once. `known` are vectors of pictures,
    see `check_vectors`."""
    url, oracle = database_in(survivor.data_dir), survivor.oracle
    lock = FolderLock(survivor.data_dir)
    try:
        upgrade(url)
    finally:
        lock.release()
    settings = Settings(data_dir=survivor.data_dir, database_url=url, log_level="error")
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        rows = audit(url, survivor.data_dir)
        assert oracle.problems(rows) == []
        check_tombstones(survivor.data_dir, oracle)
        assert client.get("/readyz").json()["crops"] == len(rows)
        check_vectors(client, rows, known)
        check_search(client, chance.sample(rows, min(SAMPLE, len(rows))))
        check_gone(client, oracle, chance)
        repeat_unanswered(client, oracle, chance)
        assert oracle.problems(audit(url, survivor.data_dir)) == []
