"""Clients that enrol, ask and remove as fast as answers come, and write every answer down."""

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import httpx2 as httpx

from tests.crash.oracle import Oracle
from tests.pictures import jpeg

JPEG = {"Content-Type": "image/jpeg"}
SAME = 0.9999  # a picture against its own vector; two different ones of `jpeg` are at most 0.997 apart in similarity
MAX_PICTURES = 3
NOT_DONE = ("OVERLOADED", "STOPPING", "NOT_READY", "LOADING", "DATABASE_DOWN", "STORE_DOWN")
PATIENCE_S = 30.0


class Crowd:
    """Threads with identities of their own, and some that all share. Ends by `stop`, or with the service."""

    def __init__(self, url: str, oracle: Oracle, *, clients: int, seed: int, asks: bool = True) -> None:
        self.failures: list[str] = []
        self.statuses: Counter[str] = Counter()
        self._stop = threading.Event()
        self._clients = [_Client(self, url, oracle, f"{seed}-{number}", asks) for number in range(clients)]
        self._threads = [threading.Thread(target=client.work, args=(self._stop,)) for client in self._clients]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each client finish what it is at."""
        self._stop.set()
        self.join()

    def join(self) -> None:
        """Wait for the clients; they end by themselves once the service does not answer."""
        for thread in self._threads:
            thread.join(timeout=PATIENCE_S * 2)
            assert not thread.is_alive(), "a client never got an answer"


class Gone(Exception):
    """The service does not answer any more."""


class _Client:
    """One client. Pictures are never used for two crops that live at once, so that each finds its own crop."""

    def __init__(self, crowd: Crowd, url: str, oracle: Oracle, name: str, asks: bool) -> None:
        self._crowd = crowd
        self._oracle = oracle
        self._name = name
        self._random = random.Random(name)
        self._http = httpx.Client(base_url=url, timeout=PATIENCE_S)
        self._identities: dict[str, dict[int, bytes]] = {}  # own and shared: the crops enrolled here
        self._gone: list[tuple[int, bytes]] = []
        self._asks = asks
        self._made = 0

    def work(self, stop: threading.Event) -> None:
        steps: list[Callable[[], None]] = [self.enrol] * 5 + [self.remove_crop] * 2 + [self.remove_identity]
        if self._asks:
            steps += [self.find_one] * 3 + [self.miss_one] * 2
        try:
            while not stop.is_set():
                self._random.choice(steps)()
        except Gone:
            return
        except Exception as error:
            self._crowd.failures.append(f"{self._name}: {error!r}")
        finally:
            self._http.close()

    def enrol(self) -> None:
        identity = self._random.choice([f"{self._name}-{self._made}", "shared", *list(self._identities)[-3:]])
        pictures = [self._picture() for _ in range(self._random.randint(1, MAX_PICTURES))]
        token = self._oracle.enrolling(identity, pictures)
        answer = self._send("POST", "/gallery", **enrolment(token, identity, pictures))
        if self._was_refused(answer):
            self._oracle.refused(token)
        elif answer.status_code == 503:
            self._forget(identity, [])
        elif self._expect(answer, 200, 201):
            crops = [one["crop"] for one in answer.json()["accepted"]]
            self._oracle.enrolled(token, crops)
            self._identities.setdefault(identity, {}).update(zip(crops, pictures, strict=True))
            if self._asks:
                self._find(identity, crops[0], pictures[0])

    def remove_crop(self) -> None:
        owners = [identity for identity, crops in self._identities.items() if crops]
        if not owners:
            return
        identity = self._random.choice(owners)
        crop = self._random.choice(list(self._identities[identity]))
        self._remove(f"/gallery/{identity}/crops/{crop}", identity, [crop])

    def remove_identity(self) -> None:
        own = [identity for identity in self._identities if identity != "shared"]
        if own:
            identity = self._random.choice(own)
            self._remove(f"/gallery/{identity}", identity, list(self._identities[identity]))
            if not self._identities.get(identity, True):
                del self._identities[identity]

    def _remove(self, path: str, identity: str, crops: list[int]) -> None:
        self._oracle.removing(crops)
        answer = self._send("DELETE", path)
        if self._was_refused(answer):
            self._oracle.kept(crops)
        elif answer.status_code == 503:
            self._forget(identity, crops)
        elif self._expect(answer, 200):
            self._oracle.removed(crops)
            if answer.json()["removed"]["crops"] != len(crops):
                self._fail(f"{path} removed {answer.json()['removed']}, {len(crops)} crops were there")
            self._gone += [(crop, self._identities[identity].pop(crop)) for crop in crops]
            if self._asks and crops:
                self._miss(*self._gone[-1])

    def _forget(self, identity: str, crops: list[int]) -> None:
        """An outcome is unknown: these crops are neither to be found nor to be missed, and how many crops the identity
        has cannot be said any more. What the oracle holds of it stays."""
        if identity == "shared":
            for crop in crops:
                del self._identities[identity][crop]
        else:
            self._identities.pop(identity, None)

    def find_one(self) -> None:
        owners = [identity for identity, crops in self._identities.items() if crops]
        if owners:
            identity = self._random.choice(owners)
            crop, picture = self._random.choice(list(self._identities[identity].items()))
            self._find(identity, crop, picture)

    def miss_one(self) -> None:
        if self._gone:
            self._miss(*self._random.choice(self._gone))

    def _find(self, identity: str, crop: int, picture: bytes) -> None:
        """What was acknowledged is at the top of the next answer."""
        candidates = self._query(picture, k=2)
        if candidates is None:
            return
        best = candidates[0]["hits"][0] if candidates else {"crop": None, "similarity": 0}
        if best["crop"] != crop or best["similarity"] < SAME or candidates[0]["identity"] != identity:
            self._fail(f"crop {crop} of {identity} is not at the top of {candidates}")

    def _miss(self, crop: int, picture: bytes) -> None:
        """What was removed is in no answer."""
        candidates = self._query(picture, k=5)
        if any(hit["crop"] == crop for one in candidates or [] for hit in one["hits"]):
            self._fail(f"crop {crop} was removed and is in {candidates}")

    def _query(self, picture: bytes, k: int) -> list[dict] | None:
        answer = self._send("POST", f"/query?k={k}", content=picture, headers=JPEG)
        if self._was_refused(answer) or not self._expect(answer, 200):
            return None
        candidates = answer.json()["candidates"]
        names = [one["identity"] for one in candidates]
        if len(set(names)) != len(names):
            self._fail(f"an identity twice: {names}")
        similarities = [one["similarity"] for one in candidates]
        if similarities != sorted(similarities, reverse=True):
            self._fail(f"candidates out of order: {similarities}")
        for one in candidates:
            crops = [hit["crop"] for hit in one["hits"]]
            if one["similarity"] != one["hits"][0]["similarity"] or len(set(crops)) != len(crops):
                self._fail(f"hits that do not fit their candidate: {one}")
        return candidates

    def _send(self, method: str, path: str, **content: object) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **content)
        except httpx.TransportError as error:
            self._crowd.statuses["no answer"] += 1
            raise Gone from error
        self._crowd.statuses[str(answer.status_code)] += 1
        return answer

    def _was_refused(self, answer: httpx.Response) -> bool:
        """A 503 that says when to come again, and that nothing was done."""
        if answer.status_code != 503:
            return False
        said = answer.json()
        if not answer.headers.get("retry-after", "").isdigit() or said.keys() != {"error", "detail"}:
            self._fail(f"a 503 without Retry-After, error and detail: {answer.headers} {said}")
        time.sleep(0.01)
        return said["error"] in NOT_DONE

    def _expect(self, answer: httpx.Response, *statuses: int) -> bool:
        if answer.status_code not in statuses:
            self._fail(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:300]}")
        return answer.status_code in statuses

    def _fail(self, what: str) -> None:
        self._crowd.failures.append(f"{self._name}: {what}")

    def _picture(self) -> bytes:
        self._made += 1
        return picture_of(self._name, self._made)


def enrolment(token: str, identity: str, pictures: list[bytes]) -> dict[str, Any]:
    """An enrolment that can be repeated, as a raw picture where it is one and as a form where they are many."""
    fields, key = {"identity": identity, "track": token}, {"Idempotency-Key": token}
    if len(pictures) == 1:
        return {"params": fields, "content": pictures[0], "headers": {**JPEG, **key}}
    files = [("images", (f"{number}.jpg", one, "image/jpeg")) for number, one in enumerate(pictures)]
    return {"data": fields, "files": files, "headers": key}


@lru_cache(maxsize=20_000)
def picture_of(name: str, number: int) -> bytes:
    """A picture that nobody else makes."""
    return jpeg(int.from_bytes(hashlib.sha256(f"{name}/{number}".encode()).digest()[:6]))
