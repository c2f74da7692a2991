import re
from pathlib import Path

import pytest

from tools.licences import DOCUMENT, canonical, project, refused, runtime_packages

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"


def listed() -> dict[tuple[str, str], str]:
    """The document's table: name and version to licence."""
    rows = re.findall(r"^\| (\S+) \| (\d\S*) \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    return {(name, version): licence for name, version, licence in rows}


def pinned() -> list[tuple[str, str]]:
    """Direct dependencies of the base and of each extra that a service may run with."""
    extras = project()["optional-dependencies"]
    named = [*project()["dependencies"], *extras["cpu"], *extras["gpu"], *extras["gpu-cuda12"]]
    parts = [re.fullmatch(r"([\w.-]+)(?:\[.*])?==(\S+)", one) for one in named]
    return [(canonical(part[1]), part[2]) for part in parts if part]


@pytest.mark.parametrize(("name", "version"), pinned())
def test_every_dependency_is_listed_with_a_licence_in_the_version_that_is_pinned(name: str, version: str) -> None:
    assert (name, version) in listed(), "run `make licences`"


def test_what_the_dependencies_need_is_listed_too_in_the_version_that_is_constrained() -> None:
    constrained = dict(line.partition("==")[::2] for line in CONSTRAINTS.read_text().splitlines())
    versions = {canonical(name): version for name, version in constrained.items()}
    needed = {(name, versions[name]) for name in runtime_packages() if name in versions}
    assert len(needed) > 20
    assert needed <= listed().keys(), "run `make licences`"


def test_every_licence_goes_with_apache_2() -> None:
    assert {name: licence for (name, _), licence in listed().items() if refused(name, licence)} == {}


@pytest.mark.parametrize(
    ("licence", "is_refused"),
    [
        ("MIT", False), ("GPL-3.0-only", True), ("MIT OR GPL-3.0-only", False), ("MIT AND GPL-3.0-only", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True), ("LGPL-3.0-only", True), ("UNKNOWN", True),
        ("Apache-2.0 WITH LLVM-exception", False),
    ],
)  # fmt: skip
def test_a_licence_is_refused_unless_all_of_it_or_one_of_its_alternatives_is_allowed(
    licence: str, is_refused: bool
) -> None:
    assert refused("some-package", licence) is is_refused
