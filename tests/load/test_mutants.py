"""Spoilt pictures over HTTP: never a 5xx, never a wait, and the service is no larger afterwards."""

from collections import Counter
from collections.abc import Callable

import httpx2 as httpx

from tests.api.sending import base64_of, form
from tests.crash.crowd import JPEG
from tests.fuzz.bombs import bombs
from tests.fuzz.corpus import pictures
from tests.fuzz.grinder import growth, resident_bytes
from tests.fuzz.mutators import mutant
from tests.pictures import jpeg
from tests.server import Server

SEED = 20261122
MUTANTS = 800
MOST_GROWTH = 1.5  # the allocator of a process with many threads keeps more or less of what was freed
PATIENCE_S = 20


def test_mutated_pictures_are_never_answered_with_a_5xx_and_leave_the_service_as_it_was(
    serve: Callable[..., Server],
) -> None:
    server, sound = serve(REAPPEAR_LOG_LEVEL="warning"), list(pictures().values())
    spoilt = [mutant(SEED, number, sound) for number in range(MUTANTS)]
    spoilt += [bomb for bomb in bombs().values() if len(bomb) < 1_000_000]
    statuses: Counter[int] = Counter()
    resident = []
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
        assert client.post("/gallery?identity=p-1", content=jpeg(1), headers=JPEG).status_code == 201
        for number, picture in enumerate(spoilt):
            for path, sent in _ways(number, picture):
                answer = client.post(path, **sent)
                statuses[answer.status_code] += 1
                assert answer.status_code < 500, f"mutant {number} of seed {SEED} to {path}: {answer.text}"
                if answer.status_code >= 400:
                    assert {"error", "detail"} <= answer.json().keys()
            resident.append(resident_bytes(server.pid))
        found = client.post("/query", content=jpeg(1), headers=JPEG).json()
    print(f"seed {SEED}: {dict(statuses)}, grown {growth(resident):.2f}")
    assert found["candidates"][0]["identity"] == "p-1"
    assert statuses.keys() <= {200, 201, 413, 415, 422}
    assert min(statuses[200], statuses[422], statuses[415]) > MUTANTS / 20, "nothing was tried"
    assert "a request failed" not in server.log.read_text()
    assert growth(resident) < MOST_GROWTH


def _ways(number: int, picture: bytes) -> list[tuple[str, dict]]:
    """To be asked for in one of three ways, and to be enrolled."""
    asked = [
        ("/query", {"content": picture, "headers": {"Content-Type": "image/png"}}),
        ("/query", {"json": {"image": base64_of(picture)}}),
        ("/embed", form("image", [picture])),
    ][number % 3]
    return [asked, ("/gallery", form("images", [picture, jpeg(number)] if number % 7 == 0 else [picture]))]
