"""`python -m benchmarks.filling URL CROPS [IDENTITIES]`: a database of people who were never photographed, written
through the tables of the database layer in bulk, as if each had been enrolled.

Vectors of one person lie round a direction of their own. The same seed gives the same vectors everywhere, so that
whatever is compared with the service can be given the same ones.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, insert, select, update

from service.config import Settings
from service.db.changes import ensure_meta, ensure_model
from service.db.copying import raise_sequences
from service.db.engine import make_engine, parse_url
from service.db.people import fold
from service.db.schema import upgrade
from service.db.tables import changes, collections, crops, identities, meta, vectors
from service.domain import VectorArray
from service.embedding.manifest import read_manifest

DEFAULT_MODEL: Path = Settings.model_fields["model_dir"].default
CROPS_EACH = 8  # of a person
CAMERAS = 16  # camera-0, camera-1 …: each saw as much as any other
SPREAD = 0.7  # of a person's vectors: two of them have a cosine of about 0.67
AT_ONCE = 10_000  # rows of one transaction


def fill(
    url: str, *, crops: int, identities: int | None = None, collection: str = "default",
    model_dir: Path = DEFAULT_MODEL, seed: int = 1,
) -> None:  # fmt: skip
    """Add `crops` crops of `identities` people (one for each 8 crops unless told) to a collection that may be new, with
    vectors of the model in `model_dir` and their lines in the change log. People are p-SEED-0, p-SEED-1 …. Brings the
    database to this version's revision first. Not beside a service."""
    upgrade(url)
    manifest = read_manifest(model_dir)
    engine = make_engine(parse_url(url), pool_size=1, read_only=False)
    people = identities or max(1, crops // CROPS_EACH)
    with engine.begin() as connection:
        ensure_meta(connection)
        model = ensure_model(connection, manifest.name, manifest.sha256, manifest.output.dim)
        home = _home(connection, collection)
    for owners, found in made_vectors(crops, people, manifest.output.dim, seed=seed):
        with engine.begin() as connection:
            _add(connection, home, model, [f"p-{seed}-{owner}" for owner in owners], found)
    with engine.begin() as connection:
        raise_sequences(connection, {})
    engine.dispose()


def made_vectors(crops: int, identities: int, dim: int, *, seed: int = 1) -> Iterator[tuple[list[int], VectorArray]]:
    """In portions of up to 10,000, in the order of their crops: whose they are (n,), and unit vectors (n, dim)."""
    done, chance = 0, np.random.default_rng(seed)
    bounds = np.linspace(0, crops, identities + 1).astype(int)  # of each person's crops
    while done < crops:
        count = min(AT_ONCE, crops - done)
        owners = np.searchsorted(bounds, np.arange(done, done + count), side="right") - 1
        found = chance.standard_normal((count, dim), dtype=np.float32) * SPREAD
        for owner, start, theirs in zip(*np.unique(owners, return_index=True, return_counts=True), strict=True):
            found[start : start + theirs] += np.random.default_rng([seed, 1 + int(owner)]).standard_normal(
                dim, dtype=np.float32
            )
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        yield owners.tolist(), found
        done += count


def _home(connection: Connection, name: str) -> int:
    found = connection.execute(select(collections.c.id).where(collections.c.name == name)).scalar()
    if found is not None:
        return int(found)
    row = insert(collections).values(name=name, created_at=datetime.now(UTC))
    return int(connection.execute(row.returning(collections.c.id)).scalar_one())


def _add(connection: Connection, home: int, model: int, names: list[str], found: VectorArray) -> None:
    """Rows of crops with their people, vectors and changes; a person may be there from the portion before."""
    now = datetime.now(UTC)
    known = select(identities.c.external_id, identities.c.id).where(
        identities.c.collection_id == home, identities.c.external_id == names[0]
    )
    ids = {name: int(number) for name, number in connection.execute(known)}
    last = connection.execute(select(func.max(identities.c.id))).scalar() or 0
    new = [name for name in dict.fromkeys(names) if name not in ids]
    ids |= {name: last + place for place, name in enumerate(new, start=1)}
    people: list[dict[str, Any]] = [
        {"id": ids[name], "collection_id": home, "external_id": name, "name": name, "name_folded": fold(name),
         "attributes": {}, "created_at": now, "updated_at": now}
        for name in new
    ]  # fmt: skip
    if people:
        connection.execute(insert(identities), people)
    first = (connection.execute(select(func.max(crops.c.id))).scalar() or 0) + 1
    rows = [
        {"id": crop, "identity_id": ids[name], "picture_sha256": "0" * 64, "media_type": "image/jpeg",
         "camera": f"camera-{crop % CAMERAS}", "width": 64, "height": 128, "sharpness": 0.5, "created_at": now}
        for crop, name in enumerate(names, start=first)
    ]  # fmt: skip
    connection.execute(insert(crops), rows)
    blobs = found.astype("<f4", copy=False)
    connection.execute(
        insert(vectors),
        [{"crop_id": first + place, "model_id": model, "vector": one.tobytes()} for place, one in enumerate(blobs)],
    )
    raised = update(meta).values(generation=meta.c.generation + len(names)).returning(meta.c.generation, meta.c.epoch)
    generation, epoch = connection.execute(raised).one()
    log = [
        {"generation": generation - len(names) + place, "epoch": epoch, "op": "add", "collection_id": home,
         "crop_id": first + place - 1}
        for place in range(1, len(names) + 1)
    ]  # fmt: skip
    connection.execute(insert(changes), log)


def main() -> int:
    """Prints how long it took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.filling", description=__doc__)
    parser.add_argument("url", help="sqlite:///FILE or postgresql://…")
    parser.add_argument("crops", type=int)
    parser.add_argument("identities", type=int, nargs="?")
    parser.add_argument("--collection", default="default")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, metavar="FOLDER")
    arguments = parser.parse_args()
    began = time.perf_counter()
    fill(
        arguments.url, crops=arguments.crops, identities=arguments.identities, collection=arguments.collection,
        model_dir=arguments.model,
    )  # fmt: skip
    print(f"{arguments.crops} crops in {time.perf_counter() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
