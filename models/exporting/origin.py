"""What an exported file says of itself in its metadata: what it is, what made it, and what it learned from. No date, so
that the same weights give the same bytes. No torch."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from service.embedding.manifest import Acceptance

PREFIX = "reappear."  # of every entry


def describe_file(name: str, size: tuple[int, int], acceptance: Acceptance | None) -> dict[str, object]:
    """Of any network: its name, height and width of its input in pixels, and the figures it was accepted by."""
    figures = {} if acceptance is None else acceptance.model_dump()
    return {"name": name, "version": version("reappear"), "input": f"{size[0]}x{size[1]}", **figures}


def describe_training(flags: Mapping[str, Any], identities: int, steps: int, only_drawn: bool) -> dict[str, object]:
    """Of one that was trained here: what it learned from, by the flags of its run and the steps taken, and whether it
    has seen nothing but synthetic people, before that either."""
    told = {"identities": identities, "steps": steps, "seed": flags.get("seed", ""), "only_drawn": only_drawn}
    data, start = str(flags.get("data", "")), str(flags.get("start") or "")
    told |= {"trained_on": "synthetic people" if data == "people" else Path(data).name}
    return told | ({"started_from": Path(start).name} if start else {})


def to_entries(told: Mapping[str, object]) -> dict[str, str]:
    """As a file holds them."""
    return {PREFIX + key: str(value) for key, value in told.items()}
