"""/audit: who did what to whom and when. For keys with the scope admin."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from service.api.access import Administers
from service.api.dependencies import After, Limit, cursor_after
from service.api.openapi import PROBLEMS
from service.flows import lookup

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


@router.get("")
async def list_entries(access: Administers, after: After, limit: Limit = 100) -> Entries:
    """The log in the order it was written. Writes are in it when they are answered, reads a second later at most."""
    found = await lookup.page_audit(access.to_all(), after=after, limit=limit)
    last = found[-1][0] if found else after
    return Entries(entries=[Entry.model_validate(one) for _, one in found], next=cursor_after(last))
