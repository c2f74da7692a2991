"""/audit: who did what to whom and when. For keys with the scope admin."""

import json
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import Administers
from service.api.bodies import parse, read_json
from service.api.dependencies import After, Limit, cursor_after
from service.api.fields import Count, Text
from service.api.openapi import PROBLEMS, json_body
from service.domain import AuditEntry
from service.flows import lookup, rotation

router = APIRouter(prefix="/audit", tags=["audit"], responses=PROBLEMS)

ENTRY: dict[str, Any] = {
    "at": "2026-05-01T12:30:00Z", "request_id": "1f0e9d8c7b6a5f4e", "caller": "0f3c9a2b7d04", "action": "query",
    "collection": "default", "subjects": ["p-0042", "p-0007"],
}  # fmt: skip


class Entry(BaseModel):
    """One read or write of personal data: `caller` is a key's id, `subjects` are your ids of the people concerned."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [ENTRY]})
    at: datetime
    request_id: str | None
    caller: str
    action: str
    collection: str | None
    subjects: list[str]


class Entries(BaseModel):
    """A page of the log; `next` is the cursor of what follows, and stays good for what is written later."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"entries": [ENTRY], "next": "MTc"}]})
    entries: list[Entry]
    next: str


class Exported(BaseModel):
    """A file with the log as `reappear audit export` writes it, from its first entry on: how many entries it has, the
    SHA-256 of the file, and its name, which is noted."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"entries": 500, "sha256": "0" * 64, "file": "2026-05.jsonl"}]}
    )
    entries: Count = Field(ge=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    file: Text


class Rotation(BaseModel):
    """The numbers of the first and last entry that went, how many they were, and the SHA-256 of the file."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"examples": [{"first": 1, "last": 500, "entries": 500, "sha256": "0" * 64}]},
    )
    first: int
    last: int
    entries: int
    sha256: str


@router.get("")
async def list_entries(access: Administers, after: After, limit: Limit = 100) -> Entries:
    """The log in the order it was written. Writes are in it when they are answered, reads a second later at most."""
    found = await lookup.page_audit(access.to_all(), after=after, limit=limit)
    last = found[-1][0] if found else after
    return Entries(entries=[Entry.model_validate(one) for _, one in found], next=cursor_after(last))


@router.post("/rotation", openapi_extra=json_body(Exported))
async def rotate(request: Request, access: Administers) -> Rotation:
    """Begin a new log: remove the entries that a file has; 409 where the log does not begin with them. An entry stays
    that says who did it. Cursors stay good. `reappear audit rotate FILE` writes the file, and asks for this."""
    parts = access.to_all()
    exported = parse(Exported, await read_json(request))
    done = await rotation.rotate(parts, exported.entries, exported.sha256, exported.file, as_line)
    return Rotation.model_validate(done)


def as_line(entry: AuditEntry) -> bytes:
    """An entry as a line of the exported log."""
    return json.dumps(Entry.model_validate(entry).model_dump(mode="json"), ensure_ascii=False).encode() + b"\n"
