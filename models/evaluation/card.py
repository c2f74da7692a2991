"""MODEL_CARD.md: every figure in it comes from the run and the evaluations that made the model, and so does its text.

`python -m models card` writes it from the files that `train`, `evaluate` and `thresholds` left.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from models.errors import Refused
from models.evaluation.ancestry import DRAWN, DRAWN_ONES, origin_of, read_entries, saw_only_drawn
from models.evaluation.history import WIDTH, describe_learning
from models.evaluation.thresholds import Threshold, read_thresholds
from models.files import write_whole
from service.embedding.manifest import Manifest, read_manifest
from service.errors import ModelRefused

PAPERS = {
    "osnet": "OSNet (Zhou et al., ICCV 2019)",
    "mobilenetv2": "MobileNetV2 (Sandler et al., CVPR 2018)",
    "resnet50": "ResNet-50 (He et al., CVPR 2016)",
}
POOLINGS = {
    "average": "averaged",
    "max": "reduced to their largest values",
    "gem": "pooled by generalised means (Radenović et al., TPAMI 2019)",
    "stripes": "pooled in {stripes} horizontal stripes (Sun et al., ECCV 2018)",
    "global+stripes": "pooled as a whole and in {stripes} horizontal stripes (Sun et al., ECCV 2018)",
}
VEHICLES = "vehicle-reid/"  # in the name of the set of real vehicles
TPIRS = ("tpir_match", "tpir_possible")

CARD = """# Model card: {name}

Turns a crop of one person into a unit vector of {dim} numbers; the cosine of two says how alike two people look.
`{file}` takes uint8 RGB crops (N, {height}, {width}, 3), any N, and does all arithmetic on pixels itself.
Every figure here was filled in by the commands that made it.

## What it is

{architecture} {parameters:,} parameters, {megabytes:.2f} MB.
{learned}

## What it has seen

{experience}

## What was measured

{judged}

{table}{meaning}{commands}

## Thresholds

| decision | cosine at or above | strangers whose best candidate reaches it (FPIR) | enrolled people who do (TPIR) |
|---|---|---|---|
| match | {match:.3f} | {fpir_match:.1%} | {tpir_match} |
| possible | {possible:.3f} | {fpir_possible:.1%} | {tpir_possible} |

{resting} No threshold carries over to other cameras:
calibrate on people of your own before you trust a decision. And none carries over to a larger gallery: where a share p
of strangers passes with {gallery:,} people enrolled, about 1 − (1 − p)^k do with k times as many.{by_gallery}

## Limits

- {limit}
- It compares clothes, build, hair and bags. Who changes clothes is someone else to it; two dressed alike are one.
- A crop must hold one person, upright. Crops below about 64 × 32 pixels carry little.
- No decision about a person should rest on it alone.
"""

OF_DRAWN = {  # what is said of a network that learned from people drawn on the fly
    "experience": """\
{only} synthetic people: {identities:,} identities drawn by `models/people`, {views} poses and directions of each, every
picture with a camera, background, light and colour cast of its own; {seen:,} pictures in {steps:,} steps, which took
{minutes:.0f} minutes, seed {seed}.{before}""",
    "resting": """\
They rest on {strangers:,} **synthetic** identities that are neither trained on nor in the table, each asked for once
in a gallery of {gallery:,} people, two crops of each, from another camera.""",
    "limit": """\
{unmeasured}Networks trained on synthetic people lose most of their score on real
  pictures: expect a useful order of candidates, not an identification.""",
}
OF_PICTURES = {  # and of one that learned from pictures on disk
    "experience": """\
{identities:,} identities in the pictures of `{data}`, without those who were held out; {seen:,} pictures in {steps:,}
steps, which took {minutes:.0f} minutes, seed {seed}. Whose pictures they are, and with what consent they were taken, is
for whoever trained it to say.{before}""",
    "resting": "They rest on {made_from}, with {gallery:,} people enrolled.",
    "limit": """\
It has seen only the cameras and people of `{data}`: measure it on those that it will serve.""",
}

JUDGED = {  # how pictures were judged by, by what is in the names of those it is said of
    "": "Market-1501 protocol, cosine, through ONNX Runtime and the preprocessing of the service.",
    DRAWN_ONES: "Synthetic people are none that was trained on, at 4 fixed cameras × 2 pictures; queries come from the "
    "first camera, and the gallery holds strangers from that camera too.",
    "people, street": "`street` is the style of those that networks here are trained on; the other styles have other "
    "bodies, clothes, light, viewpoints, backgrounds and cameras.",
    VEHICLES: "Of the real vehicles every picture queries all others: a domain as foreign as can be.",
}
BASELINE = "The baseline is a 6-stripe HSV histogram."
MEANING = """

