"""`python -m tools.audit`: known vulnerabilities of everything that is pinned, by pip-audit.

Exit status 1 where one is known. Where the vulnerability services do not answer, or do not know the packages, nothing
was audited: that is said in a line of its own, with exit status 0, because a machine without a way out must build too.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("pypi", "osv")
NOT_DONE = "AUDIT NOT DONE"
TIMEOUT_S = 10


def main() -> int:
    """Ask one service after the other, until one knows the packages."""
    reasons = []
    for service in SERVICES:
        audited, skipped, reason = ask(service, pins())
        if audited:
            return tell(service, audited, skipped)
        reasons.append(f"{service}: {reason}")
    print(f"{NOT_DONE}: no vulnerability service told anything of these packages ({'; '.join(reasons)})")
    return 0


def pins() -> list[str]:
    """name==version of all that may be installed: the constraints, and what the project and its extras name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    constrained = (ROOT / "constraints.txt").read_text().splitlines()
    bare = {re.sub(r"\[.*?\]", "", one.partition(";")[0].strip()) for one in [*named, *constrained]}
    return sorted(bare, key=str.lower)


def ask(service: str, requirements: list[str]) -> tuple[list[dict[str, Any]], list[str], str]:
    """Packages that a service knows, names of those it does not, and why where it knows none."""
    audited: list[dict[str, Any]] = []
    skipped: list[str] = []
    reason = ""
    for batch in _without_repeats(requirements):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("\n".join(batch))
            file.flush()
            command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--format", "json",
                       "--progress-spinner", "off", "--vulnerability-service", service, "--timeout", str(TIMEOUT_S),
                       "--requirement", file.name]  # fmt: skip
            ended = subprocess.run(command, capture_output=True, text=True)
        try:
            found = json.loads(ended.stdout)["dependencies"]
        except (json.JSONDecodeError, KeyError):
            return [], [], (ended.stderr.strip().splitlines() or ["no answer"])[-1][:200]
        audited += [one for one in found if "vulns" in one]
        skipped += [one["name"] for one in found if "vulns" not in one]
        reason = next((one["skip_reason"] for one in found if "skip_reason" in one), reason)
    return audited, skipped, reason


def tell(service: str, audited: list[dict[str, Any]], skipped: list[str]) -> int:
    """Print what was found; the exit status."""
    found = [one for one in audited if one["vulns"]]
    print(f"{len(audited)} packages audited by {service}, {len(found)} with known vulnerabilities")
    if skipped:
        print(f"not audited, unknown to {service}: {', '.join(sorted(skipped))}")
    for one in found:
        for vulnerability in one["vulns"]:
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            print(f"  {one['name']} {one['version']}: {vulnerability['id']}, fixed in {fixed}")
    return 1 if found else 0


def _without_repeats(requirements: list[str]) -> list[list[str]]:
    """Batches in which no package comes twice: extras for different CUDA versions pin different ones."""
    batches: list[list[str]] = []
    for one in requirements:
        name = one.partition("==")[0].lower().replace("_", "-")
        for batch in batches:
            if name not in {other.partition("==")[0].lower().replace("_", "-") for other in batch}:
                batch.append(one)
                break
        else:
            batches.append([one])
    return batches


if __name__ == "__main__":
    sys.exit(main())
