"""Every place where the service may be killed: its fail points, read from its source, and two moments without a name.

A new part of the service joins by calling `fail_point("some-name")` where a crash must not lose anything; nothing needs
to be added here, unless the crowd gets there so rarely that the kill loop would wait for it.
"""

import ast
import random
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICE = ROOT / "service"
COMMANDS = {
    "flows/loading.py": "tests/crash/test_snapshots.py",
    "flows/restore.py": "tests/backup/test_killed.py",
    "flows/remove.py": "tests/crash/test_emptying.py",
    "flows/rotation.py": "tests/command/test_rotate.py",
}  # no crowd gets there: source → the test that kills there
ANY_MOMENT, STARTING = "any moment", "while starting"
PASSES_AT_MOST = 16  # how often a point is passed before it kills
RARE = {"after-commit-before-unlink": 6, "after-unlink-before-clearing": 6, "while-compacting": 2, "while-sealing": 6}


def fail_points(folder: Path = SERVICE) -> set[str]:
    """The names of all fail points of the running service, from its source. Raises ValueError for a name that is no
    literal."""
    served = set(folder.rglob("*.py")) - {folder / source for source in COMMANDS}
    return {name for path in served for name in named_in(path)}


def deck(chance: random.Random, kills: int) -> list[tuple[str, int]]:
    """So many kills, each as a point and how often it is passed before; every point comes before one comes again."""
    points = [*sorted(fail_points()), ANY_MOMENT, STARTING]
    drawn: list[str] = []
    while len(drawn) < kills:
        drawn += chance.sample(points, len(points))
    return [(point, chance.randrange(RARE.get(point, PASSES_AT_MOST))) for point in drawn[:kills]]


def named_in(path: Path) -> Iterator[str]:
    """The names of the fail points in one file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called.lstrip("_") != "fail_point":
            continue
        if len(node.args) != 1 or not isinstance(node.args[0], ast.Constant):
            raise ValueError(f"{path.name}:{node.lineno}: the name of a fail point must be a literal")
        yield str(node.args[0].value)
