"""All settings in one place, each with its unit and the reason for its default. Read once, by
whoever is started: the service or a command."""

import os
import re
from ipaddress import IPv6Address
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parents[1]
NOT_SETTINGS = {"REAPPEAR_URL", "REAPPEAR_KEY", "REAPPEAR_SHARED_DATA"}  # of commands, and of evaluation
OF_TESTS = "REAPPEAR_TEST_"
ORIGINS = r"^(\s*https?://[^\s,/*]+\s*(,|$))*$"  # named ones only: no *
USER_AND_PLACE = re.compile(r"(?:(?P<user>[^:/]*)(?::[^@]*)?@)?(?P<place>.*)", re.DOTALL)  # as SQLAlchemy parts them
HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(BaseSettings):
    """Environment variables with the prefix REAPPEAR_; an empty one is as if it were not set, a misspelt value is
    refused at start."""

    model_config = SettingsConfigDict(
        env_prefix="REAPPEAR_", env_ignore_empty=True, frozen=True, extra="forbid", protected_namespaces=()
    )

    host: str = Field("127.0.0.1", description="Address to listen on. On loopback ones no key is asked for.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    data_dir: Path = Field(
        Path("data"), description="Folder for pictures and the SQLite database; one process owns it."
    )
    database_url: str = Field(
        "", description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME; empty is SQLite in the data folder."
    )
    database_password_file: Path | None = Field(
        None, description="File with the password for the database URL, so that no variable holds it."
    )
    auth: Literal["auto", "on"] = Field("auto", description="Ask for keys: beyond loopback addresses, or always.")
    admin_key_file: Path | None = Field(
        None, description="File with the first admin key, 32 characters or more; the others are made with it."
    )
    reads_per_minute: int = Field(
        0, ge=0, description="Queries and other reads of one key in a minute; 0 is as many as it likes."
    )
    writes_per_minute: int = Field(
        0, ge=0, description="Enrolments and other writes of one key in a minute; 0 is as many as it likes."
    )
    docs: bool = Field(True, description="Serve /docs and /openapi.json, which tell what the routes are, to everybody.")
    metrics: Literal["key", "open", "off"] = Field(
        "key", description="Who sees /metrics: keys with any scope, everybody who reaches the port, or nobody."
    )
    cors_origins: str = Field(
        "",
        pattern=ORIGINS,
        description="Origins whose pages may call this service, comma-separated; none unless named.",
    )
    model_dir: Path = Field(
        ROOT / "models" / "default", description="Folder with manifest.json and the ONNX file; the shipped extractor."
    )
    provider: Literal["cpu", "cuda"] = Field(
        "cpu", description="Execution provider; refused at start if not really used."
    )
    gpu_memory_mb: int = Field(
        0, ge=0, description="Most GPU memory for the network, in MiB; the index needs the rest. 0 is no bound."
    )
    threads: int = Field(
        0, ge=0, description="Threads for network and search; 0 is one for each core this process may use."
    )
    index: str = Field(
        "exact",
        description="exact, exact-fp16 (0.6 of the memory), gpu, or a FAISS factory string: IVF1024,SQ8;nprobe=64.",
    )
    max_body_bytes: int = Field(
        33_554_432, ge=1, description="Largest request body; 32 pictures of 1 MB, and nothing that fills the memory."
    )
    max_bodies_bytes: int = Field(
        536_870_912, ge=1, description="All request bodies in memory together; past it requests get 503 at once."
    )
    body_timeout_s: float = Field(
        30, gt=0, le=3600, description="Seconds in which a request's body must have arrived whole; a slow one gets 408."
    )
    max_picture_bytes: int = Field(10_485_760, ge=1, description="Largest picture; a full 4K frame as JPEG fits well.")
    max_picture_pixels: int = Field(
        25_000_000, ge=1, description="Largest width × height, checked before decoding; a 24-megapixel photo fits."
    )
    min_width: int = Field(32, ge=1, description="Narrowest crop to enrol, in pixels; below it people look alike.")
    min_height: int = Field(64, ge=1, description="Lowest crop to enrol, in pixels.")
    min_sharpness: float = Field(
        0.02, ge=0, le=1, description="Least sharpness to enrol; below it is fog or a plain wall."
    )
    max_batch: int = Field(32, ge=1, description="Most pictures in one run of the network, and queries in one search.")
    max_waiting: int = Field(
        48,
        ge=1,
        description="Queried pictures on their way before new queries get 503; enrolled ones four times as many.",
    )
    readers: int = Field(4, ge=1, description="Connections that read the database side by side.")
    idempotency_hours: float = Field(24, gt=0, le=8760, description="Hours for which an Idempotency-Key is remembered.")
    rewrite_minutes: float = Field(
        30,
        ge=0,
        le=1440,
        description="Minutes for which removals gather before what they left is overwritten; twice that is promised.",
    )
    snapshot_minutes: float = Field(
        15, gt=0, le=1440, description="Minutes between snapshots of a changing index; a start reads the rest from SQL."
    )
    allowed_hosts: str = Field(
        "", description="Host names to answer to besides loopback ones, comma-separated; stops DNS rebinding."
    )
    stop_timeout_s: int = Field(
        20,
        ge=1,
        description="Seconds to finish requests after SIGTERM; below the 30 of compose. `docker stop` waits 10.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    @field_validator("database_password_file")
    @classmethod
    def _is_asked_for(cls, file: Path | None, others: ValidationInfo) -> Path | None:
        if file is not None and others.data.get("database_url", "").startswith("sqlite"):
            raise ValueError("SQLite asks for no password; leave this out, or set a PostgreSQL REAPPEAR_DATABASE_URL")
        return file

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, names: str) -> str:
        for name in (one.strip() for one in names.split(",")):
            if name and not _is_host(name):
                raise ValueError(f"{name!r} is no host name; name it alone, without scheme, port, path, [] or *")
        return names

    @property
    def url(self) -> str:
        """The database URL in force, with its password. Raises OSError for a password file that cannot be read."""
        if self.database_url and self.database_password_file is not None:
            scheme, _, rest = self.database_url.partition("://")
            parts = USER_AND_PLACE.fullmatch(rest)
            assert parts is not None
            password = quote(self.database_password_file.read_text().strip(), safe="")
            return f"{scheme}://{parts['user'] or ''}:{password}@{parts['place']}"
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'reappear.db'}"

    @property
    def cores(self) -> int:
        """Threads in force."""
        return self.threads or usable_cores()

    @property
    def keys_required(self) -> bool:
        """Whether requests need a key."""
        return self.auth == "on" or not self.on_loopback

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK


