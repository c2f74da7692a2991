"""`python -m tools.licences`: docs/licences.md, from the packages that are installed here.

It lists what the service runs with: the base, the `cpu` extra and all they need; the packages of the GPU extras, which
are not installed here, by hand.
"""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

from license_expression import get_spdx_licensing
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "licences.md"
ALLOWED = {  # what may be distributed with, or needed by, a work under Apache-2.0
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0",
    "Unlicense", "Zlib",
}  # fmt: skip
USED_AS_A_LIBRARY = {  # imported, unchanged, replaceable by the user: their terms end with their own files
    "LGPL-3.0-only": ("psycopg", "psycopg-binary"), "MPL-2.0": ("orjson",),
}  # fmt: skip
SPELLINGS = {  # of packages that do not use SPDX expressions
    "Apache Software License": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause", "MIT License": "MIT", "The Unlicense (Unlicense)": "Unlicense",
    "Python Software Foundation License": "PSF-2.0", "ISC License (ISCL)": "ISC",
}  # fmt: skip
GPU = {  # not installed here; licences as their wheels state them
    "faiss-gpu-cuvs": "MIT", "faiss-gpu": "MIT", "onnxruntime-gpu": "MIT",
}  # fmt: skip
HEAD = """# Licences

Made by `make licences`; a test holds it to what is pinned. Reappear itself is under Apache-2.0.

psycopg is under LGPL-3.0 and a part of orjson under MPL-2.0: both are imported unchanged as libraries of their own, and
you may replace them by other versions, so nothing of ours falls under those licences. The GPU extras bring NVIDIA's
CUDA libraries with them, whose terms (the CUDA Toolkit EULA) let you use them; they are not part of this repository.
"""


def project() -> dict:
    """The `project` table of pyproject.toml."""
    made: dict = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return made


def runtime_packages() -> list[str]:
    """Names of the base, the `cpu` extra and everything they need, as they are spelt there."""
    open_ones = [Requirement(one) for one in [*project()["dependencies"], *project()["optional-dependencies"]["cpu"]]]
    names: dict[str, set[str]] = {}
    while open_ones:
        wanted = open_ones.pop()
        name = canonical(wanted.name)
        extras = wanted.extras | {""}
        if extras <= names.get(name, set()):
            continue
        names[name] = names.get(name, set()) | extras
        try:
            needed = [Requirement(one) for one in requires(name) or []]
        except PackageNotFoundError:
            continue
        open_ones += [
            one
            for one in needed
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return sorted(names)


def table() -> list[tuple[str, str, str]]:
    """Name, version and licence of each."""
    names = runtime_packages()
    command = [sys.executable, "-m", "piplicenses", "--format=json", "--from=mixed", "--with-system", "--packages"]
    listed = json.loads(subprocess.run([*command, *names], capture_output=True, text=True, check=True).stdout)
    found = [(canonical(one["Name"]), one["Version"], spelt(one["License"])) for one in listed]
    extras = project()["optional-dependencies"]
    pinned = sorted({one for extra in ("gpu", "gpu-cuda12") for one in extras[extra]})
    gpu = [(Requirement(one).name, one.partition("==")[2]) for one in pinned]
    return sorted(found) + [(name, pin, GPU[name]) for name, pin in gpu]


def spelt(licence: str) -> str:
    """A licence as an SPDX expression."""
    return " AND ".join(dict.fromkeys(SPELLINGS.get(one.strip(), one.strip()) for one in licence.split(";")))


def refused(name: str, licence: str) -> bool:
    """Whether what a package is under does not go with Apache-2.0. Of alternatives one is enough."""

    def taken(part: Any) -> bool:
        if part.isliteral:
            key = part.render().partition(" WITH ")[0]
            return key in ALLOWED or name in USED_AS_A_LIBRARY.get(key, ())
        return (all if part.operator.strip() == "AND" else any)(taken(one) for one in part.args)

    return not taken(get_spdx_licensing().parse(licence, validate=False))


def canonical(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """Write the document."""
    rows = "".join(f"| {name} | {version} | {licence} |\n" for name, version, licence in table())
    DOCUMENT.write_text(f"{HEAD}\n| package | version | licence |\n|---|---|---|\n{rows}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
