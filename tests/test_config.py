"""Settings: documented, read from the environment, and refused where they cannot be used."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.config import Settings, SettingsRefused, read_settings, usable_cores

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is_for_and_has_a_default(name: str) -> None:
    field = Settings.model_fields[name]
    assert len(field.description or "") > 10
    assert (field.description or "").endswith(".")
    assert not field.is_required()


def test_settings_come_from_the_environment_and_cannot_be_changed_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REAPPEAR_PORT", "9000")
    monkeypatch.setenv("REAPPEAR_DATA_DIR", "/somewhere")
    monkeypatch.setenv("REAPPEAR_THREADS", "3")
    settings = Settings()
    assert (settings.port, settings.data_dir, settings.cores) == (9000, Path("/somewhere"), 3)
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 9001  # type: ignore[misc]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_variable_is_as_if_it_were_not_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"REAPPEAR_{name.upper()}", "")
    assert read_settings() == Settings.model_construct()


def test_the_database_is_a_file_in_the_data_folder_unless_another_is_named(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).url == f"sqlite:///{tmp_path}/reappear.db"
    assert Settings(data_dir=tmp_path, database_url="postgresql://db/x").url == "postgresql://db/x"
    assert Settings(data_dir=Path("data")).url == f"sqlite:///{Path.cwd()}/data/reappear.db"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"), ("PORT", "65536"), ("PORT", "-1"), ("PROVIDER", "tpu"), ("THREADS", "-1"),
        ("MAX_BODY_BYTES", "0"), ("MAX_PICTURE_PIXELS", "many"), ("MIN_SHARPNESS", "1.5"), ("MAX_BATCH", "0"),
        ("MAX_WAITING", "0"), ("READERS", "0"), ("IDEMPOTENCY_HOURS", "0"), ("IDEMPOTENCY_HOURS", "nan"),
        ("IDEMPOTENCY_HOURS", "inf"), ("STOP_TIMEOUT_S", "0"), ("LOG_LEVEL", "loud"),
        ("BODY_TIMEOUT_S", "0"), ("BODY_TIMEOUT_S", "inf"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_refused_by_its_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"REAPPEAR_{name}", value)
    with pytest.raises(ValidationError) as refusal:
        Settings()
    assert [error["loc"] for error in refusal.value.errors()] == [(name.lower(),)]


@pytest.mark.parametrize(
    "names", ["", "reid.example", " Reid-2.example , localhost., ", "10.0.0.5,fd00::5", "under_score"]
)
def test_hosts_are_names_or_addresses(names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REAPPEAR_ALLOWED_HOSTS", names)
    assert read_settings().allowed_hosts == names


@pytest.mark.parametrize(
    "name",
    [
        "https://reid.example", "reid.example/", "reid.example:443", "10.0.0.5:443", "*", "*.example", "*:443",
        "[fd00::5]", "[fd00::5]:443", "a b", "admin@reid.example", "rüd.example", "a;b",
    ],
)  # fmt: skip
def test_a_host_that_no_request_can_name_is_refused_and_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REAPPEAR_ALLOWED_HOSTS", f"reid.example, {name}, ")
    with pytest.raises(SettingsRefused, match=r"REAPPEAR_ALLOWED_HOSTS: .*without scheme, port, path") as refused:
        read_settings()
    assert repr(name) in str(refused.value)


@pytest.mark.parametrize(
    ("host", "on_loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("10.0.0.5", False)],
)
def test_only_loopback_addresses_count_as_this_machine(host: str, on_loopback: bool) -> None:
    assert Settings(host=host).on_loopback is on_loopback


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000\n", CORES),
        ("100000 100000\n", 1),
        ("150000 100000\n", 1),
        ("50000 100000\n", 1),  # half a core still needs a thread
        ("1000 100000\n", 1),
        (f"{CORES * 100_000} 100000\n", CORES),
        (f"{CORES * 1_000_000} 100000\n", CORES),
        ("", CORES),
        ("max\n", CORES),
    ],
)
def test_cores_are_bounded_by_the_quota_of_the_container(quota: str, cores: int, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cores(tmp_path / "cpu.max") == cores


def test_without_a_quota_all_cores_of_this_process_are_used(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "cpu.max") == CORES
    assert usable_cores(tmp_path) == CORES, "cgroup v1 has no such file, and a folder is none"
    assert Settings(threads=0).cores == usable_cores()


def test_a_password_for_sqlite_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    monkeypatch.setenv("REAPPEAR_DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    assert Settings().url.startswith("sqlite:///"), "without a URL there is nothing to ask a password for"
    monkeypatch.setenv("REAPPEAR_DATABASE_URL", "sqlite:////srv/reappear.db")
    with pytest.raises(SettingsRefused, match=r"^REAPPEAR_DATABASE_PASSWORD_FILE: .*SQLite asks for no password"):
        read_settings()


@pytest.mark.parametrize("name", ["REAPPEAR_KEY_FILE", "REAPPEAR_KEYS", "REAPPEAR_URLS", "REAPPEAR_PROT"])
def test_a_misspelt_setting_is_refused_however_it_begins(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REAPPEAR_URL", "http://127.0.0.1:8000")
    read_settings()
    monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsRefused, match=f"no setting {name};"):
        read_settings()


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("postgresql://u@h/db", "postgresql://u:p%40w@h/db"),
        ("postgresql://u:old@h/db", "postgresql://u:p%40w@h/db"),
        ("postgresql://u:a?b/c@h/db", "postgresql://u:p%40w@h/db"),
        ("postgresql://h/db?application_name=a@b", "postgresql://:p%40w@h/db?application_name=a@b"),
        ("postgresql://u:old@h/db?application_name=a@b", "postgresql://u:p%40w@h/db?application_name=a@b"),
        ("postgresql://u@h/db?application_name=a@b", "postgresql://u:p%40w@h/db?application_name=a@b"),
    ],
)
def test_the_password_of_the_file_goes_to_the_host_of_the_url(url: str, whole: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@w\n")
    assert Settings(database_url=url, database_password_file=tmp_path / "password").url == whole
