"""Tokens and the ring that tells whose they are."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from service.domain import ApiKey, Caller, Scope
from service.errors import Unauthorised
from service.flows.keyring import ADMIN_FILE, LOOPBACK_CALLER, TOKEN, KeyRing, NewToken, make_token
from service.flows.keys import load_keys, revoke
from tests.api.holdings import parts_of

ADMIN_KEY = "an admin key of more than 32 characters".replace(" ", "-")
NOW = datetime.now(UTC)


def kept(token: NewToken, scope: Scope = Scope.READ, expires_at: datetime | None = None) -> ApiKey:
    return ApiKey(token.id, "n", token.secret_sha256, scope, "there", 3, 4, NOW, expires_at, None)


def ring_with(*keys: ApiKey, required: bool = True) -> KeyRing:
    ring = KeyRing(required=required, admin_key=ADMIN_KEY)
    ring.load(keys)
    return ring


def test_tokens_are_all_different_and_only_their_digest_is_kept() -> None:
    tokens = [make_token() for _ in range(200)]
    assert len({one.token for one in tokens}) == len({one.id for one in tokens}) == 200
    for one in tokens:
        found = TOKEN.fullmatch(one.token)
        assert found is not None
        assert found[1] == one.id
        assert one.secret_sha256 == hashlib.sha256(found[2].encode()).hexdigest()
        assert len(found[2]) * 6 >= 256, "bits"
        assert found[2] not in one.id + one.secret_sha256


def test_a_key_is_known_by_its_token_and_says_what_it_may() -> None:
    mine, other = make_token(), make_token()
    ring = ring_with(kept(mine, Scope.WRITE), kept(other))
    assert ring.identify(mine.token) == Caller(mine.id, Scope.WRITE, "there", 3, 4)
    assert ring.identify(other.token).id == other.id
    assert ring.identify(ADMIN_KEY) == ADMIN_FILE


def test_nothing_else_is_let_in_and_all_are_told_the_same() -> None:
    mine, other, unknown = make_token(), make_token(), make_token()
    ring = ring_with(kept(mine), kept(other), kept(past := make_token(), expires_at=NOW - timedelta(seconds=1)))
    secret = mine.token.removeprefix(f"rk_{mine.id}_")
    mixed = f"rk_{other.id}_{secret}"
    wrong = [
        "", mine.id, secret, mine.secret_sha256, f"rk_{mine.id}_{mine.secret_sha256}", unknown.token, past.token, mixed,
        mine.token[:-1], mine.token + "x", mine.token + "\n", f" {mine.token}", mine.token.upper(), ADMIN_KEY[:-1],
        ADMIN_KEY + "x", "é" * 43, "\x00",
    ]  # fmt: skip
    told = set()
    for token in wrong:
        with pytest.raises(Unauthorised) as error:
            ring.identify(token)
        told.add(error.value.detail)
    assert len(told) == 1


def test_a_key_opens_until_it_expires_and_not_from_then_on() -> None:
    soon, late = make_token(), make_token()
    now = datetime.now(UTC)
    ring = ring_with(kept(soon, expires_at=now), kept(late, expires_at=now + timedelta(minutes=5)))
    with pytest.raises(Unauthorised):
        ring.identify(soon.token)
    assert ring.identify(late.token).id == late.id


def test_without_a_key_only_a_ring_that_asks_for_none_lets_in() -> None:
    with pytest.raises(Unauthorised):
        ring_with().identify(None)
    open_ring = ring_with(required=False)
    assert open_ring.identify(None) == LOOPBACK_CALLER
    with pytest.raises(Unauthorised):
        open_ring.identify("a wrong key is wrong here too")


def test_without_an_admin_key_no_token_is_the_admins() -> None:
    ring = KeyRing(required=True, admin_key=None)
    for token in ("", "None", ADMIN_KEY):
        with pytest.raises(Unauthorised):
            ring.identify(token)


def test_a_key_revoked_while_the_ring_is_loaded_stays_revoked(lite: TestClient) -> None:
    parts = parts_of(lite)
    assert lite.portal is not None

    async def revoke_and_load(key: str) -> None:
        await asyncio.gather(load_keys(parts), revoke(parts, key))

    for number in range(20):
        made = lite.post("/keys", json={"name": f"k{number}", "scope": "read"}).json()
        assert parts.keys.identify(made["token"]).id == made["id"]
        lite.portal.call(revoke_and_load, made["id"])
        with pytest.raises(Unauthorised):
            parts.keys.identify(made["token"])


def test_the_keys_of_a_collection_go_and_others_stay() -> None:
    gone, stays = make_token(), make_token()
    ring = ring_with(kept(gone), replace(kept(stays), collection=None))
    ring.drop_collection("there")
    assert ring.identify(stays.token).id == stays.id
    with pytest.raises(Unauthorised):
        ring.identify(gone.token)


def test_a_revoked_key_is_forgotten_at_once() -> None:
    revoked = make_token()
    ring = ring_with(kept(revoked))
    ring.drop(revoked.id)
    ring.drop("never-there")
    with pytest.raises(Unauthorised):
        ring.identify(revoked.token)


def test_scopes_cover_those_before_them() -> None:
    assert [[one.covers(other) for other in Scope] for one in Scope] == [
        [True, False, False], [True, True, False], [True, True, True]
    ]  # fmt: skip