The figures on `street` say that the network learned what the generator shows, those on the other styles how much of it
carries over to a generator that was changed on purpose. Neither says how it does on photographs."""
UNMEASURED = "It was not measured on pictures of real people. "

BY_GALLERY = """

The more people are enrolled, the nearer the nearest of them is to a stranger. By gallery size, from {enrolled:,}
rendered enrolled people and {strangers:,} rendered strangers, each searched for once; TPIR counts who is accepted and
nearest of all. Intervals hold 95 %, by a bootstrap over identities.

| enrolled | FPIR | cosine at or above | 95 % interval | TPIR | 95 % interval |
|---|---|---|---|---|---|
{rows}"""


def write_card(
    folder: Path,
    run: Mapping[str, Any],
    evaluations: Sequence[Mapping[str, Any]],
    manifest: Manifest,
    thresholds: Mapping[str, float | None],
    by_gallery: Sequence[Threshold],
    commands: Sequence[str],
) -> None:
    """Write MODEL_CARD.md beside the manifest.

    `run` is what run.json says, `evaluations` files of `evaluate --json`, `thresholds` match and possible with
    their TPIR (None: not measured), `commands` those that made the figures. Raises Refused when it cannot be written.
    """
    flags, steps = run["flags"], run["scores"][-1][0]  # the steps taken, which a run that was stopped has fewer of
    shares = {name: "–" if thresholds[name] is None else f"{thresholds[name]:.1%}" for name in TPIRS}
    drawn, noted = flags["data"] == DRAWN, run.get("origin", {})
    start, only_drawn = origin_of(flags, noted), saw_only_drawn(flags, noted)
    before = [*([start.in_words()] if start else []), *(["No photograph was used."] if only_drawn else [])]
    judged = [str(one["data"]) for one in evaluations]
    told = {
        "only": "Only" if only_drawn else "In this training only",
        "unmeasured": "" if any(is_of_people(one) for one in judged) else UNMEASURED,
        "data": Path(run.get("data") or str(flags["data"])).name,
        "identities": flags["identities"] if drawn else run["identities"],
        "views": flags["views"],
        "seen": steps * flags["people"] * flags["pictures"] * flags.get("accumulate", 1),
        "steps": steps,
        "minutes": run["seconds"] / 60,
        "seed": flags["seed"],
        "before": "\n" + fill(" ".join(before), WIDTH) if before else "",
        "strangers": manifest.thresholds.identities,
        "gallery": manifest.thresholds.gallery,
        "made_from": manifest.thresholds.made_from,
    }
    texts = OF_DRAWN if drawn else OF_PICTURES
    rendered = "rendered" in manifest.thresholds.made_from  # of pictures too, thresholds may be made from drawn people
    texts = {**texts, "resting": (OF_DRAWN if rendered else OF_PICTURES)["resting"]}
    sections = {name: text.format(**told) for name, text in texts.items()}
    card = CARD.format(
        name=manifest.name,
        file=manifest.file,
        dim=manifest.output.dim,
        height=manifest.input.height,
        width=manifest.input.width,
        architecture=describe_architecture(run.get("architecture", {})),
        parameters=run["parameters"],
        megabytes=(folder / manifest.file).stat().st_size / 1e6,
        learned=describe_learning(flags),
        judged=describe_judging(evaluations),
        table="\n".join(tabulate_evaluations(evaluations)),
        meaning=MEANING if drawn and any("people, street" in one for one in judged) else "",
        commands=list_commands(commands),
        match=thresholds["match"],
        possible=thresholds["possible"],
        gallery=manifest.thresholds.gallery,
        fpir_match=manifest.thresholds.fpir_match,
        fpir_possible=manifest.thresholds.fpir_possible,
        by_gallery=tabulate_thresholds(by_gallery),
        **sections,
        **shares,
    )
    write_whole(folder / "MODEL_CARD.md", card.encode())


def describe_architecture(architecture: Mapping[str, Any]) -> str:
    """One sentence on the network, from the fields of an Architecture."""
    backbone = str(architecture.get("backbone", "osnet-x0.25"))
    paper = next(words for name, words in PAPERS.items() if backbone.startswith(name))
    pooling = POOLINGS[architecture.get("pooling", "stripes")].format(stripes=architecture.get("stripes", 4))
    inputs = {"picture": "standardised per picture and channel", "imagenet": "standardised by ImageNet's colours"}
    given = inputs.get(architecture.get("standardise", "picture"), "scaled to 0–1")
    return fill(f"{paper}, `{backbone}`, on inputs {given}; its last maps are {pooling} and projected.", WIDTH)


def describe_judging(evaluations: Sequence[Mapping[str, Any]]) -> str:
    """How the pictures of these evaluations were judged by."""
    names = [str(one["data"]) for one in evaluations]
    said = [sentence for part, sentence in JUDGED.items() if any(part in name for name in names)]
    if any(one["model"] == "histogram" for one in evaluations):
        said.append(BASELINE)
    return fill(" ".join(said), WIDTH)


def is_of_people(name: str) -> bool:
    """Whether a set that was judged by may show real people."""
    return DRAWN_ONES not in name and VEHICLES not in name


def list_commands(commands: Sequence[str]) -> str:
    """The commands that made the figures, as a block."""
    listed = "\n".join(dict.fromkeys(commands))
    return f"\n\nThe commands that made the figures on this page:\n\n```\n{listed}\n```" if commands else ""


def tabulate_thresholds(by_gallery: Sequence[Threshold]) -> str:
    """A Markdown table of thresholds by gallery size and FPIR; nothing where there are none."""
    if not by_gallery:
        return ""
    rows = [
        f"| {one.gallery:,} | {one.fpir:.1%} | {one.similarity:.3f} | {one.low:.3f} … {one.high:.3f} "
        f"| {one.tpir:.1%} | {one.tpir_low:.1%} … {one.tpir_high:.1%} |"
        for one in by_gallery
    ]
    first = by_gallery[0]
    return BY_GALLERY.format(enrolled=first.enrolled, strangers=first.strangers, rows="\n".join(rows))


def tabulate_evaluations(evaluations: Sequence[Mapping[str, Any]]) -> list[str]:
    """A Markdown table with a line for each file that `evaluate --json` wrote."""
    lines = ["| pictures | model | method | mAP | rank-1 | rank-5 | mINP | queries |", "|---" * 8 + "|"]
    for one in evaluations:
        figures = (one["mean_ap"], one["cmc"]["1"], one["cmc"]["5"], one["mean_inp"])
        told = " | ".join(f"{figure:.3f}" for figure in figures)
        lines.append(f"| {one['data']} | {one['model']} | {one['in_words']} | {told} | {one['queries']} |")
    return lines


def card(
    model: Annotated[Path, typer.Argument(help="An exported folder; its MODEL_CARD.md is written anew.")],
    run: Annotated[Path, typer.Option(help="The folder of the run it was exported from.")],
    evaluation: Annotated[list[Path], typer.Option(help="A file of `evaluate --json`; several times.")],
    thresholds: Annotated[Path, typer.Option(help="The file of `thresholds --json`.")],
) -> None:
    """Write MODEL_CARD.md from what training, evaluation and thresholds left, with the command for every figure.

    [bold]Example:[/] python -m models card models/mine --run runs/mine --evaluation mine.json --thresholds by-size.json
    """
    try:
        manifest = read_manifest(model)
    except ModelRefused as error:
        raise Refused(str(error)) from error
    found, by_size = [read_json(path) for path in evaluation], read_json(thresholds)
    by_gallery = read_thresholds(thresholds, checksums_of(model, manifest))
    try:
        decisions = decide(manifest, by_gallery)
        made_by = [*(one["command"] for one in found), by_size["command"]]
        write_card(model, read_json(run / "run.json"), found, manifest, decisions, by_gallery, made_by)
    except (KeyError, TypeError, IndexError) as error:
        raise Refused(f"{error} is missing in a file of another version; make run and figures anew") from error


def checksums_of(model: Path, manifest: Manifest) -> set[str]:
    """Of the exported file, and of the network it was exported from where that gives the same vectors."""
    network = read_entries(model / manifest.file).get("reappear.weights", "") if manifest.precision == "fp32" else ""
    return {manifest.sha256, network} - {""}


def decide(manifest: Manifest, by_gallery: Sequence[Threshold]) -> dict[str, float | None]:
    """The manifest's two thresholds with the TPIR that was measured for its gallery size and FPIR, if it was."""
    stated = manifest.thresholds
    measured = {(one.gallery, one.fpir): one.tpir for one in by_gallery}
    return {
        "match": stated.match,
        "possible": stated.possible,
        "tpir_match": measured.get((stated.gallery, stated.fpir_match)),
        "tpir_possible": measured.get((stated.gallery, stated.fpir_possible)),
    }


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises Refused, which names the file."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read as JSON: {error}; write it anew") from error
