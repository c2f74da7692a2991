"""MODEL_CARD.md: every figure in it comes from the run and the evaluation that made the model."""

from pathlib import Path
from typing import Any

from service.embedding.manifest import Manifest

CARD = """# Model card: {name}

Turns a crop of one person into a unit vector of {dim} numbers; the cosine of two says how alike two people look.
`model.onnx` takes uint8 RGB crops (N, {height}, {width}, 3), any N, and does all arithmetic on pixels itself.
`make train-default` makes it again. Every figure here was filled in by that command.

## What it is

OSNet x0.25 (Zhou et al., ICCV 2019) on inputs standardised per picture and channel; its last maps are pooled in
4 horizontal stripes (Sun et al., ECCV 2018), and each stripe is projected and normalised. {parameters:,} parameters,
{megabytes:.2f} MB. Trained from random weights with the supervised contrastive loss (Khosla et al., NeurIPS 2020)
and an identity loss beside it, while the randomisation of the pictures grew over the first half of the training.

## What it has seen

Only synthetic people: {identities:,} identities drawn by `models/people`, {views} poses and directions of each, every
picture with a camera, background, light and colour cast of its own; {seen:,} pictures in {steps:,} steps, which took
{minutes:.0f} minutes with {threads} threads, seed {seed}. No photograph was used.

## What was measured

Market-1501 protocol, cosine, through ONNX Runtime and the preprocessing of the service. Synthetic people: {made_on}
that no training has seen, 4 fixed cameras × 2 pictures; queries come from the first camera, and the gallery holds
strangers from that camera too. The other style has other proportions, light, palettes, viewpoints and backgrounds. In
vehicle-reid every picture queries all others. The baseline is a 6-stripe HSV histogram.

{table}

The figures on synthetic people say that the network learned what the generator shows, no more.

## Thresholds

| decision | cosine at or above | strangers whose best candidate reaches it (FPIR) | enrolled people who do (TPIR) |
|---|---|---|---|
| match | {match:.3f} | {fpir_match:.1%} | {tpir_match:.1%} |
| possible | {possible:.3f} | {fpir_possible:.1%} | {tpir_possible:.1%} |

They rest on {strangers:,} **synthetic** identities that are neither trained on nor in the table, each asked for once
in a gallery of {gallery} people, two crops of each, from another camera. No threshold carries over to other cameras:
calibrate on people of your own before you trust a decision. And none carries over to a larger gallery: where a share p
of strangers passes with {gallery} people enrolled, about 1 − (1 − p)^k do with k times as many.

## Limits

- It was not measured on pictures of real people. Networks trained on synthetic people lose most of their score on real
  pictures: expect a useful order of candidates, not an identification.
- It compares clothes, build, hair and bags. Who changes clothes is someone else to it; two dressed alike are one.
- A crop must hold one person, upright. Crops below about 64 × 32 pixels carry little.
- No decision about a person should rest on it alone.
"""


def write_card(
    folder: Path, run: dict[str, Any], table: list[str], judged: int, manifest: Manifest, thresholds: dict[str, float]
) -> None:
    """Write MODEL_CARD.md from the run's record, the table of figures and the thresholds."""
    flags, steps = run["flags"], run["scores"][-1][0]  # the steps taken, which a run that was stopped has fewer of
    card = CARD.format(
        name=manifest.name,
        dim=manifest.output.dim,
        height=manifest.input.height,
        width=manifest.input.width,
        parameters=run["parameters"],
        megabytes=(folder / manifest.file).stat().st_size / 1e6,
        identities=flags["identities"],
        views=flags["views"],
        seen=steps * flags["people"] * flags["pictures"],
        steps=steps,
        minutes=run["seconds"] / 60,
        threads=flags["threads"],
        seed=flags["seed"],
        table="\n".join(table),
        made_on=judged,
        strangers=manifest.thresholds.identities,
        gallery=manifest.thresholds.gallery,
        fpir_match=manifest.thresholds.fpir_match,
        fpir_possible=manifest.thresholds.fpir_possible,
        **thresholds,
    )
    (folder / "MODEL_CARD.md").write_text(card)
