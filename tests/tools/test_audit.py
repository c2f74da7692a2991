import pytest

from tools import audit

KNOWN = {"name": "numpy", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
CLEAN = {"name": "orjson", "version": "3.0", "vulns": []}


def test_a_known_vulnerability_fails_and_names_the_version_to_take(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.tell("pypi", [KNOWN, CLEAN], ["ours"]) == 1
    said = capsys.readouterr().out
    assert "numpy 1.0: CVE-1, fixed in 1.1" in said
    assert "unknown to pypi: ours" in said


def test_nothing_known_is_a_success_that_says_how_much_was_audited(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.tell("osv", [CLEAN], []) == 0
    assert "1 packages audited by osv" in capsys.readouterr().out


def test_where_nobody_answers_it_says_that_nothing_was_audited(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SERVICES", ("osv",))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr(audit, "pins", lambda: ["numpy==2.4.6"])
    assert audit.main() == 0
    assert capsys.readouterr().out.startswith(audit.NOT_DONE)


def test_everything_that_is_pinned_is_audited() -> None:
    pins = audit.pins()
    assert {"onnxruntime-gpu==1.26.0", "onnxruntime-gpu==1.31.1", "psycopg==3.3.9", "pillow==13.0.0"} <= set(pins)
    for one in pins:
        assert one.count("==") == 1, one
