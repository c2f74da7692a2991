"""What sequences of requests are made of: pictures, people, changes, and filters with what they must let through."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.pictures import jpeg

PICTURES = [jpeg(seed, view=view) for seed in range(5) for view in range(2)]
NAMES = ("Ann", "Äneas", "ANNA Ltd")

numbers = st.integers(0, len(PICTURES) - 1)
places = st.sampled_from(["x", "y"])
identities = st.sampled_from(["ann", "bob", "cy-é", "d 4"])
cameras = st.sampled_from([None, "c1", "c2"])
patches = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from([*NAMES, None]),
        "attributes": st.fixed_dictionaries(
            {},
            optional={
                "colour": st.sampled_from(["red", "blue", ["red", "green"], None]),
                "size": st.sampled_from([1, 2, 2.5, None]),
                "staff": st.sampled_from([True, False, None]),
            },
        ),
    },
)

Meets = Callable[[dict[str, Any], str | None], bool]


def _in(value: Any, *wanted: str) -> bool:
    return bool(set(value if isinstance(value, list) else [value]) & set(wanted))


EXCLUDED = ([], [], ["c1"], ["c2"], ["c1", "c2"])
FILTERS: list[tuple[dict[str, Any] | None, Meets]] = [
    (None, lambda attributes, camera: True),
    ({"camera": "c1"}, lambda attributes, camera: camera == "c1"),
    ({"attributes.colour": "red"}, lambda attributes, camera: _in(attributes.get("colour"), "red")),
    ({"attributes.size": {"gte": 2}}, lambda attributes, camera: attributes.get("size", 0) >= 2),
    ({"attributes.staff": True}, lambda attributes, camera: attributes.get("staff") is True),
    (
        {"attributes.colour": ["blue", "green"], "camera": {"in": ["c2"]}},
        lambda attributes, camera: _in(attributes.get("colour"), "blue", "green") and camera == "c2",
    ),
]
