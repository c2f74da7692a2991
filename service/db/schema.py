"""The schema and its revision: upgrades by Alembic, and the check that a database is where this version needs it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from service.db.database import Database
from service.db.engine import make_engine, parse_url
from service.db.failures import refused, translated
from service.errors import DatabaseRefused

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def upgrade(url: str, revision: str = "head") -> None:
    """Bring a database to a revision (an empty one included). Raises DatabaseRefused."""
    _run(url, command.upgrade, revision)


def bring_up_to_date(url: str, owner: str | None) -> None:
    """As `upgrade`, but under no service that uses the database. Nothing is done where there is nothing to do, also
    beside one. None is made where the data folder has had an `owner`. Raises DatabaseRefused."""
    with refused():
        if is_current(url):
            return
        check_kept(url, owner)
        database = Database(url, readers=1, max_waiting=1)
        try:
            database.claim()
            upgrade(url)
        finally:
            database.close()


def downgrade(url: str, revision: str = "base") -> None:
    """Take a database back to a revision. Data of later ones is lost. Raises DatabaseRefused."""
    _run(url, command.downgrade, revision)


def check_revision(connection: Connection) -> None:
    """Raises DatabaseRefused where the database is not at this version's revision."""
    needed = ScriptDirectory.from_config(_config()).get_current_head()
    found = revision_of(connection)
    if found != needed:
        _check_known(found)
        raise DatabaseRefused(
            f"the database is at revision {found or 'none'}, this version needs {needed}; "
            "run `reappear migrate`, or `reappear serve --migrate` (`make serve` does)"
        )


def check_there(url: str) -> None:
    """Raises DatabaseRefused where a SQLite database is no file: whoever only looks must not make one by opening it."""
    missing = _missing(url)
    if missing is not None:
        raise DatabaseRefused(
            f"there is no database {missing}; set REAPPEAR_DATABASE_URL to that of the service, or let "
            "`reappear migrate` make it, or `reappear serve --migrate`"
        )


def check_kept(url: str, owner: str | None) -> None:
    """Raises DatabaseRefused where a data folder has an `owner` and a SQLite database is no file: its disk may not be
    mounted, and a new one must not take its place."""
    missing = _missing(url)
    if owner is not None and missing is not None:
        raise DatabaseRefused(
            f"there is no database {missing}, but the data folder holds the pictures of one; put the file back, see "
            "that its disk is mounted, or let `reappear restore` make it of a backup"
        )


def _missing(url: str) -> str | None:
    """The SQLite file that is not there."""
    parsed = parse_url(url)
    is_there = parsed.get_backend_name() != "sqlite" or Path(str(parsed.database)).is_file()
    return None if is_there else parsed.database


def is_current(url: str) -> bool:
    """Whether the database is there and at this version's revision. Raises DatabaseDown."""
    engine = make_engine(parse_url(url), pool_size=1, read_only=True)
    try:
        check_there(url)
        with translated(), engine.connect() as connection:
            check_revision(connection)
    except DatabaseRefused:
        return False
    finally:
        engine.dispose()
    return True


def revision_of(connection: Connection) -> str | None:
    """The revision a database is at; None where no migration ever ran."""
    return MigrationContext.configure(connection).get_current_revision()


def _check_known(revision: str | None) -> None:
    if revision is not None and revision not in known_revisions():
        raise DatabaseRefused(
            f"the database is at revision {revision}, which only a newer version knows; run that one. To go back, move "
            "the database aside and restore the backup from before the upgrade (docs/operations.md, Upgrade and roll "
            "back)"
        )


def known_revisions() -> set[str]:
    """All revisions this version can start from."""
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def find_damage(connection: Connection) -> str | None:
    """The first damage in a SQLite file, which is read whole; None where there is none, and on PostgreSQL, which has no
    such check. Raises DatabaseDamaged where the damage allows no look at all."""
    if connection.dialect.name != "sqlite":
        return None
    found: str = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    return None if found == "ok" else found


def server_clock(connection: Connection) -> datetime:
    """What time the database thinks it is."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)  # it has no clock of its own
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment


def _run(url: str, act: Callable[[Config, str], None], revision: str) -> None:
    engine = make_engine(parse_url(url), pool_size=1, read_only=False)
    config = _config()
    try:
        with refused(), translated(), engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                _stop_cascades(connection)
            _check_known(revision_of(connection))
            connection.rollback()  # each migration is a transaction of its own
            config.attributes["connection"] = connection
            act(config, revision)
            connection.commit()
    finally:
        engine.dispose()


def _stop_cascades(connection: Connection) -> None:
    """Rebuilding a table in batch mode drops the old one, which would cascade into its children. The pragma does
    nothing within a transaction, so it goes to the driver, before SQLAlchemy begins one."""
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    if cursor.execute("PRAGMA foreign_keys").fetchone() != (0,):
        raise DatabaseRefused("SQLite keeps its foreign keys on; a migration would delete what hangs on them")
    cursor.close()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
