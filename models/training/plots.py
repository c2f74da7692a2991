"""Plots as inline SVG without outside references, and as PNG; and the one HTML page that holds them."""

import base64
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.7rem }
h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd }
p.verdict { background: #f3f6fa; border-left: 4px solid #3b6ea5; padding: .5rem .8rem; white-space: pre-line }
p.bad { background: #fdf3ee; border-left-color: #c8501e }
table { border-collapse: collapse; font-size: .9rem }
td, th { padding: .15rem .8rem .15rem 0; text-align: left; border-bottom: 1px solid #eee; overflow-wrap: anywhere }
td:first-child, th:first-child { white-space: nowrap }
svg { max-width: 100%; height: auto }
img { max-width: 100%; image-rendering: pixelated }
nav a { margin-right: .8rem }
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page: what it shows, in a sentence what to think of it, and whether that is bad news."""

    title: str
    verdict: str
    body: str
    bad: bool = False


def write_page(title: str, sections: Sequence[Section]) -> bytes:
    """One self-contained HTML page, light and readable."""
    links = " ".join(f'<a href="#{anchor(one.title)}">{html.escape(one.title)}</a>' for one in sections)
    parts = [
        f'<section id="{anchor(one.title)}"><h2>{html.escape(one.title)}</h2>\n'
        f'<p class="verdict{" bad" if one.bad else ""}">{html.escape(one.verdict)}</p>\n{one.body}</section>'
        for one in sections
    ]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    body = f"<h1>{html.escape(title)}</h1>\n<nav>{links}</nav>\n" + "\n".join(parts)
    page = f'<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>{body}</body></html>'
    return f"<!doctype html>\n{page}\n".encode()


def anchor(title: str) -> str:
    """The id of a section."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def tabulate(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """An HTML table."""
    cells = "".join(f"<th>{html.escape(one)}</th>" for one in head)
    lines = ["".join(f"<td>{html.escape(str(one))}</td>" for one in row) for row in rows]
    return f"<table><tr>{cells}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def embed_picture(path: Path, what: str) -> str:
    """A PNG file as an inline picture; a sentence where there is none."""
    if not path.exists():
        return f"<p>There is no {html.escape(path.name)} in this run.</p>"
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(what)}" src="data:image/png;base64,{data}">'


def to_svg(figure: Figure, name: str) -> str:
    """The figure as inline SVG, the same text for the same figure; its ids begin with the name, so that several fit on
    one page."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)  # inline SVG needs none, and the page names no address
    text = re.sub(r'\bid="', f'id="{name}-', text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)


def to_png(figure: Figure) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def start_figure(columns: int = 1, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure of so many plots side by side; no window, no global state."""
    figure = Figure(figsize=(9.5, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for one in axes:
        one.grid(alpha=0.25)
        one.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def draw_lines(axes: Axes, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], across: str = "step") -> None:
    """One line for each name; single points get a marker."""
    for name, (xs, ys) in lines.items():
        axes.plot(xs, ys, label=name, marker="o" if len(xs) < 30 else None, markersize=3, linewidth=1.4)
    axes.set_xlabel(across)
    if len(lines) > 5:
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    elif len(lines) > 1:
        axes.legend(fontsize=8, frameon=False)


def draw_histograms(axes: Axes, histograms: Mapping[str, Sequence[float]]) -> None:
    """Each as a ridge of its own, [low, high, counts …], spread over its own range; the first layer is at the top."""
    names = list(histograms)
    for k, name in enumerate(names):
        low, high, *counts = histograms[name]
        heights = np.log1p(np.array(counts))
        place = len(names) - 1 - k
        xs = np.linspace(0, 1, len(counts))
        axes.fill_between(xs, place, place + 0.9 * heights / max(1e-9, heights.max()), linewidth=0, alpha=0.75)
        axes.text(1.01, place + 0.25, f"{low:.2g} … {high:.2g}", fontsize=7)
    axes.set_yticks(range(len(names)), reversed(names), fontsize=7)
    axes.set_xticks([])
