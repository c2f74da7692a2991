"""Training, in miniature."""

import json
from pathlib import Path

import torch

from models.network import Extractor
from models.train import WARM_UP, Flags, rate_at, train

TINY = Flags(
    steps=3,
    identities=4,
    views=2,
    scenes=2,
    people=3,
    pictures=2,
    threads=1,
    drawers=0,
    watched=2,
    note_every=2,
    seed=5,
)


def test_the_same_seed_gives_the_same_weights_and_the_run_can_be_read_back(tmp_path: Path) -> None:
    first, again = train(TINY, tmp_path / "first"), train(TINY, tmp_path / "again")

    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == ["curves.png", "run.json", "weights.pt"]
    restored = Extractor()
    restored.load_state_dict(torch.load(tmp_path / "first" / "weights.pt", weights_only=True))
    for one, other in ((first, again), (first, restored)):
        assert all(
            torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        )

    run = json.loads((tmp_path / "first" / "run.json").read_text())
    assert run["flags"]["seed"] == 5
    assert [(step, style) for step, style, *_ in run["scores"]] == [
        (2, "street"),
        (2, "toy"),
        (3, "street"),
        (3, "toy"),
    ]


def test_the_rate_warms_up_and_then_falls_to_nothing() -> None:
    rates = [rate_at(step, 1000) for step in range(1001)]
    assert rates[0] == 1 / WARM_UP
    assert rates[WARM_UP] == 1
    assert rates[1000] < 1e-6
    assert rates[WARM_UP:] == sorted(rates[WARM_UP:], reverse=True)
