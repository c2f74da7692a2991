"""Who holds which key: all keys in force in memory, so that a request costs one look-up and one digest."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from service.domain import ApiKey, Caller, Scope
from service.errors import Unauthorised

TOKEN = re.compile(r"rk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
SECRET_BYTES = 32
ADMIN_FILE = Caller("admin-file", Scope.ADMIN)
LOOPBACK_CALLER = Caller("loopback", Scope.ADMIN)
NO_KEY = "this key is not known, was revoked or has expired; ask for a new one"


@dataclass(frozen=True, slots=True)
class NewToken:
    """A key's public id, its secret's digest, and the token itself, which is shown once and kept nowhere."""

    id: str
    secret_sha256: str
    token: str


def make_token() -> NewToken:
    """A new token: `rk_ID_SECRET`, with 256 random bits; so a plain SHA-256 of it cannot be guessed back."""
    key, secret = secrets.token_hex(6), secrets.token_urlsafe(SECRET_BYTES)
    return NewToken(key, _digest(secret), f"rk_{key}_{secret}")


class KeyRing:
    """Tells whose key a request carries."""

    def __init__(self, *, required: bool, admin_key: str | None) -> None:
        """Where keys are not `required`, requests without one come from this machine and may do everything."""
        self._required = required
        self._admin = None if admin_key is None else _digest(admin_key)
        self._keys: dict[str, ApiKey] = {}

    def load(self, keys: Sequence[ApiKey]) -> None:
        """Take the keys in force, all of them."""
        self._keys = {key.id: key for key in keys}

    def add(self, key: ApiKey) -> None:
        """Take a new key."""
        self._keys[key.id] = key

    def drop(self, key: str) -> None:
        """Forget a key that was revoked."""
        self._keys.pop(key, None)

    def drop_collection(self, collection: str) -> None:
        """Forget the keys of a collection that was removed."""
        self._keys = {key.id: key for key in self._keys.values() if key.collection != collection}

    def identify(self, token: str | None) -> Caller:
        """The holder of a key. Raises Unauthorised, in the same words for all that is wrong with a key."""
        if token is None:
            if self._required:
                raise Unauthorised("send a key: `Authorization: Bearer KEY` or `X-API-Key: KEY`")
            return LOOPBACK_CALLER
        if self._admin is not None and hmac.compare_digest(_digest(token), self._admin):
            return ADMIN_FILE
        parts = TOKEN.fullmatch(token)
        key = self._keys.get(parts[1]) if parts else None
        if parts is None or key is None or not hmac.compare_digest(_digest(parts[2]), key.secret_sha256):
            raise Unauthorised(NO_KEY)
        if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
            raise Unauthorised(NO_KEY)
        return Caller(key.id, key.scope, key.collection, key.reads_per_minute, key.writes_per_minute)

    def check(self, caller: Caller) -> None:
        """Raises Unauthorised where a holder's key has gone since it was shown: bodies take their time to come."""
        if caller not in (ADMIN_FILE, LOOPBACK_CALLER) and caller.id not in self._keys:
            raise Unauthorised(NO_KEY)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