def web_address(host: str, port: int) -> str:
    """Where a host answers, as a URL."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class SettingsRefused(Exception):
    """Settings that cannot be used; the text names each and what is wrong."""


def read_settings() -> Settings:
    """The settings in the environment. Raises SettingsRefused, also for names that no setting has."""
    try:
        settings = Settings()
    except ValidationError as error:
        named = [("_".join(("REAPPEAR", *map(str, one["loc"]))).upper(), one["msg"]) for one in error.errors()]
        raise SettingsRefused("; ".join(f"{name}: {problem}" for name, problem in named)) from error
    try:
        settings.url  # noqa: B018 – reads the file with the password
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"REAPPEAR_DATABASE_PASSWORD_FILE cannot be read: {error}") from error
    unknown = unknown_settings()
    if unknown:
        raise SettingsRefused(f"there is no setting {', '.join(unknown)}; the README lists them all")
    return settings


def unknown_settings() -> list[str]:
    """Names in the environment that look like settings and are none: misspelt ones must not be ignored."""
    known = {f"REAPPEAR_{name.upper()}" for name in Settings.model_fields}
    mine = {name for name in os.environ if name.startswith("REAPPEAR_")}
    return sorted(name for name in mine - known - NOT_SETTINGS if not name.startswith(OF_TESTS))


def _is_host(name: str) -> bool:
    """Whether a request can call a service by this name, as it is without port and brackets."""
    if HOST_NAME.fullmatch(name):
        return True
    try:
        IPv6Address(name)
    except ValueError:
        return False
    return True


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores this process may use: its affinity, and the CPU quota of its container (cgroup v2), whichever is less."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = cgroup.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
