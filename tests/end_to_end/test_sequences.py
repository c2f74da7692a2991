"""Any sequence of requests leaves the service as it leaves a plain dict, on both databases, restarts included."""

import base64
import itertools
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from service.app import create_app
from service.config import Settings
from tests.conftest import wait_until_ready
from tests.crash.audit import audit
from tests.end_to_end.choices import EXCLUDED, FILTERS, NAMES, PICTURES, cameras, identities, numbers, patches, places
from tests.end_to_end.truth import BATCHED, KnownCrop, check_candidates, mean, rank

EXAMPLES = {"sqlite": 25, "postgresql": 8}
STEPS = 30
MANY = 32  # crops; the most that one request takes, and as many as the first search fetches
QUERIES = 6  # of each kind a step asks
JPEG = {"Content-Type": "image/jpeg"}


@dataclass
class _Person:
    name: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    crops: dict[int, tuple[int, str | None]] = field(default_factory=dict)  # crop → number of its picture, camera

    def patch(self, patch: dict[str, Any]) -> None:
        self.name = patch.get("name", self.name)
        merged = {**self.attributes, **patch.get("attributes", {})}
        self.attributes = {key: value for key, value in merged.items() if value is not None}


class _Service:
    """A service in this process that can be stopped and started again, and the vectors it gives for the pictures."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.examples = itertools.count()
        self.start()
        self.vectors = [
            np.array(self.client.post("/embed", content=one, headers=JPEG).json()["vector"], np.float32)
            for one in PICTURES
        ]

    def start(self) -> None:
        self.client = TestClient(create_app(self.settings), base_url="http://127.0.0.1")
        self.client.__enter__()
        wait_until_ready(self.client)

    def stop(self) -> None:
        self.client.__exit__(None, None, None)


class _Sequence(RuleBasedStateMachine):
    def __init__(self, service: _Service) -> None:
        super().__init__()
        self.service = service
        self.known: dict[str, dict[str, _Person]] = {}
        self.crops_ever: dict[int, int] = {}  # crop → number of its picture
        self.generation = service.client.get("/readyz").json()["generation"]
        self.restarted = False

    @property
    def client(self) -> TestClient:
        return self.service.client

    @initialize(seed=st.integers(0, 2**32 - 1), crowded=st.booleans())
    def make_collections(self, seed: int, crowded: bool) -> None:
        """Some people in each collection; in a crowded one so many crops of one that a single search misses others."""
        example, chance = next(self.service.examples), random.Random(seed)
        self.names = {place: f"{place}-{example}" for place in ("x", "y")}
        for place in self.names:
            self.make_collection(place)
            for identity in ("ann", "bob", "cy-é"):
                count = MANY if crowded and identity == "bob" else chance.randint(1, 3)
                pictures = [chance.randrange(len(PICTURES)) for _ in range(count)]
                camera = chance.choice([None, "c1", "c2"])
                attributes = {"colour": chance.choice(["red", "blue"]), "size": chance.randint(1, 3), "staff": True}
                patch = {"name": chance.choice(NAMES), "attributes": attributes}
                self.enrol(place, identity, pictures, camera, patch, form="form")

    @rule(place=places)
    def make_collection(self, place: str) -> None:
        answer = self.client.post("/collections", json={"name": self.names[place]})
        assert answer.status_code == (409 if place in self.known else 201)
        self.known.setdefault(place, {})

    @rule(place=places, with_identities=st.sampled_from([False, False, False, True]))
    def remove_collection(self, place: str, with_identities: bool) -> None:
        answer = self.client.delete(f"/collections/{self.names[place]}?with_identities={with_identities}")
        if place not in self.known:
            assert answer.status_code == 404
        elif self.known[place] and not with_identities:
            assert answer.status_code == 409
        else:
            gone = self.known.pop(place)
            self.check_removed(answer.json(), len(gone), sum(len(person.crops) for person in gone.values()))

    @rule(
        place=places, identity=identities, pictures=st.lists(numbers, min_size=1, max_size=3), camera=cameras,
        patch=patches, form=st.sampled_from(["raw", "form", "json"]),
    )  # fmt: skip
    def enrol(
        self, place: str, identity: str, pictures: list[int], camera: str | None, patch: dict[str, Any], form: str
    ) -> None:
        pictures = pictures[:1] if form == "raw" else pictures
        answer = self.send_enrolment(place, identity, pictures, camera, patch, form)
        if place not in self.known:
            assert answer.status_code == 404
            return
        people = self.known[place]
        assert answer.status_code == (200 if identity in people else 201), answer.text
        person = people.setdefault(identity, _Person())
        before = [picture for picture, _ in person.crops.values()]
        person.patch({key: value for key, value in patch.items() if form == "json" or value is not None})
        said = answer.json()
        for one, picture in zip(said["accepted"], pictures, strict=True):
            assert one["crop"] not in self.crops_ever, "a crop's id was used again"
            person.crops[one["crop"]] = (picture, camera)
            self.crops_ever[one["crop"]] = picture
            others = before + pictures[: one["index"]] + pictures[one["index"] + 1 :]
            self.check_similarity(one["similarity_to_identity"], picture, others)
        assert said["rejected"] == []
        self.check_identity(said["identity"], identity, person)
        self.generation += len(pictures)
        assert said["generation"] == self.generation

    def send_enrolment(
        self, place: str, identity: str, pictures: list[int], camera: str | None, patch: dict[str, Any], form: str
    ) -> Any:
        fields = {"identity": identity, "collection": self.names[place], **patch}
        if form == "json":
            images = [{"image": base64.b64encode(PICTURES[number]).decode()} for number in pictures]
            images = [{**one, "camera": camera} for one in images]
            return self.client.post("/gallery", json={**fields, "images": images})
        fields = {**fields, "camera": camera}
        if "attributes" in fields:
            fields["attributes"] = orjson.dumps(patch["attributes"]).decode()
        fields = {key: value for key, value in fields.items() if value is not None}
        if form == "raw":
            return self.client.post("/gallery", params=fields, content=PICTURES[pictures[0]], headers=JPEG)
        files = [("images", (f"{number}.jpg", PICTURES[number], "image/jpeg")) for number in pictures]
        return self.client.post("/gallery", data=fields, files=files)

    def check_similarity(self, said: float | None, picture: int, others: list[int]) -> None:
        if not others:
            assert said is None
            return
        best = max(float(self.service.vectors[picture] @ self.service.vectors[other]) for other in others)
        assert abs(said - best) < BATCHED

    @rule(place=places, identity=identities, patch=patches)
    def patch(self, place: str, identity: str, patch: dict[str, Any]) -> None:
        answer = self.client.patch(f"/gallery/{identity}", params=self.at(place), json=patch)
        person = self.known.get(place, {}).get(identity)
        if person is None:
            assert answer.status_code == 404
        else:
            person.patch(patch)
            self.check_identity(answer.json(), identity, person)

    @rule(place=places, identity=identities)
    def remove_identity(self, place: str, identity: str) -> None:
        answer = self.client.delete(f"/gallery/{identity}", params=self.at(place))
        person = self.known.get(place, {}).pop(identity, None)
        if person is None:
            assert answer.status_code == 404
        else:
            self.check_removed(answer.json(), 1, len(person.crops))

    @rule(place=places, identity=identities, data=st.data())
    def remove_crop(self, place: str, identity: str, data: st.DataObject) -> None:
        """Of this identity, of another, or gone already."""
        crop = data.draw(st.sampled_from(sorted(self.crops_ever)) if self.crops_ever else st.just(10**6))
        answer = self.client.delete(f"/gallery/{identity}/crops/{crop}", params=self.at(place))
        person = self.known.get(place, {}).get(identity)
        if person is None or person.crops.pop(crop, None) is None:
            assert answer.status_code == 404
        else:
            self.check_removed(answer.json(), 0, 1)

    @rule(place=places, seed=st.integers(0, 2**32 - 1))
    def query_by_pictures(self, place: str, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(QUERIES):
            pictures = [chance.randrange(len(PICTURES)) for _ in range(chance.choice([1, 1, 2]))]
            k, hits, excluded = chance.choice([1, 2, 1000]), chance.randint(1, 4), chance.choice(EXCLUDED)
            condition, meets = chance.choice(FILTERS)
            fields = {**self.at(place), "k": k, "hits": hits, "exclude_camera": excluded}
            if condition is not None:
                fields["filter"] = orjson.dumps(condition).decode()
            files = [("image", (f"{number}.jpg", PICTURES[number], "image/jpeg")) for number in pictures]
            answer = self.client.post("/query", params=fields, files=files)
            if place not in self.known:
                assert answer.status_code == 404
                continue
            vector = mean([self.service.vectors[number] for number in pictures])
            answering = [one for one in self.crops(place) if meets(one.attributes, one.camera)]
            answering = [one for one in answering if one.camera not in excluded]
            self.check_answer(answer.json(), vector, answering, k, hits)

    @rule(place=places, seed=st.integers(0, 2**32 - 1))
    def query_by_crops(self, place: str, seed: int) -> None:
        """Of this collection, of the other, or gone already."""
        chance, crops = random.Random(seed), {one.crop: one for one in self.crops(place)}
        for crop in chance.sample(sorted(self.crops_ever), min(QUERIES, len(self.crops_ever))):
            k = chance.choice([1, 2, 1000])
            answer = self.client.post("/query", json={**self.at(place), "crop": crop, "k": k})
            if crop in crops:
                others = [one for one in crops.values() if one.crop != crop]
                self.check_answer(answer.json(), crops[crop].vector, others, k, 3)
            else:
                assert answer.status_code == 404

    @rule(place=places, k=st.sampled_from([1, 2, 1000]))
    def query_by_identities(self, place: str, k: int) -> None:
        crops = self.crops(place)
        for identity in ("ann", "bob", "cy-é", "d 4"):
            answer = self.client.post("/query", json={**self.at(place), "identity": identity, "k": k})
            own = [one for one in crops if one.identity == identity]
            if identity not in self.known.get(place, {}):
                assert answer.status_code == 404
            elif not own:
                assert answer.json()["candidates"] == []
            else:
                others = [one for one in crops if one.identity != identity]
                self.check_answer(answer.json(), mean([one.vector for one in own]), others, k, 3)

    def check_answer(
        self, said: dict[str, Any], vector: "np.ndarray", crops: list[KnownCrop], k: int, hits: int
    ) -> None:
        check_candidates(said["candidates"], rank(vector, crops), k=k, hits=hits, tolerance=BATCHED)
        assert said["complete"]
        assert said["generation"] == self.generation
        by_crop = {one.crop: one for one in crops}
        for one in said["candidates"]:
            thresholds = (said["threshold"], said["possible_threshold"])
            reached = sum(one["similarity"] >= threshold for threshold in thresholds)
            assert one["decision"] == ("unknown", "possible", "match")[reached]
            for hit in one["hits"]:
                known = by_crop[hit["crop"]]
                assert (one["identity"], one["attributes"], hit["camera"]) == (
                    known.identity, known.attributes, known.camera,
                )  # fmt: skip
        assert said["decision"] == (said["candidates"][0]["decision"] if said["candidates"] else "unknown")

    @rule(place=places, seed=st.integers(0, 2**32 - 1))
    def list_identities(self, place: str, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(QUERIES // 2):
            limit, name = chance.randint(1, 3), chance.choice([None, None, "ann", "äN"])
            condition, meets = chance.choice([one for one in FILTERS if "camera" not in (one[0] or {})])
            fields = {**self.at(place), "limit": limit}
            fields |= {} if name is None else {"name": name}
            fields |= {} if condition is None else {"filter": orjson.dumps(condition).decode()}
            if place not in self.known:
                assert self.client.get("/gallery", params=fields).status_code == 404
                continue
            expected = {
                identity: person
                for identity, person in self.known[place].items()
                if meets(person.attributes, None)
                and (name is None or name.casefold() in (person.name or "").casefold())
            }
            listed = self.pages("/gallery", fields, "identities")
            assert [one["id"] for one in listed] == list(expected)
            for one in listed:
                self.check_identity(one, one["id"], expected[one["id"]])

    @rule(place=places, identity=identities, limit=st.integers(1, 3))
    def show_identity(self, place: str, identity: str, limit: int) -> None:
        answer = self.client.get(f"/gallery/{identity}", params=self.at(place))
        person = self.known.get(place, {}).get(identity)
        if person is None:
            assert answer.status_code == 404
            return
        self.check_identity(answer.json(), identity, person)
        listed = self.pages(f"/gallery/{identity}/crops", {**self.at(place), "limit": limit}, "crops")
        assert {one["crop"]: one["camera"] for one in listed} == {
            crop: camera for crop, (_, camera) in person.crops.items()
        }
        assert [one["crop"] for one in listed] == sorted(person.crops)

    @rule()
    def list_collections(self) -> None:
        found = {one["name"]: one for one in self.client.get("/collections").json()["collections"]}
        for place, name in self.names.items():
            assert (name in found) == (place in self.known)
            if place in self.known:
                people = self.known[place].values()
                assert found[name]["identities"] == len(people)
                assert found[name]["crops"] == sum(len(person.crops) for person in people)

    @precondition(lambda self: self.crops_ever)
    @rule(data=st.data())
    def show_picture(self, data: st.DataObject) -> None:
        crop = data.draw(st.sampled_from(sorted(self.crops_ever)))
        answer = self.client.get(f"/crops/{crop}/picture")
        if any(crop in person.crops for people in self.known.values() for person in people.values()):
            assert answer.content == PICTURES[self.crops_ever[crop]]
        else:
            assert answer.status_code == 404

    @precondition(lambda self: not self.restarted and self.crops_ever)
    @rule()
    def restart(self) -> None:
        self.restarted = True
        self.service.stop()
        self.service.start()
        assert self.client.get("/readyz").json()["generation"] == self.generation

    def teardown(self) -> None:
        """Everything can be removed, and then nothing is left, neither rows nor files."""
        for place in list(self.known):
            self.remove_collection(place, with_identities=True)
        settings = self.service.settings
        assert audit(settings.url, settings.data_dir) == []
        assert self.client.get("/readyz").json()["crops"] == 0

    def at(self, place: str) -> dict[str, Any]:
        return {"collection": self.names[place]}

    def crops(self, place: str) -> list[KnownCrop]:
        return [
            KnownCrop(crop, identity, self.service.vectors[picture], camera, person.attributes)
            for identity, person in self.known.get(place, {}).items()
            for crop, (picture, camera) in person.crops.items()
        ]

    def pages(self, path: str, fields: dict[str, Any], name: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.client.get(path, params={**fields, "cursor": cursor}).json()
            assert 0 < len(page[name]) <= fields["limit"] or cursor == ""
            entries += page[name]
            cursor = page["next"]
        return entries

    def check_identity(self, said: dict[str, Any], identity: str, person: _Person) -> None:
        assert (said["id"], said["name"], said["attributes"], said["crops"]) == (
            identity, person.name, person.attributes, len(person.crops),
        )  # fmt: skip

    def check_removed(self, said: dict[str, Any], identities: int, crops: int) -> None:
        self.generation += crops
        counts = {"identities": identities, "crops": crops, "vectors": crops, "pictures": crops}
        assert (said["removed"], said["generation"]) == (counts, self.generation)
        assert said["self_query"] == {"crops": crops, "found": 0}


def test_any_sequence_of_requests_leaves_what_a_dict_would_hold(settings: Settings) -> None:
    service = _Service(settings)
    bounds = hypothesis_settings(
        max_examples=EXAMPLES["sqlite" if "sqlite" in settings.url else "postgresql"],
        stateful_step_count=STEPS,
        deadline=None,
        phases=(Phase.reuse, Phase.generate),  # to shrink a sequence takes longer than to read it
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(lambda: _Sequence(service), settings=bounds)
    finally:
        service.stop()
