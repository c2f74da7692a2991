import json
import os
from functools import partial
from pathlib import Path

import httpx2 as httpx

from service.db.engine import parse_url
from service.store.snapshots import SnapshotFolder, Stamp
from tests.command.conftest import ADMIN_KEY, Run, run
from tests.damage import spoil_header, spoil_table
from tests.pictures import jpeg
from tests.server import Server, free_port

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


def test_a_key_is_made_used_listed_and_revoked(keyed: Server, command: Run) -> None:
    made = command("keys", "create", "tracker, hall 3", "--scope", "read", "--expires-days", "30")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    key = token.split("_")[1]
    headers = {"X-API-Key": token}
    assert httpx.get(f"{keyed.url}/gallery", headers=headers).status_code == 200
    assert httpx.delete(f"{keyed.url}/gallery/nobody", headers=headers).status_code == 403
    listed = command("keys", "list")
    assert key in listed.stdout
    assert "tracker, hall 3" in listed.stdout
    assert token not in listed.stdout, "a secret is shown once"
    assert command("keys", "revoke", key).returncode == 0
    assert httpx.get(f"{keyed.url}/gallery", headers=headers).status_code == 401
    unknown = command("keys", "revoke", "000000000000")
    assert unknown.returncode == 3
    assert "no key" in unknown.stderr


def test_what_is_no_id_of_a_key_revokes_and_removes_nothing(keyed: Server, command: Run) -> None:
    sent = {"params": {"identity": "p-1"}, "headers": {**ADMIN, "Content-Type": "image/jpeg"}}
    assert httpx.post(f"{keyed.url}/gallery", content=jpeg(1), **sent).status_code == 201
    for typed in ("../gallery/p-1", "../collections/default?with_identities=true", "", "0123456789ab?", "0123456789AB"):
        done = command("keys", "revoke", typed)
        assert done.returncode == 2, typed
        assert "12 digits" in done.stderr
    assert httpx.get(f"{keyed.url}/gallery/p-1", headers=ADMIN).status_code == 200


