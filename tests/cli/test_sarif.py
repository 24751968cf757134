"""`kerasguard scan --sarif` and what `inspect` says that loading would refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kerasguard.blueprint.references import Doubt
from kerasguard.checkpoints.scan import Found
from kerasguard.cli import commands, program
from kerasguard.cli.program import main
from kerasguard.cli.sarif import sarif
from tests.migrations.test_hostile_configs import PAYLOADS, archive, model

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some models").mkdir()
    archive(tmp_path / "some models" / "bad.keras", model(PAYLOADS["os.system"][1]))
    archive(tmp_path / "some models" / "needs.keras", model(PAYLOADS["a package"][1]))
    return tmp_path / "some models"


def results(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    [run] = document["runs"]
    found = []
    for result in run["results"]:
        rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        assert rule["defaultConfiguration"]["level"] == result["level"]
        [location] = result["locations"]
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        found.append((uri, result["ruleId"], result["level"]))
    return found


def test_a_scan_writes_one_sarif_document_and_its_exit_code_stays(
    files: Path, capsys: Captured
) -> None:
    assert main(["scan", str(files), "--sarif", "--processes", "1"]) == commands.REFUSED
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == "2.1.0"
    assert set(results(document)) == {
        ("some%20models/bad.keras", "hostile", "error"),
        ("some%20models/needs.keras", "class", "warning"),
        ("some%20models/needs.keras", "unrecorded", "note"),
    }
    prints = [r["partialFingerprints"]["kerasguard/1"] for r in document["runs"][0]["results"]]
    assert len(set(prints)) == 3
    main(["scan", str(files), "--sarif", "--processes", "1"])
    assert json.loads(capsys.readouterr().out) == document


def test_sarif_is_no_json_of_ours(files: Path, capsys: Captured) -> None:
    assert main(["scan", str(files), "--sarif", "--json"]) == program.USAGE
    assert "--sarif" in capsys.readouterr().out


def test_an_intact_checkpoint_is_no_result_and_a_place_elsewhere_is_an_address() -> None:
    doubts = (Doubt("path", "", "vocabulary is '/etc/passwd'"),)
    found = [
        Found("/elsewhere/a.keras", "keras_zip", "intact"),
        Found("/elsewhere/b.keras", "keras_zip", "differs", "in 3 places"),
        Found("/elsewhere/c.keras", "keras_zip", "refused", "...", doubts),
    ]
    assert results(sarif(found)) == [
        ("file:///elsewhere/b.keras", "differs", "error"),
        ("file:///elsewhere/c.keras", "path", "error"),
    ]


def test_inspect_says_what_loading_would_refuse_and_need(files: Path, capsys: Captured) -> None:
    assert main(["inspect", str(files / "bad.keras")]) == program.OK
    assert "loading refuses a hostile" in capsys.readouterr().out
    assert main(["inspect", str(files / "needs.keras"), "--json"]) == program.OK
    [doubt] = json.loads(capsys.readouterr().out)["doubts"]
    assert doubt["reason"] == "class"
    assert "custom_objects=" in doubt["message"]
