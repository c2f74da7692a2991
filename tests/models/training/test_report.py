"""The report: one file that needs nothing else, with a verdict for every plot."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from models.errors import Refused
from models.training.plots import Section, start_figure, to_svg, write_page
from models.training.report import write_report

SECTIONS = [
    "Summary", "Loss", "Learning rate", "Training and validation scores", "Update-to-weight ratios", "Dead channels",
    "Activations", "Gradients", "First-layer filters", "Hardest triplets", "Flags",
]  # fmt: skip
VOID = {"meta", "img", "br", "hr", "link"}


class Reader(HTMLParser):
    """Collects headings, ids and links, and holds that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.headings, self.ids, self.verdicts = list[str](), list[str](), list[str](), 0
        self.targets = list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.targets += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.verdicts += tag == "p" and (values.get("class") or "").startswith("verdict")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def test_the_report_is_one_file_with_a_verdict_for_every_section(run: Path) -> None:
    text = (run / "report.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.headings == SECTIONS
    assert reader.verdicts == len(SECTIONS)
    assert "http" not in text
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in reader.targets)
    assert {target[1:] for target in reader.targets if target.startswith("#")} <= set(reader.ids)
    assert text.count("<svg") == 7
    assert text.count("data:image/png;base64,") == 2
    assert "--seed" in text


def test_plots_on_one_page_share_no_id(run: Path) -> None:
    reader = Reader()
    reader.feed((run / "report.html").read_text())
    assert [name for name, count in Counter(reader.ids).items() if count > 1] == []


def test_the_same_run_gives_the_same_report(run: Path) -> None:
    before = (run / "report.html").read_bytes()
    write_report(run)
    assert (run / "report.html").read_bytes() == before


def test_a_folder_without_a_run_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"run\.json"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_written_into_a_page_cannot_become_markup() -> None:
    page = write_page("<b>", [Section("A & B", "<script>", "")]).decode()
    assert "<script>" not in page
    assert "<b>" not in page
    assert 'id="a-b"' in page


def test_references_inside_a_plot_follow_its_name() -> None:
    figure, (axes,) = start_figure()
    axes.plot([1, 2], [3, 4])
    svg = to_svg(figure, "mine")
    assert set(re.findall(r"url\(#([^-]+)-", svg)) == {"mine"}
