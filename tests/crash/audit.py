"""Rows, files and change log of a service at rest, read past the service, and whether they agree with each other."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, select

from service.db.changes import current_generation, decode_vector
from service.db.engine import make_engine, parse_url
from service.db.tables import changes, crops, identities, outbox, vectors


@dataclass(frozen=True, slots=True)
class Row:
    """A crop as SQL has it: with its owner's id, its picture's name and sha256, its track, and its vector."""

    crop: int
    identity: str
    picture: str
    digest: str
    track: str
    vector: "np.ndarray"


def audit(database_url: str, data_dir: Path) -> list[Row]:
    """All crops, after making sure that each has one vector and its own picture on disk, that there are no other files,
    that nothing waits to be settled, and that the change log without a gap leads to exactly these crops."""
    engine = make_engine(parse_url(database_url), pool_size=1, read_only=True)
    try:
        with engine.begin() as connection:
            rows = _rows(connection)
            waiting = list(connection.execute(select(outbox.c.picture)).scalars())
            _check_log(connection, {row.crop for row in rows})
    finally:
        engine.dispose()
    _check_files(data_dir / "pictures", rows)
    assert waiting == [], "pictures wait in the outbox of a service at rest"
    return rows


def _rows(connection: Connection) -> list[Row]:
    columns = (crops.c.id, identities.c.external_id, crops.c.picture, crops.c.picture_sha256, crops.c.track)
    query = select(*columns, vectors.c.vector).join_from(crops, identities).outerjoin(vectors).order_by(crops.c.id)
    found = connection.execute(query).all()
    assert len({row.id for row in found}) == len(found), "a crop has two vectors"
    without = [row.id for row in found if row.vector is None]
    assert without == [], "crops without a vector"
    rows = [Row(*row[:4], row.track or "", decode_vector(row.vector)) for row in found]
    for row in rows:
        assert abs(np.linalg.norm(row.vector) - 1) < 1e-4, f"crop {row.crop} has a damaged vector"
    return rows


def _check_log(connection: Connection, there: set[int]) -> None:
    log = connection.execute(
        select(changes.c.generation, changes.c.op, changes.c.crop_id).order_by(changes.c.generation)
    )
    replayed: set[int] = set()
    last = 0
    for generation, op, crop in log:
        assert generation == last + 1, f"the change log jumps from {last} to {generation}"
        last = generation
        if op == "add":
            assert crop not in replayed, f"crop {crop} was added twice"
            replayed.add(crop)
        else:
            replayed.remove(crop)
    assert replayed == there, "the change log leads to other crops than there are rows"
    assert current_generation(connection) == last


def _check_files(folder: Path, rows: Sequence[Row]) -> None:
    files = {path.name: path for path in folder.glob("??/*")}
    names = {row.picture for row in rows}
    assert names - files.keys() == set(), "rows without their picture"
    assert files.keys() - names == set(), "pictures without a row"
    assert [path.name for path in (folder / "staging").iterdir()] == [], "staging is not empty"
    for row in rows:
        digest = hashlib.sha256(files[row.picture].read_bytes()).hexdigest()
        assert digest == row.digest, f"the picture of crop {row.crop} is another"
