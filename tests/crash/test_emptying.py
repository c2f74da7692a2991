"""A collection that is removed is found no more from the first of many transactions on, and a crash between two of them
brings nothing back."""

import threading
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from service.config import Settings
from service.db.emptying import hide_collection
from service.db.people import find_collection
from service.db.tables import collections
from service.flows.housekeeping import put_right
from service.store.tombstones import TOMBSTONE_FILE, Tombstones
from tests.api.conftest import running
from tests.api.holdings import files, parts_of, wait_for
from tests.api.sending import form, raw
from tests.crash.audit import audit
from tests.pictures import jpeg
from tests.server import Server

JPEG = {"Content-Type": "image/jpeg"}
PEOPLE, CROPS_EACH = 3, 2


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.db.emptying.PEOPLE_AT_ONCE", 2)
    monkeypatch.setattr("service.db.emptying.CROPS_AT_ONCE", 3)
    monkeypatch.setattr("service.flows.outbox.AT_ONCE", 2)


def fill(client: TestClient) -> list[int]:
    """`going` with people in it, and one person elsewhere; returns the crops of `going`."""
    assert client.post("/collections", json={"name": "going"}).status_code == 201
    crops = []
    for person in range(PEOPLE):
        pictures = [jpeg(person, view=view) for view in range(CROPS_EACH)]
        answer = client.post("/gallery", **form("images", pictures, identity=f"p-{person}", collection="going"))
        crops += [one["crop"] for one in answer.json()["accepted"]]
    assert client.post("/gallery", **raw(jpeg(9), identity="stays")).status_code == 201
    return crops


def rows_of_collections(client: TestClient) -> list[str]:
    return list(parts_of(client).database.read_now(lambda on: on.execute(select(collections.c.name)).scalars().all()))


def test_a_removal_in_many_portions_gives_a_whole_receipt(client: TestClient, settings: Settings) -> None:
    crops = fill(client)
    receipt = client.delete("/collections/going?with_identities=true").json()
    assert receipt["removed"] == {
        "identities": PEOPLE,
        "crops": len(crops),
        "vectors": len(crops),
        "pictures": len(crops),
    }
    assert receipt["self_query"] == {"crops": len(crops), "found": 0}
    assert receipt["generation"] == client.get("/readyz").json()["generation"]
    assert list(files(settings.data_dir).values()) == [jpeg(9)]
    kinds = [one.kind for one in parts_of(client).tombstones.read()]
    assert (kinds.count("crop"), kinds.count("identity"), kinds.count("collection")) == (len(crops), PEOPLE, 1)
    assert [row.identity for row in audit(settings.url, settings.data_dir)] == ["stays"]
    assert client.delete("/collections/going").status_code == 404


def hide(client: TestClient) -> None:
    with parts_of(client).database.begin() as connection:
        hide_collection(connection, find_collection(connection, "going").id)


def check_hidden(client: TestClient, crops: list[int]) -> None:
    assert [one["name"] for one in client.get("/collections").json()["collections"]] == ["default"]
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/collections/going", {}), ("GET", "/gallery?collection=going", {}),
        ("GET", "/gallery/p-1?collection=going", {}), ("PATCH", "/collections/going", {"json": {"retention_days": 1}}),
        ("POST", "/query?collection=going", {"json": {"crop": crops[0]}}), ("GET", f"/crops/{crops[0]}/picture", {}),
        ("POST", "/gallery?collection=going", {"content": jpeg(5), "headers": JPEG}),
    ]  # fmt: skip
    for method, path, sent in asked:
        assert client.request(method, path, **sent).status_code == 404, path
    assert client.get("/retention?at=2999-01-01T00:00:00Z").json()["collections"] == []
    assert client.get("/keys").json()["keys"] == []


def test_a_hidden_collection_is_found_by_nothing_and_its_name_is_free(client: TestClient, settings: Settings) -> None:
    crops = fill(client)
    client.post("/keys", json={"name": "n", "scope": "read", "collection": "going"})
    hide(client)
    check_hidden(client, crops)
    assert client.post("/collections", json={"name": "going"}).status_code == 201
    again = client.post("/gallery?collection=going&identity=p-1", content=jpeg(5), headers=JPEG)
    assert again.status_code == 201
    assert client.portal is not None
    client.portal.call(put_right, parts_of(client))
    assert sorted(rows_of_collections(client)) == ["default", "going"]
    assert len(audit(settings.url, settings.data_dir)) == 2
    assert client.get("/readyz").json()["crops"] == 2


def test_a_start_goes_on_with_a_removal_before_it_is_ready(settings: Settings) -> None:
    with running(settings.data_dir, settings.url) as client:
        fill(client)
        hide(client)
    with running(settings.data_dir, settings.url) as client:
        assert rows_of_collections(client) == ["default"]
        assert client.get("/readyz").json()["crops"] == 1
        assert len(files(settings.data_dir)) == 1
        assert client.delete("/collections/going").status_code == 404
    assert len(audit(settings.url, settings.data_dir)) == 1


def test_it_goes_in_many_transactions_between_which_others_may_write(client: TestClient) -> None:
    fill(client)
    parts, order = parts_of(client), []
    write = parts.writer._commit

    def noted(jobs: Any) -> Any:
        order.append(len(jobs))
        return write(jobs)

    parts.writer.batcher._run = noted
    removing = threading.Thread(target=client.delete, args=("/collections/going?with_identities=true",))
    removing.start()
    removing.join()
    assert len(order) > PEOPLE * CROPS_EACH / 3 + 2
    wait_for(lambda: len(parts.audit) == 0)


@pytest.mark.parametrize(("point", "after"), [
    ("after-hiding-before-emptying", 0), ("after-commit-before-index", 0), ("before-commit", 1),
    ("after-commit-before-index", 1), ("before-commit", 2), ("after-commit-before-unlink", 0),
])  # fmt: skip
def test_a_kill_between_two_steps_of_it_brings_nothing_back(
    point: str, after: int, sqlite_template: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.db").write_bytes(sqlite_template.read_bytes())
    server = Server(tmp_path / "data", f"sqlite:///{tmp_path / 'own.db'}")
    server.start(dies_at=point, after=after, armed=False)
    try:
        with httpx.Client(base_url=server.url) as client:
            crops = fill(client)  # type: ignore[arg-type]
            server.arm()
            with pytest.raises(httpx.TransportError):
                client.delete("/collections/going?with_identities=true")
        assert server.wait_for_death() == -9
        server.start()
        with httpx.Client(base_url=server.url) as client:
            check_hidden(client, crops)  # type: ignore[arg-type]
            assert client.get("/readyz").json()["crops"] == 1
            assert client.delete("/collections/going").status_code == 404
        assert [row.identity for row in audit(server.database_url, server.data_dir)] == ["stays"]
        named = {one.row for one in Tombstones(server.data_dir / TOMBSTONE_FILE).read() if one.kind == "crop"}
        assert set(map(str, crops)) <= named
    finally:
        server.stop()
