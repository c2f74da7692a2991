"""What a client changes of an identity: its name, and its attributes by JSON merge patch (RFC 7396)."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from service.errors import BadInput

MAX_ATTRIBUTES = 64
MAX_BYTES = 16_384
MAX_NESTING = 4


@dataclass(frozen=True, slots=True)
class Patch:
    """`name` counts only where `sets_name`; a None in attributes removes the key, and None for them all removes all."""

    sets_name: bool = False
    name: str | None = None
    attributes: dict[str, Any] | None = field(default_factory=dict)

    def merged_name(self, current: str | None) -> str | None:
        """The name after the patch."""
        return self.name if self.sets_name else current

    def merged_attributes(self, current: dict[str, Any]) -> dict[str, Any]:
        """The attributes after the patch. Raises BadInput where they become too many or too large."""
        merged = {} if self.attributes is None else _merge(current, self.attributes)
        if len(merged) > MAX_ATTRIBUTES:
            raise BadInput(f"an identity has at most {MAX_ATTRIBUTES} attributes, this would make {len(merged)}")
        if len(orjson.dumps(merged)) > MAX_BYTES:
            raise BadInput(f"an identity's attributes have at most {MAX_BYTES} bytes as JSON, these would have more")
        return merged


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            below = merged.get(key)
            merged[key] = _merge(below if isinstance(below, dict) else {}, value)
        else:
            merged[key] = value
    return merged
