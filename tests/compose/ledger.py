"""What clients of the stack were told: what must be found, with its picture, and what must never come back."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2 as httpx

from tests.compose.stack import Stack
from tests.pictures import jpeg

JPEG = {"Content-Type": "image/jpeg"}
SAME = 0.9999  # a picture against its own vector; two different ones of `jpeg` are at most 0.997 apart in similarity
IDENTITIES = 40
CLIENTS = 4
REMOVALS = 0.2
PAUSE_S = 0.05
PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One acknowledged crop."""

    identity: str
    picture: bytes


class Ledger:
    """Holds every acknowledgement. What was asked for and never answered is in neither."""

    def __init__(self, first_seed: int = 1_000_000) -> None:
        """Pictures are made from seeds on from that one; no two ledgers may share any."""
        self._lock = threading.Lock()
        self._made = first_seed
        self.kept: dict[int, Enrolled] = {}
        self.gone: dict[int, Enrolled] = {}

    def enrol(self, http: httpx.Client) -> int | None:
        """Enrol a picture that nobody else has; returns its crop where that is acknowledged."""
        with self._lock:
            self._made += 1
            number = self._made
        one = Enrolled(f"p-{number % IDENTITIES}", jpeg(number))
        answer = http.post("/gallery", params={"identity": one.identity}, content=one.picture, headers=JPEG)
        if answer.status_code == 503:
            return None
        assert answer.status_code in (200, 201), answer.text
        crop: int = answer.json()["accepted"][0]["crop"]
        with self._lock:
            self.kept[crop] = one
        return crop

    def remove(self, http: httpx.Client, crop: int) -> None:
        """Remove a crop, and note it where that is acknowledged."""
        with self._lock:
            one = self.kept.pop(crop)  # until there is an answer nobody knows
        answer = http.delete(f"/gallery/{one.identity}/crops/{crop}")
        if answer.status_code == 503:
            return
        assert answer.status_code == 200, answer.text
        with self._lock:
            self.gone[crop] = one

    @contextmanager
    def clients(self, stack: Stack) -> Iterator[None]:
        """Clients that enrol and remove for as long as the block lasts, through whatever happens to the stack."""
        stop = threading.Event()
        failures: list[BaseException] = []

        def work(seed: int) -> None:
            choose = random.Random(seed)
            mine: list[int] = []
            with stack.http() as http:
                while not stop.wait(PAUSE_S):
                    try:
                        if mine and choose.random() < REMOVALS:
                            self.remove(http, mine.pop(choose.randrange(len(mine))))
                        elif (crop := self.enrol(http)) is not None:
                            mine.append(crop)
                    except httpx.TransportError:
                        continue  # nobody answered, so nothing was promised
                    except BaseException as error:
                        failures.append(error)
                        return

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE_S)
        assert failures == []

    def wait_for(self, more: int) -> None:
        """Wait until so many more enrolments are acknowledged than now."""
        wanted = len(self.kept) + len(self.gone) + more
        deadline = time.monotonic() + PATIENCE_S
        while len(self.kept) + len(self.gone) < wanted:
            assert time.monotonic() < deadline, f"{more} enrolments were not acknowledged in {PATIENCE_S} s"
            time.sleep(0.02)

    def problems(self, stack: Stack) -> list[str]:
        """Where the stack does not hold to what was acknowledged."""
        found = []
        with stack.http() as http:
            for crop, one in self.kept.items():
                best = self._hits(http, one)[0]
                if best["crop"] != crop or best["similarity"] < SAME:
                    found.append(f"crop {crop} of {one.identity} is not found; {best} is")
                elif http.get(f"/crops/{crop}/picture").content != one.picture:
                    found.append(f"the picture of crop {crop} is another")
            for crop, one in self.gone.items():
                if crop in [hit["crop"] for hit in self._hits(http, one)]:
                    found.append(f"crop {crop} was removed and is found")
                if (status := http.get(f"/crops/{crop}/picture").status_code) != 404:
                    found.append(f"the picture of crop {crop} was removed and is answered with {status}")
        return found

    def _hits(self, http: httpx.Client, one: Enrolled) -> list[dict]:
        answer = http.post("/query?k=2", content=one.picture, headers=JPEG)
        assert answer.status_code == 200, answer.text
        return [hit for candidate in answer.json()["candidates"] for hit in candidate["hits"]]
