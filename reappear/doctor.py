"""Check an installation, part by part, and say what to do about each that is not well."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated

import httpx2
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reappear.database import opened
from reappear.remote import here
from service.config import Settings, read_settings
from service.db.failures import DAMAGED, refusal
from service.db.schema import check_revision, find_damage, server_clock
from service.embedding.manifest import read_manifest
from service.embedding.onnx_model import OnnxModel
from service.errors import DatabaseDown, FolderInUse, ModelRefused, ReappearError
from service.index.faiss_setup import FAISS_BUILD
from service.index.kinds import check_kind
from service.store.lock import LOCK_FILE, FolderLock
from service.store.snapshots import SNAPSHOT_FOLDER, SnapshotFolder, SnapshotRefused

LEAST_FREE_BYTES = 1_000_000_000
MOST_CLOCK_DRIFT_S = 5
ANY_DIM = 512
RELEASED = datetime(2026, 11, 1, tzinfo=UTC)  # a clock before this version was made is wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: whether it is well, what was found, and what to do where it is not."""

    part: str
    well: bool
    found: str
    remedy: str = ""


def doctor(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Check settings, model, provider, FAISS, database, folder, snapshot, disk, clock and service. Exit status 1 where
    something is not well. Changes nothing, and may be run beside the service. A SQLite file is read whole to
    find damage: 2 s a GB from the page cache, else as long as its disk takes.

    [bold]Example:[/] reappear doctor
    """
    findings = list(examine(read_settings()))
    if as_json:
        print(json.dumps([asdict(one) for one in findings], indent=2))
    else:
        table = Table("", "part", "found", "what to do")
        for one in findings:
            mark = Text("ok", style="green") if one.well else Text("no", style="red")
            table.add_row(mark, one.part, one.found, one.remedy)
        Console(markup=False).print(table)
    if not all(one.well for one in findings):
        raise typer.Exit(1)


def examine(settings: Settings) -> Iterator[Finding]:
    """All findings, one after another."""
    for part, check in CHECKS.items():
        try:
            yield check(settings)
        except DatabaseDown as error:
            yield Finding(part, False, "the database cannot be used", refusal(error).detail)
        except (ReappearError, OSError) as error:
            yield Finding(part, False, "cannot be used", str(error))


def _model(settings: Settings) -> Finding:
    """Making the network checks its checksum, its golden vector, and that the provider is really in use."""
    network = OnnxModel(settings.model_dir, provider=settings.provider, threads=1, gpu_memory_mb=settings.gpu_memory_mb)
    return Finding("model", True, f"{network.manifest.version}, checksum and golden vector right, {network.provider}")


def _faiss(settings: Settings) -> Finding:
    """Whether there is an index of the kind that is asked for, without which there is no start."""
    try:
        dim = read_manifest(settings.model_dir).output.dim
    except ModelRefused:  # which is told of the model
        dim = ANY_DIM
    check_kind(settings.index, dim)
    return Finding("faiss", True, FAISS_BUILD)


def _database(settings: Settings) -> Finding:
    with opened(settings.url) as database:
        database.read_now(check_revision)
        damage = database.read_now(find_damage)
        if damage is not None:
            return Finding("database", False, damage, DAMAGED)
        return Finding("database", True, f"{database.dialect}, at this version's revision")


def _folder(settings: Settings) -> Finding:
    if not settings.data_dir.is_dir():
        return Finding("folder", False, f"{settings.data_dir} is not there", "start the service once; it makes it")
    free = f"{settings.data_dir}, writable, not in use"
    if not (settings.data_dir / LOCK_FILE).exists():  # to lock it would make the file, as this user's
        if not os.access(settings.data_dir, os.W_OK | os.X_OK):
            return Finding("folder", False, f"{settings.data_dir} cannot be written", "let the service's user write it")
        return Finding("folder", True, free)
    try:
        FolderLock(settings.data_dir).release()
    except FolderInUse:
        return Finding("folder", True, f"{settings.data_dir}, in use by a service")
    return Finding("folder", True, free)


def _snapshot(settings: Settings) -> Finding:
    """Its manifest and the lengths of its files; only a start reads them whole."""
    folder = SnapshotFolder(settings.data_dir / SNAPSHOT_FOLDER)
    numbers = folder.numbers()
    if not numbers:
        return Finding("snapshot", True, "none; the index is loaded from the database")
    try:
        newest = folder.read(numbers[0])
    except SnapshotRefused as error:
        return Finding(
            "snapshot", False, f"the newest cannot be used: {error}", f"remove {settings.data_dir / SNAPSHOT_FOLDER}"
        )
    crops = sum(file.rows for files in newest.files.values() for file in files)
    return Finding("snapshot", True, f"{newest.taken_at:%Y-%m-%d %H:%M} UTC, {crops} crops")


def _disk(settings: Settings) -> Finding:
    place = settings.data_dir if settings.data_dir.is_dir() else settings.data_dir.absolute().parent
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE_BYTES:
        return Finding("disk", False, f"{free / 1e9:.2f} GB free", "make room, or move REAPPEAR_DATA_DIR")
    return Finding("disk", True, f"{free / 1e9:.1f} GB free")


def _clock(settings: Settings) -> Finding:
    now = datetime.now(UTC)
    if now < RELEASED:
        return Finding("clock", False, f"it is {now:%Y-%m-%d} here", "set this machine's clock")
    with opened(settings.url) as database:
        drift_s = abs((database.read_now(server_clock) - datetime.now(UTC)).total_seconds())
    if drift_s > MOST_CLOCK_DRIFT_S:
        return Finding("clock", False, f"{drift_s:.0f} s from the database's", "let both machines keep time by NTP")
    return Finding("clock", True, f"{now:%Y-%m-%d %H:%M} UTC, {drift_s:.1f} s from the database's")


def _service(settings: Settings) -> Finding:
    url = here(settings)
    try:
        answer = httpx2.get(f"{url}/readyz", timeout=5, trust_env=False)
    except httpx2.TransportError:
        return Finding("service", True, f"none answers on {url}")
    if answer.status_code == 200:
        return Finding("service", True, f"ready on {url}")
    try:
        return Finding("service", False, "not ready", answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return Finding("service", False, f"{url} is something else", "set another REAPPEAR_PORT")


CHECKS: dict[str, Callable[[Settings], Finding]] = {
    "model": _model, "faiss": _faiss, "database": _database, "folder": _folder, "snapshot": _snapshot,
    "disk": _disk, "clock": _clock, "service": _service,
}  # fmt: skip
