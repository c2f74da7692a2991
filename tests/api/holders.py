"""Holders of keys: a service that asks for them, and keys of every kind, as the headers of a request."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import update

from service.db.tables import api_keys
from service.flows.keys import load_keys
from tests.api.conftest import running
from tests.api.holdings import parts_of

Headers = dict[str, str]


@contextmanager
def keyed(folder: Path, database_url: str, **values: Any) -> Iterator[tuple[TestClient, Headers]]:
    """A service that asks for keys also on loopback, and the headers of its first admin."""
    secret = secrets.token_hex(32)
    (folder / "admin-key").write_text(f"{secret}\n")
    with running(
        folder / "data", database_url, auth="on", admin_key_file=folder / "admin-key", **values
    ) as client:  # fmt: skip
        yield client, bearer(secret)


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def made_key(client: TestClient, admin: Headers, scope: str, **values: Any) -> dict[str, Any]:
    """A new key as its maker sees it, token included."""
    answer = client.post("/keys", json={"name": f"a {scope} key", "scope": scope, **values}, headers=admin)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def holder(client: TestClient, admin: Headers, scope: str, **values: Any) -> Headers:
    """The headers of somebody with a new key."""
    return bearer(made_key(client, admin, scope, **values)["token"])


def expire(client: TestClient, key: str) -> None:
    """Let a key's time be over, as far as rows and ring know."""
    parts = parts_of(client)
    with parts.database.begin() as connection:
        past = datetime(2026, 1, 1, tzinfo=UTC)
        connection.execute(update(api_keys).where(api_keys.c.id == key).values(expires_at=past))
    assert client.portal is not None
    client.portal.call(load_keys, parts)
