"""The gate for CI: what its page and the hooks call exists, and does what the page says."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_folders import damage, leave

from kerasguard.cli import program
from kerasguard.cli.parser import parser
from kerasguard.cli.program import main

yaml = pytest.importorskip("yaml")
Captured = pytest.CaptureFixture[str]


def commands(repository: Path) -> Iterator[list[str]]:
    """Every call of kerasguard in the page's workflow."""
    page = (repository / "docs" / "gate.md").read_text("utf-8")
    workflow, hooks = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for step in yaml.safe_load(workflow)["jobs"]["load"]["steps"]:
        program_, *arguments = shlex.split(step.get("run", "-"))
        if program_ == "kerasguard":
            yield arguments
    known = {hook["id"]: hook for hook in hooks_of(repository)}
    for hook in yaml.safe_load(hooks)["repos"][0]["hooks"]:
        yield [*known[hook["id"]]["entry"].split()[1:], *hook.get("args", ["a.keras"])]


def hooks_of(repository: Path) -> list[dict[str, Any]]:
    """What pre-commit reads."""
    return list(yaml.safe_load((repository / ".pre-commit-hooks.yaml").read_text("utf-8")))


def test_every_command_of_the_page_and_the_hooks_is_understood(repository: Path) -> None:
    found = list(commands(repository))
    assert {arguments[0] for arguments in found} == {"verify", "plan", "report"}
    for arguments in found:
        parser().parse_args(arguments)


def test_the_hooks_match_checkpoints_and_their_manifests(repository: Path) -> None:
    verify, plan = hooks_of(repository)
    for name in ("run/07.keras", "a.weights.h5", "07.keras.manifest.json", "x.safetensors"):
        assert re.search(str(verify["files"]), name), name
    assert not re.search(str(verify["files"]), "setup.json")
    assert re.search(str(plan["files"]), "models.py")


def test_a_pattern_that_no_shell_expanded_and_a_manifest_stand_for_checkpoints(
    tmp_path: Path, capsys: Captured
) -> None:
    first, second = (leave(tmp_path / f"0{n}.weights.h5", n) for n in (1, 2))
    assert main(["verify", f"{tmp_path}/*.h5"]) == program.OK
    told = capsys.readouterr().out
    assert str(first) in told
    assert str(second) in told
    damage(second)
    beside = f"{second}.manifest.json"
    assert main(["verify", beside, str(second), "--json"]) == program.DIFFERS
    assert json.loads(capsys.readouterr().out)["report"]["path"] == str(second)
    assert main(["verify", f"{tmp_path}/*.keras"]) == program.USAGE
    assert "nothing matches" in capsys.readouterr().err


@pytest.mark.keras
def test_plan_tells_by_its_exit_code_whether_todays_code_loads_all_of_yesterdays_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    import keras

    import kerasguard as kg

    code = (
        "import keras\n"
        "def build(units={}):\n"
        "    layers = [keras.Input((3,)), keras.layers.Dense(units, name='head')]\n"
        "    return keras.Sequential(layers)\n"
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gate_models.py").write_text(code.format(4))
    (tmp_path / "gate_changed.py").write_text(code.format(5))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="head")])
    with kg.patched():
        for name in ("1.keras", "2.weights.h5"):
            model.save_weights(name) if "weights" in name else model.save(name)
    paths = ["1.keras", "2.weights.h5"]
    assert main(["plan", *paths, "--model", "gate_models:build"]) == program.OK
    changed = ["plan", *paths, "--model", "gate_changed:build", "--json"]
    capsys.readouterr()
    assert main(changed) == program.UNREPAIRABLE
    document = json.loads(capsys.readouterr().out)
    assert [one["exit_code"] for one in document["checkpoints"]] == [5, 5]
    assert "KG203" in json.dumps(document["checkpoints"][1])
    assert main(["plan", *paths, "--digest", "sha256:0"]) == program.USAGE
