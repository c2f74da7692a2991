"""Statements that copy whole databases, between SQLite and PostgreSQL in any direction. Rows go through the types of
`tables.py`, so that each database reads what the other wrote."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Table, column, delete, func, insert, select, table, text, update

from service.db.audit import sealed_through
from service.db.tables import audit, audit_seals, collections, crops, erasures, identities, metadata, models, outbox
from service.db.tables import meta as meta_table

ROWS_AT_ONCE = 1_000
LEFT_OUT = (outbox, erasures, audit_seals)  # work still to be done on files and rows that a copy does not have
COPIED = tuple(one for one in metadata.sorted_tables if one not in LEFT_OUT)
REPLACED = tuple(one for one in metadata.sorted_tables if one not in (audit, audit_seals))  # not taken back
NUMBERED = {str(one.name): one.c.id for one in metadata.sorted_tables if one.autoincrement_column is not None}
_sequence = table("sqlite_sequence", column("name"), column("seq"))


@dataclass(frozen=True, slots=True)
class Meta:
    """The row of meta: which database this is, how often it was restored, and its last change."""

    uuid: str
    epoch: int
    generation: int


def hold_still(connection: Connection) -> None:
    """Make a transaction see one moment throughout, as SQLite's do anyway. Its first statement."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def read_meta(connection: Connection) -> Meta | None:
    """The row of meta, or None in a database that was never served."""
    row = connection.execute(select(meta_table.c.database_uuid, meta_table.c.epoch, meta_table.c.generation)).first()
    return None if row is None else Meta(*row)


def set_epoch(connection: Connection, epoch: int) -> None:
    """Make the epoch another."""
    connection.execute(update(meta_table).values(epoch=epoch))


def count_rows(connection: Connection) -> dict[str, int]:
    """How many rows each table has that is copied."""
    return {
        str(one.name): int(connection.execute(select(func.count()).select_from(one)).scalar_one()) for one in COPIED
    }


def list_models(connection: Connection) -> list[tuple[str, str, int]]:
    """Name, sha256 and dim of every model version known."""
    return [(row.name, row.sha256, row.dim) for row in connection.execute(select(models).order_by(models.c.id))]


def holdings(connection: Connection) -> tuple[int, int, int]:
    """How many collections, identities and crops there are."""
    return _count(connection, collections), _count(connection, identities), _count(connection, crops)


def copy_rows(source: Connection, target: Connection, copied: Callable[[int], None]) -> None:
    """Copy all tables but the audit log into empty ones; `copied` is told of rows as they go."""
    for one in COPIED:
        if one is not audit:
            _copy_table(source, target, one, copied)


def copy_audit(source: Connection, target: Connection, copied: Callable[[int], None]) -> None:
    """Add the rows of the audit log that the target lacks. Nothing there is changed, so where ids are taken (by another
    database's log, or by what happened since) the new rows are numbered on after the last."""
    known: set[bytes] | None = None
    last = target.execute(select(func.max(audit.c.id))).scalar() or 0
    shift: int | None = None
    everything = select(audit).order_by(audit.c.id).execution_options(yield_per=ROWS_AT_ONCE)
    here = audit.c.id > sealed_through(target)
    for part in source.execute(everything.where(audit.c.id > sealed_through(source))).partitions():
        between = select(audit).where(here, audit.c.id.between(part[0].id, part[-1].id))
        same = {row.id: _fingerprint(row) for row in target.execute(between)}
        missing = [row for row in part if same.get(row.id) != _fingerprint(row)]
        if missing and last and known is None:  # it may be there under another number
            known = {_fingerprint(row) for row in target.execute(everything.where(here))}
        missing = [row for row in missing if _fingerprint(row) not in (known or ())]
        if missing:
            shift = max(0, last + 1 - missing[0].id) if shift is None else shift
            target.execute(insert(audit), [{**row._mapping, "id": row.id + shift} for row in missing])
        copied(len(part))


def remove_rows(connection: Connection) -> None:
    """Remove all rows but those of the audit log; pictures of crops go to the outbox."""
    waiting = crops.c.picture.not_in(select(outbox.c.picture))
    named = select(crops.c.picture).where(crops.c.picture.is_not(None), waiting)
    connection.execute(insert(outbox).from_select(["picture"], named))
    for one in reversed(REPLACED):
        if one is not outbox:
            connection.execute(delete(one))


def keep_named_pictures(connection: Connection) -> None:
    """Take out of the outbox what a row names."""
    named = select(crops.c.picture).where(crops.c.picture.is_not(None))
    connection.execute(delete(outbox).where(outbox.c.picture.in_(named)))


def read_sequences(connection: Connection) -> dict[str, int]:
    """The highest id ever given in each table that numbers its rows, also where its row is gone."""
    if connection.dialect.name == "sqlite":
        found = connection.execute(select(_sequence.c.name, _sequence.c.seq)).all()
        return {name: int(number) for name, number in found if name in NUMBERED}
    last = "SELECT pg_sequence_last_value(CAST(:name AS regclass))"  # null before its first number
    names = {name: {"name": _sequence_of(connection, name)} for name in NUMBERED}
    return {name: int(connection.execute(text(last), values).scalar() or 0) for name, values in names.items()}


def raise_sequences(connection: Connection, given: Mapping[str, int]) -> None:
    """Make sure that no id up to those in `given`, and none in use, is given again."""
    now = read_sequences(connection)
    for name, number in NUMBERED.items():
        highest = connection.execute(select(func.max(number))).scalar() or 0
        wanted = max(highest, given.get(name, 0))
        if wanted <= now.get(name, 0):
            continue
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.setval(_sequence_of(connection, name), wanted)))
        elif name in now:
            connection.execute(update(_sequence).where(_sequence.c.name == name).values(seq=wanted))
        elif number.table.dialect_options["sqlite"]["autoincrement"]:
            connection.execute(insert(_sequence).values(name=name, seq=wanted))


def _count(connection: Connection, one: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(one)).scalar_one())


def _sequence_of(connection: Connection, name: str) -> str:
    return str(connection.execute(select(func.pg_get_serial_sequence(name, "id"))).scalar_one())


def _copy_table(source: Connection, target: Connection, one: Table, copied: Callable[[int], None]) -> None:
    query = select(one).order_by(*one.primary_key).execution_options(yield_per=ROWS_AT_ONCE)
    for part in source.execute(query).partitions():
        target.execute(insert(one), [dict(row._mapping) for row in part])
        copied(len(part))


def _fingerprint(row: Row[Any]) -> bytes:
    """What a row of the audit log says, without its number."""
    values = [value for name, value in row._mapping.items() if name != "id"]
    return hashlib.blake2b(orjson.dumps(values), digest_size=16).digest()
