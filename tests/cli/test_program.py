"""The command line: exit codes, what goes where, and that looking at a file starts no framework."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from run_folders import damage, leave

from kerasguard import errors
from kerasguard.cli import program
from kerasguard.cli.program import main
from kerasguard.report import Report

Captured = pytest.CaptureFixture[str]
FRAMEWORKS = ("keras", "mlflow", "tensorflow", "tf_keras")

_FRESH = """
import sys
from kerasguard.cli import main
code = main(sys.argv[1:])
import json, time
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps([code, time.process_time(), loaded]), file=sys.stderr)
"""


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small `.keras` file with its manifest; copy it before changing it."""
    import keras

    import kerasguard as kg

    path = tmp_path_factory.mktemp("recorded") / "größe.keras"
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(4, name="head")(inputs)
    with kg.patched():
        keras.Model(inputs, outputs, name="small").save(path)
    return path


@pytest.fixture
def copy(recorded: Path, tmp_path: Path) -> Path:
    """A copy of the pair that a test may damage."""
    for path in recorded.parent.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path / recorded.name


def _fresh(*arguments: str) -> tuple[int, float, set[str], str]:
    """Exit code, CPU seconds, top-level modules and stdout of a command in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", _FRESH, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    code, seconds, modules = json.loads(done.stderr.splitlines()[-1])
    return code, seconds, set(modules), done.stdout


def _guard(monkeypatch: pytest.MonkeyPatch, **functions: Callable[..., Any]) -> None:
    """Put functions in the place of the pipelines."""
    import kerasguard
    from kerasguard import checkpoints

    fake = SimpleNamespace(**functions)
    for package, home in ((kerasguard, "guard"), (checkpoints, "inspect")):
        name = f"{package.__name__}.{home}"
        importlib.import_module(name)  # what is faked exists
        monkeypatch.setitem(sys.modules, name, fake)
        monkeypatch.setattr(package, home, fake)


def _raising(error: Exception) -> Callable[..., Any]:
    def function(*_: object, **__: object) -> None:
        raise error

    return function


@pytest.mark.keras
@pytest.mark.parametrize("verb", ["inspect", "verify"])
def test_looking_at_a_file_imports_no_framework(recorded: Path, verb: str) -> None:
    code, _, modules, _ = _fresh(verb, str(recorded))
    assert code == program.OK
    assert not modules & {*FRAMEWORKS}
    assert verb == "inspect" or not modules & {"numpy", "h5py"}


@pytest.mark.keras
def test_an_intact_checkpoint_is_exit_code_0(recorded: Path, capsys: Captured) -> None:
    assert main(["verify", str(recorded)]) == program.OK
    assert "as recorded" in capsys.readouterr().out


@pytest.mark.keras
def test_a_changed_checkpoint_is_exit_code_1_and_named(copy: Path, capsys: Captured) -> None:
    content = bytearray(copy.read_bytes())
    content[-40] ^= 1
    copy.write_bytes(content)
    assert main(["verify", str(copy)]) in (program.DIFFERS, program.UNREADABLE)
    captured = capsys.readouterr()
    assert copy.name in captured.out + captured.err


@pytest.mark.keras
def test_a_checkpoint_without_manifest_is_exit_code_4(copy: Path, capsys: Captured) -> None:
    copy.with_name(f"{copy.name}.manifest.json").unlink()
    assert main(["verify", str(copy)]) == program.NO_MANIFEST
    captured = capsys.readouterr()
    assert "no manifest" in captured.out + captured.err


@pytest.mark.keras
def test_inspect_lists_every_tensor(recorded: Path, capsys: Captured) -> None:
    assert main(["inspect", str(recorded)]) == program.OK
    text = capsys.readouterr().out
    assert "keras_zip" in text
    assert "layers/dense/vars/0" in text
    assert "[3, 4]" in text
    assert "float32" in text


@pytest.mark.keras
@pytest.mark.parametrize("verb", ["inspect", "verify", "plan"])
def test_json_is_one_document_on_stdout(recorded: Path, verb: str, capsys: Captured) -> None:
    assert main([verb, str(recorded), "--json"]) == program.OK
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert (data["schema"], data["command"], data["exit_code"]) == ("kerasguard/cli/1", verb, 0)


@pytest.mark.keras
def test_plan_takes_the_model_that_a_function_returns(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (tmp_path / "mine_of_test_cli.py").write_text(
        "import keras\n"
        "def fits():\n"
        "    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name='head')])\n"
        "def wider():\n"
        "    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, name='head')])\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["plan", str(recorded), "--model", "mine_of_test_cli:fits"]) == program.OK
    wider = main(["plan", str(recorded), "--model", "mine_of_test_cli:wider"])
    assert wider == program.UNREPAIRABLE
    assert "KG203" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["inspect", "verify", "plan"])
def test_a_missing_file_is_exit_code_3_with_one_line(
    verb: str, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "nothing.keras"
    assert main([verb, str(path)]) == program.UNREADABLE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(path) in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("verb", ["inspect", "verify", "plan"])
def test_what_is_no_checkpoint_is_exit_code_3(verb: str, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "picture.keras"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    assert main([verb, str(path)]) == program.UNREADABLE
    assert "picture.keras" in capsys.readouterr().err


def test_an_error_is_a_json_document_too(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "nothing.keras"
    assert main(["verify", str(path), "--json"]) == program.UNREADABLE
    data = json.loads(capsys.readouterr().out)
    assert data["error"]["type"] == "CheckpointNotFoundError"
    assert data["exit_code"] == program.UNREADABLE


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["verify"],
        ["diff", "a", "b", "c"],
        ["plan", "a", "--repair", "hope"],
        ["plan", "a", "--rename", "old"],
        ["plan", "a", "--model", "module_without_function"],
        ["plan", "a", "--model", "no.such.module:function"],
        ["plan", "a", "--model", "json:no_such_function"],
        ["explain", "KG999"],
        ["repair", "a.h5"],
        ["repair", "a.h5", "b.txt"],
        ["repair", "a.h5", "no/such/folder/b.keras"],
        ["repair", "a.h5", "b.keras", "--custom-objects", "json:no_such_class"],
        ["repair", "a.h5", "b.keras", "--custom-objects", "=json:loads"],
        ["diff", "a.keras"],
        ["scan"],
        ["latest"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: Captured) -> None:
    assert main(arguments) == program.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ManifestMissingError("none"), program.NO_MANIFEST),
        (errors.ManifestError("cut"), program.UNREADABLE),
        (errors.UnsupportedManifestError("newer"), program.UNREADABLE),
        (errors.CorruptCheckpointError("a.keras", "truncated"), program.UNREADABLE),
        (errors.UnrepairableError("2 of 3", Report("plan", "a", "b")), program.UNREPAIRABLE),
        (errors.ArchitectureError("unknown class"), program.UNREPAIRABLE),
        (errors.ModelError("never built"), program.USAGE),
        (errors.OutputError("a.keras", "exists"), program.USAGE),
        (errors.MissingPackageError("MLflow is not installed"), program.USAGE),
        (PermissionError(13, "Permission denied", "a.keras"), program.UNREADABLE),
        (ZeroDivisionError("a bug"), program.INTERNAL),
        (RecursionError("a bug"), program.INTERNAL),
    ],
)
def test_every_error_has_its_exit_code_and_no_traceback(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    _guard(monkeypatch, verify=_raising(error))
    assert main(["verify", "a.keras"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(error) in captured.err
    assert "Traceback" not in captured.err


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    _guard(monkeypatch, verify=_raising(ZeroDivisionError("a bug")))
    assert main(["verify", "a.keras", "--debug"]) == program.INTERNAL
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupted_command_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    _guard(monkeypatch, verify=interrupted)
    assert main(["verify", "a.keras"]) == 130
    assert capsys.readouterr().err == ""


def test_names_in_a_file_cannot_move_the_cursor(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    _guard(monkeypatch, verify=_raising(errors.ManifestError("\x1b]0;owned\x07 is not a key")))
    main(["verify", "a.keras"])
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.keras
def test_repair_writes_once_and_says_what_it_did(
    copy: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "new.keras"
    assert main(["repair", str(copy), str(out), "--dry-run", "--json"]) == program.OK
    assert json.loads(capsys.readouterr().out)["report"]["ok"]
    assert not out.exists()
    assert main(["repair", str(copy), str(out)]) == program.OK
    assert "read back with Keras alone: 2 tensors" in capsys.readouterr().out
    assert main(["verify", str(out)]) == program.OK
    assert main(["repair", str(copy), str(out)]) == program.USAGE
    assert "exists and is not overwritten" in capsys.readouterr().err
    assert main(["repair", str(copy), str(copy), "--overwrite"]) == program.USAGE
    assert main(["diff", str(copy), str(out)]) == program.OK
    assert "hold the same" in capsys.readouterr().out


@pytest.mark.keras
def test_repair_takes_custom_objects_by_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (tmp_path / "layers_of_test_cli.py").write_text(
        "import keras\n"
        "class Same(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return x\n"
        "everything = {'Same': Same}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    import keras
    import layers_of_test_cli  # type: ignore[import-not-found]

    keras.Sequential([keras.Input((3,)), layers_of_test_cli.Same()]).save("old.keras")
    assert main(["repair", "old.keras", "new.keras"]) == program.UNREPAIRABLE
    assert 'custom_objects={"Same": Same}' in capsys.readouterr().err
    for number, told in enumerate(("everything", "Same", "Same")):
        reference = f"{'Same=' * (number == 2)}layers_of_test_cli:{told}"
        arguments = ["old.keras", f"new{number}.keras", "--custom-objects", reference]
        assert main(["repair", *arguments]) == program.OK


@pytest.mark.keras
def test_diff_lists_what_differs_and_is_exit_code_1(
    copy: Path, tmp_path: Path, capsys: Captured
) -> None:
    import keras

    other = tmp_path / "other.keras"
    inputs = keras.Input((3,))
    keras.Model(inputs, keras.layers.Dense(4, name="head")(inputs), name="small").save(other)
    assert main(["diff", str(copy), str(other)]) == program.DIFFERS
    assert "head/kernel" in capsys.readouterr().out
    assert main(["diff", str(copy), str(tmp_path / "nothing.keras")]) == program.UNREADABLE


@pytest.mark.keras
def test_report_writes_a_page_and_takes_no_other_files_place(copy: Path, capsys: Captured) -> None:
    page = copy.with_name(f"{copy.name}.html")
    assert main(["report", str(copy)]) == program.OK
    assert "as recorded" in page.read_text("utf-8")
    assert main(["report", str(copy)]) == program.USAGE
    assert main(["report", str(copy), "--plan", "--overwrite"]) == program.OK
    assert "can be restored" in page.read_text("utf-8")
    assert main(["report", str(copy), str(copy.parent / "no" / "page.html")]) == program.USAGE
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.keras
def test_scan_lists_a_folder_and_its_worst_state_is_the_exit_code(
    copy: Path, capsys: Captured
) -> None:
    assert main(["scan", str(copy.parent), "--json"]) == program.OK
    (found,) = json.loads(capsys.readouterr().out)["checkpoints"]
    assert (found["format"], found["state"]) == ("keras_zip", "intact")
    shutil.copy(copy, copy.with_name("unrecorded.keras"))
    assert main(["scan", str(copy.parent)]) == program.OK
    copy.with_name("unrecorded.keras.manifest.json").write_text("{}")
    assert main(["scan", str(copy.parent)]) == program.UNREADABLE
    assert "unreadable" in capsys.readouterr().out
    assert main(["scan", str(copy.parent / "nothing")]) == program.UNREADABLE


def test_the_new_ways_of_looking_import_no_framework(repository: Path) -> None:
    path = str(repository / "tests/golden/saved_model/tf2.0.4-mlp")
    for arguments in (["diff", path, path], ["scan", path], ["latest", path, "--unrecorded"]):
        code, _, modules, _ = _fresh(*arguments)
        assert code == program.OK
        assert not modules & {*FRAMEWORKS}


@pytest.mark.keras
def test_doctor_tells_versions_backend_and_shortcuts(capsys: Captured) -> None:
    import keras

    assert main(["doctor", "--json"]) == program.OK
    told = json.loads(capsys.readouterr().out)
    assert told["versions"]["keras"] == keras.__version__
    assert told["keras"]["backend"] == keras.backend.backend()
    assert told["shortcuts"]["Sequential.add"] is True
    assert set(told["mlflow"]) & {"problem", "tracking_uri"}
    assert main(["doctor"]) == program.OK
    assert keras.__version__ in capsys.readouterr().out


def test_explain_lists_all_codes_and_tells_one(capsys: Captured) -> None:
    assert main(["explain"]) == program.OK
    assert "KG201" in capsys.readouterr().out
    assert main(["explain", "kg201"]) == program.OK
    text = capsys.readouterr().out
    assert text.startswith("KG201: ")
    assert "When the repair is exact" in text
    assert main(["explain", "KG201", "--json"]) == program.OK
    assert json.loads(capsys.readouterr().out)["explanation"]["code"] == "KG201"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m kerasguard explain | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 141)
    assert done.stderr == ""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
@pytest.mark.parametrize("no_color", [False, True])
def test_on_a_terminal_tables_are_drawn_and_no_color_is_honoured(no_color: bool) -> None:
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    if no_color:
        environment["NO_COLOR"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "kerasguard", "explain"],
        stdin=subprocess.DEVNULL, stdout=theirs, env=environment, check=False,
    )  # fmt: skip
    os.close(theirs)
    text = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "KG201" in text
    assert ("\x1b[" in text) is True  # bold is not a colour
    assert ("\x1b[3" in text) is False


def test_the_version_is_told(capsys: Captured) -> None:
    import kerasguard

    assert main(["--version"]) == program.OK
    assert capsys.readouterr().out == f"kerasguard {kerasguard.__version__}\n"


@pytest.mark.keras
def test_several_checkpoints_are_verified_and_the_worst_decides(
    copy: Path, capsys: Captured
) -> None:
    other, absent = copy.with_name("other.keras"), copy.with_name("absent.keras")
    shutil.copy(copy, other)
    assert main(["verify", str(copy), str(other)]) == program.NO_MANIFEST
    assert main(["verify", str(absent), str(copy), "--json"]) == program.UNREADABLE
    told = capsys.readouterr()
    document = json.loads(told.out[told.out.index("{") :])
    first, second = document["checkpoints"]
    assert (first["exit_code"], first["error"]["type"]) == (3, "CheckpointNotFoundError")
    assert (second["exit_code"], second["report"]["ok"]) == (0, True)
    assert "absent.keras" in told.err


@pytest.mark.keras
def test_quiet_tells_by_the_exit_code_alone(copy: Path, capsys: Captured) -> None:
    assert main(["verify", "-q", str(copy)]) == program.OK
    assert main(["inspect", "--quiet", str(copy), str(copy)]) == program.OK
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["verfiy", "x"], "verify"),
        (["verify", "x", "--jsn"], "--json"),
        (["scan", ".", "--only", "difers"], "differs"),
        (["explain", "KG20"], "KG20"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_one_that_was_meant(
    arguments: list[str], meant: str, capsys: Captured
) -> None:
    assert main(arguments) == program.USAGE
    told = capsys.readouterr().err
    assert f"did you mean {meant}" in told


@pytest.mark.parametrize("arguments", [["verify", "--json"], ["--json", "nothing"]])
def test_wrong_usage_is_a_document_too(arguments: list[str], capsys: Captured) -> None:
    assert main(arguments) == program.USAGE
    document = json.loads(capsys.readouterr().out)
    assert (document["exit_code"], document["error"]["type"]) == (2, "UsageError")


@pytest.mark.parametrize(
    "verb",
    [
        "inspect",
        "verify",
        "plan",
        "repair",
        "diff",
        "report",
        "scan",
        "latest",
        "doctor",
        "explain",
        "completion",
    ],
)
def test_the_help_of_each_verb_has_examples(verb: str, capsys: Captured) -> None:
    assert main([verb, "--help"]) == program.OK
    assert f"examples:\n  kerasguard {verb}" in capsys.readouterr().out


@pytest.mark.keras
def test_a_scan_that_was_killed_goes_on_where_it_ended(copy: Path, capsys: Captured) -> None:
    for name in ("a.keras", "b.keras", "c.keras"):
        shutil.copy(copy, copy.with_name(name))
    command = ["scan", str(copy.parent), "--jsonl", "--processes", "1"]
    assert main(command) == program.OK
    lines = capsys.readouterr().out.splitlines()
    before = copy.with_name("found.jsonl")
    before.write_text("\n".join(lines[:2]) + "\n" + lines[2][:9])  # ended in the middle of a line
    assert main([*command, "--resume", str(before)]) == program.OK
    again = capsys.readouterr().out
    assert again.startswith("\n")
    assert again.strip().splitlines() == lines[2:]
    assert main([*command, "--resume", str(copy.with_name("none.jsonl"))]) == program.OK


@pytest.mark.keras
def test_a_scan_tells_how_many_are_in_which_state_and_lists_one_if_asked(
    copy: Path, capsys: Captured
) -> None:
    shutil.copy(copy, copy.with_name("a.keras"))
    command = ["scan", str(copy.parent), "--only", "intact", "--processes", "1"]
    assert main(command) == program.OK
    told = capsys.readouterr().out
    assert "1 unrecorded" in told.splitlines()[0]
    assert "a.keras" not in told
    assert main(["scan", str(copy.parent), "--processes", "0"]) == program.USAGE


def test_parts_of_a_model_are_skipped_or_alone_loaded(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    import keras

    build = (
        "import keras\n"
        "def build():\n"
        "    inputs = keras.Input((3,))\n"
        "    outputs = keras.layers.Dense(2, name='head')(inputs)\n"
        "    return keras.Model(inputs, keras.layers.Dense(1, name='new')(outputs))\n"
    )
    (tmp_path / "parts_of_a_model.py").write_text(build)
    monkeypatch.syspath_prepend(tmp_path)
    options = ["--model", "parts_of_a_model:build"]
    assert main(["plan", str(recorded), *options]) == 5
    assert 'skip=["new"]' in capsys.readouterr().out
    assert main(["plan", str(recorded), *options, "--skip", "new", "--skip", "head/kernel"]) == 5
    assert main(["plan", str(recorded), *options, "--skip", "new", "--skip", "head"]) == 0
    assert "skipped: head/kernel, head/bias, new/kernel, new/bias" in capsys.readouterr().out
    assert main(["plan", str(recorded), *options, "--only", "nothing"]) == 2
    assert "no variable or layer of this path" in capsys.readouterr().err
    out = tmp_path / "out.keras"
    assert main(["repair", str(recorded), str(out), "--skip", "head/bias"]) == 0
    assert "head/bias" in capsys.readouterr().out
    model = keras.models.load_model(out)
    old = keras.models.load_model(recorded)
    assert (model.get_layer("head").kernel.numpy() == old.get_layer("head").kernel.numpy()).all()


def test_a_state_dict_is_planned_and_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    import keras
    import numpy as np

    state: dict[str, Any] = {
        "head.weight": np.arange(6, dtype="f4").reshape(2, 3),
        "head.bias": np.ones(2, "f4"),
    }
    np.savez(tmp_path / "net.npz", **state)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="head")])
    (tmp_path / "model.json").write_text(model.to_json())
    monkeypatch.chdir(tmp_path)
    options = ["--layout", "torch", "--config", "model.json"]
    assert main(["plan", "net.npz", *options]) == 0
    assert main(["convert", "net.npz", "out.keras", *options]) == 0
    assert main(["report", "net.npz", "page.html", "--plan", *options]) == 0
    kernel = keras.models.load_model("out.keras").get_layer("head").kernel.numpy()
    assert (kernel == state["head.weight"].T).all()
    capsys.readouterr()


@pytest.mark.keras
def test_diff_tells_how_far_each_layer_moved(copy: Path, capsys: Captured) -> None:
    import keras

    import kerasguard as kg

    model = keras.saving.load_model(copy)
    model.set_weights([2 * weight for weight in model.get_weights()])
    other = copy.with_name("other.keras")
    with kg.patched():
        model.save(other)
    assert main(["diff", str(copy), str(other)]) == program.DIFFERS
    told = capsys.readouterr().out
    assert "differ in 1 place\n" in told  # the bias is zero
    assert re.search(r"^head +100\.00% .* 1 of 2$", told, re.MULTILINE)
    assert main(["diff", str(copy), str(other), "--json"]) == program.DIFFERS
    (layer,) = json.loads(capsys.readouterr().out)["layers"]
    assert layer["distance"] == pytest.approx(1)
    assert layer["other"] == pytest.approx(2 * layer["norm"])


def test_a_report_of_a_folder_is_one_on_the_run(tmp_path: Path, capsys: Captured) -> None:
    for n in (1, 2):
        leave(tmp_path / "run" / f"0{n}.weights.h5", n, epoch=n - 1)
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "run"), str(page)]) == program.OK
    assert "2 checkpoints, 2 as recorded" in capsys.readouterr().out
    assert "Drift of each layer" in page.read_text("utf-8")
    damage(tmp_path / "run" / "02.weights.h5")
    assert main(["report", str(tmp_path / "run"), str(page), "--overwrite", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["report"]["saved"][1]["state"] == "differs"


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.parametrize("verb", ["plan", "doctor", "repair"])
def test_starting_tensorflow_says_nothing(copy: Path, verb: str) -> None:
    arguments = {"plan": [str(copy)], "repair": [str(copy), str(copy.with_name("new.keras"))]}
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-m", "kerasguard", verb, *arguments.get(verb, [])],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_what_is_kept_back_while_keras_starts_is_told_if_it_fails(capfd: Captured) -> None:
    from kerasguard.cli import starting

    def broken() -> None:
        with starting._silent():
            os.write(2, b"the library is broken\n")
            raise ImportError

    with pytest.raises(ImportError):
        broken()
    assert capfd.readouterr().err == "the library is broken\n"
    with starting._silent():
        os.write(2, b"no graphics card\n")
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_the_processes_of_a_scan_that_is_killed_end_and_the_next_one_goes_on(
    tmp_path: Path,
) -> None:
    first = leave(tmp_path / "run" / "0.weights.h5", 1)
    for n in range(1, 600):
        for part in ("", ".manifest.json"):
            os.link(f"{first}{part}", tmp_path / "run" / f"{n}.weights.h5{part}")
    command = [sys.executable, "-m", "kerasguard", "scan", str(tmp_path / "run"), "--jsonl"]
    listed = tmp_path / "found.jsonl"
    with (
        listed.open("wb") as out,
        subprocess.Popen([*command, "--processes", "2"], stdout=out) as p,
    ):
        _wait_for(lambda: listed.stat().st_size > 0)
        children = _children(p.pid)
        p.kill()
    assert len(children) >= 2
    _wait_for(lambda: not any(map(_runs, children)))
    before = listed.read_text("utf-8").splitlines()
    assert 0 < len(before) < 600
    done = subprocess.run(
        [*command, "--resume", str(listed)], capture_output=True, text=True, check=True, timeout=120
    )
    after = [json.loads(line)["path"] for line in done.stdout.splitlines() if line]
    told = [json.loads(line)["path"] for line in before if line.endswith("}")]
    assert len(after) + len(told) == 600
    assert not {*after} & {*told}


def _wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:  # one that ended and that nobody has asked after has no command line any more
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8")
    return [int(child) for child in listed.split()]


CONTRADICTIONS = {
    "quick differs": (["scan", ".", "--quick", "--only", "differs"], "--quick compares nothing"),
    "quick intact": (["scan", ".", "--quick", "--only", "intact"], "--quick compares nothing"),
    "json jsonl": (["scan", ".", "--json", "--jsonl"], "leave out one of them"),
    "resume folder": (["scan", ".", "--resume", "."], "--resume .: Is a directory"),
    "rename twice": (["plan", "a", "--rename", "a=b", "--rename", "a=c"], "leave out one"),
    "object twice": (
        ["plan", "a", "--custom-objects", "A=os:sep", "--custom-objects", "A=os:linesep"],
        "leave out one",
    ),
    "report skip": (["report", "a", "--skip", "head"], "--skip is about a load; add --plan"),
    "report repair": (["report", "a", "--repair", "off"], "--repair is about a load"),
    "report config": (["report", "a", "--config", "model.json"], "--config is about a load"),
    "report objects": (
        ["report", "a", "--custom-objects", "os:sep"],
        "--custom-objects is about a load",
    ),
    "report run": (["report", ".", "--plan"], "is a folder of them; name one"),
    "report run skip": (["report", ".", "--skip", "head"], "is a folder of them; name one"),
    "record nothing": (["record", ""], "path='' is not a path"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_an_option_that_would_not_be_obeyed_is_wrong_usage(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, message = CONTRADICTIONS[case]
    assert main(arguments) == program.USAGE
    assert message in capsys.readouterr().err


def test_a_scan_does_not_go_on_from_a_file_that_no_scan_wrote(
    tmp_path: Path, capsys: Captured
) -> None:
    for content in (b"hello\n", b"PK\x03\x04\xea\xff"):
        listed = tmp_path / "listed.jsonl"
        listed.write_bytes(content)
        assert main(["scan", str(tmp_path), "--resume", str(listed)]) == program.USAGE
        assert "line 1 is not what scan --jsonl prints" in capsys.readouterr().err


@pytest.mark.keras
def test_a_page_replaces_pages_only(copy: Path, capsys: Captured) -> None:
    before = copy.read_bytes()
    assert main(["report", str(copy), str(copy), "--overwrite"]) == program.USAGE
    assert "is no page, so it is not overwritten" in capsys.readouterr().err
    assert copy.read_bytes() == before
    page = copy.with_name("page.html")
    for _ in range(2):
        assert main(["report", str(copy), str(page), "--overwrite"]) == program.OK