def test_without_the_right_key_a_command_is_refused(keyed: Server, command: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("x" * 40)
    refused = command("keys", "list", "--key-file", str(wrong))
    assert refused.returncode == 3
    assert "not known" in refused.stderr
    assert "--key-file FILE, or in REAPPEAR_KEY" in refused.stderr
    assert "x" * 40 not in refused.stderr
    missing = command("keys", "list", "--key-file", str(tmp_path / "nothing"))
    assert missing.returncode == 3
    assert "nothing" in missing.stderr
    assert command("keys", "list", REAPPEAR_KEY=ADMIN_KEY).returncode == 0
    assert command("keys", "list", REAPPEAR_KEY="", REAPPEAR_URL="").returncode == 0, "empty is as if it were not set"


def test_where_nobody_answers_the_command_says_so(keyed: Server, command: Run) -> None:
    keyed.stop()
    done = command("keys", "list")
    assert done.returncode == 4
    assert "reappear serve" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_audit_log_is_exported_whole_and_goes_on_where_it_ended(
    keyed: Server, command: Run, tmp_path: Path
) -> None:
    for seed in range(3):
        sent = {"params": {"identity": f"p-{seed}"}, "headers": {**ADMIN, "Content-Type": "image/jpeg"}}
        assert httpx.post(f"{keyed.url}/gallery", content=jpeg(seed), **sent).status_code == 201
    file = tmp_path / "audit.jsonl"
    done = command("audit", "export", str(file))
    assert done.returncode == 0, done.stderr
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    enrolled = [one["subjects"] for one in entries if one["action"] == "enrol"]
    assert enrolled == [["p-0"], ["p-1"], ["p-2"]]
    assert {one["caller"] for one in entries} == {"admin-file"}
    again = command("audit", "export", str(file))
    assert again.returncode == 3, "an export is never written over"
    cursor = done.stderr.split("--after ")[1].strip()
    httpx.delete(f"{keyed.url}/gallery/p-1", headers=ADMIN)
    later = command("audit", "export", "--after", cursor)
    actions = [json.loads(line)["action"] for line in later.stdout.splitlines()]
    assert actions == ["audit.read", "identity.remove"], "a look at the log is in it too"


def test_an_export_that_does_not_come_to_its_end_leaves_no_file_in_the_way(
    keyed: Server, command: Run, tmp_path: Path
) -> None:
    file = tmp_path / "audit.jsonl"
    keyed.stop()
    assert command("audit", "export", str(file)).returncode == 4
    assert list(tmp_path.glob("audit*")) == []
    keyed.start()
    done = command("audit", "export", str(file))
    assert (done.returncode, "--after" in done.stderr) == (0, True)
    assert file.stat().st_mode & 0o777 == 0o600


def test_retention_is_shown_before_it_is_applied(keyed: Server, command: Run) -> None:
    sent = {"params": {"identity": "p-1"}, "headers": {**ADMIN, "Content-Type": "image/jpeg"}}
    assert httpx.post(f"{keyed.url}/gallery", content=jpeg(1), **sent).status_code == 201
    rules = {"retention_days": 10}
    assert httpx.patch(f"{keyed.url}/collections/default", json=rules, headers=ADMIN).status_code == 200
    assert "nothing has had its time" in command("retention").stdout
    later = command("retention", "--at", "2999-01-01T00:00:00Z")
    assert "default" in later.stdout, later.stderr
    assert httpx.get(f"{keyed.url}/gallery/p-1", headers=ADMIN).status_code == 200, "a dry run removes nothing"
    applied = command("retention", "--apply")
    assert (applied.returncode, "nothing" in applied.stdout) == (0, True)
    assert command("retention", "--apply", "--at", "2999-01-01T00:00:00Z").returncode == 2
    assert command("retention", "--at", "tomorrow").returncode == 3


def test_the_doctor_finds_a_well_installation_well_and_says_what_is_wrong(
    keyed: Server, command: Run, tmp_path: Path
) -> None:
    well = command("doctor", "--json")
    assert well.returncode == 0, well.stdout
    found = {one["part"]: one for one in json.loads(well.stdout)}
    assert set(found) == {"model", "faiss", "database", "folder", "snapshot", "disk", "clock", "service"}
    assert "CPUExecutionProvider" in found["model"]["found"]
    assert "in use by a service" in found["folder"]["found"]
    assert "ready" in found["service"]["found"]
    assert found["snapshot"]["found"].startswith("none")
    broken = tmp_path / "model"
    broken.mkdir()
    torn = tmp_path / "torn"
    SnapshotFolder(torn / "index").write(Stamp("uuid", 1, 1, "model", 2, "kind"), {}, {})
    assert "UTC, 0 crops" in command("doctor", "--json", REAPPEAR_DATA_DIR=str(torn)).stdout
    (torn / "index" / "snapshot-00000001.json").write_bytes(b"{}")
    wrong = {
        "model": {"REAPPEAR_MODEL_DIR": str(broken)},
        "faiss": {"REAPPEAR_INDEX": "IVFx"},
        "database": {"REAPPEAR_DATABASE_URL": f"sqlite:///{tmp_path / 'no' / 'such.db'}"},
        "folder": {"REAPPEAR_DATA_DIR": str(tmp_path / "nowhere")},
        "snapshot": {"REAPPEAR_DATA_DIR": str(torn)},
    }
    for part, environment in wrong.items():
        ill = command("doctor", "--json", **environment)
        assert ill.returncode == 1, part
        told = {one["part"]: one for one in json.loads(ill.stdout)}
        assert not told[part]["well"], part
        assert told[part]["remedy"], part
        assert "Traceback" not in ill.stderr
    assert "ok" in command("doctor").stdout


def test_the_doctor_examines_either_database(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    settings = {"REAPPEAR_DATA_DIR": str(tmp_path / "data"), "REAPPEAR_DATABASE_URL": database_url}
    told = run("doctor", "--json", **{**os.environ, **settings, "REAPPEAR_PORT": str(free_port())})
    assert told.returncode == 0, told.stdout
    found = {one["part"]: one["found"] for one in json.loads(told.stdout)}
    assert "at this version's revision" in found["database"]
    assert "0.0 s from the database's" in found["clock"]
    assert "none answers" in found["service"]


def test_the_doctor_makes_nothing(tmp_path: Path) -> None:
    """What it made as root, the service's user could not open."""
    (tmp_path / "data").mkdir()
    settings = {
        "REAPPEAR_DATA_DIR": str(tmp_path / "data"), "REAPPEAR_DATABASE_URL": f"sqlite:///{tmp_path / 'typo.db'}",
        "REAPPEAR_PORT": str(free_port()),
    }  # fmt: skip
    told = run("doctor", "--json", **{**os.environ, **settings})
    found = {one["part"]: one for one in json.loads(told.stdout)}
    assert {part for part, one in found.items() if not one["well"]} == {"database", "clock"}
    assert "there is no database" in found["database"]["remedy"]
    assert "writable, not in use" in found["folder"]["found"]
    assert [path.name for path in tmp_path.rglob("*")] == ["data"]


def test_a_damaged_database_is_found_by_the_doctor_and_told_in_one_line_by_other_commands(
    sqlite_url: str, tmp_path: Path
) -> None:
    path = Path(parse_url(sqlite_url).database or "")
    (tmp_path / "data").mkdir()
    settings = {
        **os.environ, "REAPPEAR_DATA_DIR": str(tmp_path / "data"), "REAPPEAR_DATABASE_URL": sqlite_url,
        "REAPPEAR_PORT": str(free_port()),
    }  # fmt: skip
    for spoil in (partial(spoil_table, name="identities"), spoil_header):  # the second leaves nothing to be read
        spoil(path)
        told = run("doctor", "--json", **settings)
        assert told.returncode == 1, told.stderr
        found = {one["part"]: one for one in json.loads(told.stdout)}
        assert not found["database"]["well"]
        assert "restore the last backup" in found["database"]["remedy"]
    for arguments in (("migrate",), ("backup", str(tmp_path / "backup.tar")), ("index", "advise"), ("serve",)):
        refused = run(*arguments, **settings)
        assert refused.returncode == 3, arguments
        assert "the database is damaged" in refused.stderr, arguments
        assert "Traceback" not in refused.stderr, arguments


def test_every_command_explains_itself_with_an_example(command: Run) -> None:
    for arguments in (
        ("serve",), ("migrate",), ("doctor",), ("retention",), ("keys", "create"), ("keys", "list"),
        ("keys", "revoke"), ("audit", "export"), ("audit", "rotate"), ("backup",), ("restore",),
        ("model", "list"), ("model", "pull"),
    ):  # fmt: skip
        told = command(*arguments, "--help")
        assert told.returncode == 0, arguments
        assert "Example:" in told.stdout, arguments
    assert "Run the service and look after it" in command("--help").stdout


def test_settings_that_cannot_be_used_are_named(command: Run) -> None:
    for name, value in (("REAPPEAR_PORT", "many"), ("REAPPEAR_PROT", "8000")):
        done = command("keys", "list", **{name: value})
        assert done.returncode == 2
        assert name in done.stderr
    assert os.environ.get("REAPPEAR_PROT") is None
