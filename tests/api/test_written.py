"""The answer to a query is written without the schema that documents it: both must say the same."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.api.crops import picture_path
from service.api.query import written
from service.api.schemas import Answer
from service.db.sightings import Joined
from service.domain import Quality, Thresholds
from service.flows import query as querying
from service.matching.decision import Decision

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=20)
numbers = st.floats(-1, 1)
sizes = st.integers(1, 16_384)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3),
    max_leaves=6,
)
zones = st.sampled_from([UTC, timezone(timedelta(0)), timezone(timedelta(hours=-7, minutes=-30))])
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)
decisions = st.sampled_from(Decision)
joined = st.builds(
    Joined, crop=st.integers(1, 2**63 - 1), identity=st.integers(1, 2**63 - 1), external_id=texts,
    name=st.none() | texts, attributes=st.dictionaries(texts, json_values, max_size=3), camera=st.none() | texts,
    captured_at=st.none() | moments, has_picture=st.booleans(),
)  # fmt: skip
candidates = st.builds(
    querying.Candidate, numbers, decisions, st.lists(st.tuples(joined, numbers), min_size=1, max_size=3)
)
answers = st.builds(
    querying.Answer, decisions, st.builds(Thresholds, numbers, numbers), st.lists(candidates, max_size=3),
    st.booleans(), st.lists(st.builds(Quality, sizes, sizes, numbers), max_size=3),
    st.integers(0, 2**63 - 1),
)  # fmt: skip


@given(answers, texts, st.dictionaries(texts, st.floats(0, 1e6), max_size=4))
def test_an_answer_says_what_its_schema_would_say(
    found: querying.Answer, model: str, timings_ms: dict[str, float]
) -> None:
    said = written(found, model, timings_ms)
    document = Answer.model_validate_json(said, strict=True)
    assert json.loads(said) == json.loads(document.model_dump_json()), "nothing more and nothing less"
    qualities = [{"width": one.width, "height": one.height, "sharpness": one.sharpness} for one in found.qualities]
    whole = Answer.model_validate(
        {
            "decision": found.decision, "threshold": found.thresholds.match,
            "possible_threshold": found.thresholds.possible, "complete": found.complete, "model": model,
            "generation": found.generation, "timings_ms": timings_ms,
            "query": {"quality": None if not qualities else qualities[0] if len(qualities) == 1 else qualities},
            "candidates": [
                {
                    "rank": rank, "identity": one.hits[0][0].external_id, "name": one.hits[0][0].name,
                    "attributes": one.hits[0][0].attributes, "similarity": one.similarity, "decision": one.decision,
                    "hits": [
                        {"crop": row.crop, "similarity": similarity, "camera": row.camera,
                         "captured_at": row.captured_at, "picture": picture_path(row.crop) if row.has_picture else None}
                        for row, similarity in one.hits
                    ],
                }
                for rank, one in enumerate(found.candidates, start=1)
            ],
        }
    )  # fmt: skip
    assert document == whole
