"""No argument is accepted and not obeyed."""

from __future__ import annotations

import inspect
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kerasguard as kg
from kerasguard.arguments import check_choice
from kerasguard.checkpoints.scan import scan
from kerasguard.errors import (
    ArgumentError,
    CheckpointError,
    ManifestMissingError,
    ModelError,
)


@pytest.mark.parametrize(
    "value", ["requried", "required", "Require", "REQUIRE ", "", True, 1, None]
)
@pytest.mark.parametrize("call", [kg.load, kg.restore, kg.plan])
def test_a_misspelt_manifest_policy_is_refused_before_a_file_is_opened(
    call: Callable[..., Any], value: object, tmp_path: Path
) -> None:
    """A switch that demands a manifest must not fail open."""
    with pytest.raises(ArgumentError, match="allowed: 'auto', 'ignore', 'require'"):
        call(tmp_path / "missing.keras", manifest=value)


def test_repair_refuses_a_misspelt_manifest_policy(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="manifest='ignroe'"):
        kg.repair(tmp_path / "missing.keras", tmp_path / "out.keras", manifest="ignroe")  # type: ignore[arg-type]


def test_the_nearest_allowed_value_is_named() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'require'"):
        check_choice("manifest", "required", ("auto", "ignore", "require"))


def test_what_is_allowed_passes() -> None:
    for value in ("auto", True):
        check_choice("log_to_mlflow", value, (True, False, "auto"))


def test_a_number_is_no_truth_value() -> None:
    with pytest.raises(ArgumentError):
        check_choice("log_to_mlflow", 1, (True, False, "auto"))


PATH = "missing.keras"
ALL = (kg.load, kg.restore, kg.plan)
NOT_UNDERSTOOD: dict[str, tuple[dict[str, Any], str]] = {
    "manifest": ({"manifest": "required"}, "did you mean 'require'"),
    "repair": ({"repair": "none"}, "'off', 'exact', 'lossy', 'guess'"),
    "repair nearest": ({"repair": "exactly"}, "did you mean 'exact'"),
    "repair type": ({"repair": True}, "repair=True"),
    "learning_rate": ({"learning_rate": "store"}, "did you mean 'stored'"),
    "learning_rate type": ({"learning_rate": 0.1}, "learning_rate=0.1"),
    "digest": ({"digest": "sha256:12"}, "64 hexadecimal digits"),
    "allow": ({"allow": "lambda"}, "did you mean 'lambdas'"),
    "renames list": ({"renames": ["a", "b"]}, "pass renames="),
    "renames values": ({"renames": {"a": 1}}, "pass renames="),
    "renames number": ({"renames": 3}, "pass renames="),
    "renames empty": ({"renames": {"": "a"}}, "pass renames="),
    "renames class": ({"renames": dict}, "is not a mapping"),
    "renames template": ({"renames": {re.compile("(a)"): r"\2"}}, "invalid group reference"),
    "renames bytes": ({"renames": {re.compile(b"a"): "b"}}, "pass renames="),
    "renames group": ({"renames": {re.compile("(a)"): r"\g<b>"}}, "unknown group name"),
    "skip": ({"skip": "head"}, r'pass skip=\["head"\]'),
    "skip values": ({"skip": [3]}, r'pass skip=\["head"\]'),
    "skip empty": ({"skip": ["a", ""]}, r'pass skip=\["head"\]'),
    "only": ({"only": {"head": 1}}, r'pass only=\["head"\]'),
    "only nothing": ({"only": []}, r'pass only=\["head"\]'),
    "older unknown": ({"skips": ["head"]}, "did you mean 'skip'"),
    "custom_objects": ({"custom_objects": ["a"]}, "pass custom_objects="),
    "custom_objects values": ({"custom_objects": {"Mine": "Mine"}}, "pass custom_objects="),
    "custom_objects keys": ({"custom_objects": {1: "a"}}, "pass custom_objects="),
    "model": ({"model": "x"}, "not a Keras model"),
    "model number": ({"model": 3}, "not a Keras model"),
    "config": ({"config": 3}, "config=3 is not an architecture"),
    "config empty": ({"config": ""}, "pass the path of a model.json"),
    "allow_graph": ({"allow_graph": "yes"}, "allowed: True, False"),
    "registered": ({"registered": "no"}, "allowed: True, False"),
}


@pytest.mark.parametrize("call", ALL)
@pytest.mark.parametrize("case", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_refused_before_a_file_is_opened(
    call: Callable[..., Any], case: str
) -> None:
    options, message = NOT_UNDERSTOOD[case]
    with pytest.raises(ArgumentError, match=message):
        call(PATH, **options)


@pytest.mark.parametrize("call", [kg.load, kg.restore])
def test_a_rate_is_not_asked_of_an_optimizer_that_is_left_alone(call: Callable[..., Any]) -> None:
    with pytest.raises(ArgumentError, match="pass one of them"):
        call(PATH, compile=False, learning_rate="stored")


@pytest.mark.parametrize("call", ALL)
def test_arrays_in_memory_have_no_manifest_to_require(call: Callable[..., Any]) -> None:
    with pytest.raises(ManifestMissingError, match="arrays in memory have no manifest"):
        call({"head/kernel": np.zeros((3, 2), "float32")}, manifest="require")


@pytest.mark.parametrize("data", [{}, {"steps": 3}, [], None, {"steps": [], "findings": [{}]}])
def test_what_is_no_stored_plan_is_refused(data: Any) -> None:
    with pytest.raises(ArgumentError, match="not a plan"):
        kg.RepairPlan.from_dict(data)


@pytest.mark.parametrize("call", ALL)
@pytest.mark.parametrize("path", [None, 3, "", ["a.keras"], b"a.keras", object()])
def test_what_is_no_path_is_refused(call: Callable[..., Any], path: object) -> None:
    with pytest.raises(ArgumentError, match="is not a path"):
        call(path)


class _Path:
    """A path whose text is whatever it was given, or an error."""

    def __init__(self, text: object) -> None:
        self.text = text

    def __fspath__(self) -> Any:
        if isinstance(self.text, Exception):
            raise self.text
        return self.text


PLACES = {
    "bytes": _Path(b"a.keras"),
    "number": _Path(3),
    "error": _Path(RuntimeError("no")),
    "null": "a\0.keras",
    "surrogate": "a\ud800.keras",
}


@pytest.mark.parametrize("path", PLACES.values(), ids=PLACES)
def test_what_no_file_is_called_is_no_path(path: Any) -> None:
    calls = (*ALL, kg.verify, kg.inspect, kg.read, kg.record, kg.latest, kg.drift, kg.scan)
    for call in (*calls, lambda place: kg.repair(PATH, place)):
        with pytest.raises(ArgumentError, match="is not a path"):
            call(path)


@pytest.mark.parametrize("call", [*ALL, kg.verify, kg.inspect, kg.read])
def test_a_closed_file_is_refused(call: Callable[..., Any]) -> None:
    file = io.BytesIO(b"x" * 100)
    file.close()
    with pytest.raises(ArgumentError, match="is closed"):
        call(file)


@pytest.mark.parametrize("path", ["/", "x" * 5000])
def test_a_path_that_cannot_be_a_checkpoint_is_told_like_any_other(path: str) -> None:
    for call in (kg.verify, kg.inspect, kg.read, kg.load):
        with pytest.raises(CheckpointError):
            call(path)


def test_a_folder_of_a_name_that_is_too_long_is_none() -> None:
    for call in (kg.latest, kg.drift, kg.scan):
        with pytest.raises(NotADirectoryError, match="no such folder"):
            call("x" * 5000)


def test_inspect_takes_a_file_and_no_arrays() -> None:
    with pytest.raises(ArgumentError, match="is not a path"):
        kg.inspect({"head/kernel": np.zeros((3, 2))})  # type: ignore[arg-type]


def _weights(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.zeros((2, 3), "float32")
    return path


def test_what_scan_skips_may_be_spelt_as_any_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.weights.h5", "b.weights.h5"):
        _weights(tmp_path / name)
    for spelt in ("a.weights.h5", "./a.weights.h5", "a.weights.h5/", Path("a.weights.h5")):
        assert [f.path for f in kg.scan(".", skip=[spelt])] == ["b.weights.h5"]  # type: ignore[list-item]
    for odd in ([3], [b"a.weights.h5"], [""]):
        with pytest.raises(ArgumentError, match="skip="):
            kg.scan(".", skip=odd)  # type: ignore[arg-type]


def test_a_report_names_the_file_that_latest_found(tmp_path: Path) -> None:
    kg.record(_weights(tmp_path / "a.weights.h5"))
    found = kg.latest(tmp_path)
    assert kg.verify(found).path == str(tmp_path / "a.weights.h5")


@pytest.mark.keras
@pytest.mark.parametrize("call", [lambda c: kg.load(PATH, c), kg.replica_differences])
def test_a_class_is_no_model(call: Callable[..., Any]) -> None:
    keras = pytest.importorskip("keras")
    with pytest.raises(ArgumentError, match="is not a Keras model"):
        call(keras.Sequential)


def _model(*names: str, size: int = 3) -> Any:
    keras = pytest.importorskip("keras")
    return keras.Sequential(
        [keras.Input((size,)), *(keras.layers.Dense(size, name=name) for name in names)]
    )


@pytest.mark.keras
def test_a_function_that_fails_at_a_name_is_told_with_it(tmp_path: Path) -> None:
    _model("a").save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ArgumentError, match="raised ZeroDivisionError for"):
        kg.plan(tmp_path / "a.weights.h5", _model("b"), renames=lambda _: str(1 // 0))


@pytest.mark.keras
@pytest.mark.parametrize("skip", [["a"], ["*"], ["a/kernel", "a/bias"]])
def test_skip_leaves_something_of_only(skip: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    _model("a", "b").save(path)
    for call in ALL:
        with pytest.raises(ArgumentError, match="leaves nothing of only"):
            call(path, only=["a"], skip=skip)
    assert kg.restore(path, only=["a"], skip=["a/bias"]).report.ok


@pytest.mark.keras
@pytest.mark.parametrize("name", ["a.keras", "a.weights.h5"])
def test_a_checkpoint_is_not_recorded_with_the_model_of_another(name: str, tmp_path: Path) -> None:
    """Its names would be believed, and each layer get the other's weights."""
    path = tmp_path / name
    model = _model("a", "b")
    (model.save if name == "a.keras" else model.save_weights)(path)
    for other in (_model("b", "a"), _model("c", size=5)):
        with pytest.raises(ModelError, match="saved from another model"):
            kg.record(path, other)
    assert not path.with_name(f"{name}.manifest.json").exists()
    kg.record(path, _model("a", "b"))  # untrained, and its names are the same


@pytest.mark.keras
@pytest.mark.parametrize("name", ["a.keras", "a.weights.h5", "a.h5"])
def test_numbers_in_names_do_not_make_another_model(name: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")

    def made() -> Any:
        layers = [keras.layers.Dense(3), keras.layers.BatchNormalization(), keras.layers.Dense(3)]
        return keras.Sequential([keras.Input((3,)), *layers])

    path, model = tmp_path / name, made()
    (model.save_weights if "weights" in name else model.save)(path)
    made()
    assert kg.record(path, made()).table.tensors


PROBES = {
    "another shape": np.zeros((1, 9), "float32"),
    "no inputs": [],
    "a scalar": np.float32(1),
    "by number": {1: np.zeros((1, 3), "float32")},
    "no numbers": np.full((1, 3), np.nan, "float32"),
    "no examples": np.zeros((0, 3), "float32"),
}


@pytest.mark.keras
@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_inputs_that_the_model_does_not_take_or_that_prove_nothing(
    probe: Any, tmp_path: Path
) -> None:
    path, model = tmp_path / "a.keras", _model("a")
    model.save(path)
    with pytest.raises(ModelError, match=r"does not accept probe=|proves nothing"):
        kg.record(path, model, probe=probe)


@pytest.mark.parametrize("name", ["compile", "probe", "registered", "memory"])
@pytest.mark.parametrize("value", ["layer", 1, None])
def test_a_switch_is_true_or_false(name: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=f"{name}="):
        kg.load(PATH, **{name: value})  # type: ignore[arg-type]


def test_a_model_in_the_place_of_the_path_is_named() -> None:
    class Model:
        layers: tuple[object, ...] = ()
        weights: tuple[object, ...] = ()

    for call in ALL:
        with pytest.raises(ArgumentError, match=r"are swapped: kerasguard.load\(path, model\)"):
            call(Model(), PATH)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [{"dry_run": 1}, {"overwrite": "yes"}, {"repair": "all"}, {"progress": None}, {"progress": ""}],
)
def test_repair_checks_its_own_arguments(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        kg.repair(PATH, "out.keras", **options)
    with pytest.raises(ArgumentError, match="out=None is not a path"):
        kg.repair(PATH, None)  # type: ignore[arg-type]


# Every other public function: call, options, what the error says.
OTHERS: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
    "record path": (kg.record, {"path": 3}, "path=3 is not a path"),
    "record model": (kg.record, {"path": PATH, "model": "x"}, "not a Keras model"),
    "record probe": (kg.record, {"path": PATH, "probe": "layer"}, "did you mean 'layers'"),
    "record probe type": (
        kg.record,
        {"path": PATH, "probe": None},
        "allowed: True, False, 'layers'",
    ),
    "record probe alone": (kg.record, {"path": PATH, "probe": True}, "probe= needs the model"),
    "verify path": (kg.verify, {"path": ["a.keras"]}, "is not a path"),
    "verify sha256": (kg.verify, {"path": PATH, "sha256": "yes"}, "allowed: True, False"),
    "verify statistics": (kg.verify, {"path": PATH, "statistics": 1}, "allowed: True, False"),
    "inspect path": (kg.inspect, {"path": None}, "path=None is not a path"),
    "read path": (kg.read, {"path": None}, "path=None is not a path"),
    "read manifest": (kg.read, {"path": PATH, "manifest": "required"}, "did you mean 'require'"),
    "read optimizer": (kg.read, {"path": PATH, "optimizer": 1}, "allowed: True, False"),
    "average text": (kg.average, {"checkpoints": PATH}, "is not a list"),
    "average one": (kg.average, {"checkpoints": [PATH]}, "two checkpoints or more"),
    "average number": (kg.average, {"checkpoints": [3, PATH]}, "path=3 is not a path"),
    "compare first": (kg.compare, {"first": None, "second": PATH}, "is not a path"),
    "compare second": (kg.compare, {"first": {}, "second": 3}, "path=3 is not a path"),
    "scan folder": (scan, {"folder": None}, "folder=None is not a path"),
    "scan verify": (scan, {"folder": ".", "verify": "no"}, "allowed: True, False"),
    "scan skip": (scan, {"folder": ".", "skip": "a.keras"}, "pass skip="),
    "scan executor": (scan, {"folder": ".", "executor": 4}, "executor=4 is no"),
    "latest folder": (kg.latest, {"folder": 3}, "folder=3 is not a path"),
    "latest unrecorded": (kg.latest, {"folder": ".", "unrecorded": 1}, "allowed: True, False"),
    "patch strict": (kg.patch, {"strict": "yes"}, "allowed: True, False"),
    "patch log_to_mlflow": (kg.patch, {"log_to_mlflow": "always"}, "allowed: True, False, 'auto'"),
    "patch probe": (kg.patch, {"probe": "layer"}, "did you mean 'layers'"),
    "patch probe input": (kg.patch, {"probe": [1.0]}, "allowed: True, False, 'layers'"),
    "patch background": (kg.patch, {"background": "yes"}, "allowed: True, False"),
    "patch sha256": (kg.patch, {"sha256": "no"}, "allowed: True, False"),
    "record sha256": (kg.record, {"path": PATH, "sha256": 0}, "allowed: True, False"),
    "patch observers": (kg.patch, {"observers": "print"}, "observers='print' is not a list"),
    "patch observers one": (kg.patch, {"observers": print}, "pass observers=\\[function\\]"),
    "patch loads": (kg.patch, {"loads": "yes"}, "allowed: True, False"),
    "patched loads": (kg.patched, {"loads": 1}, "allowed: True, False"),
    "patched strict": (kg.patched, {"strict": None}, "allowed: True, False"),
    "patched probe": (kg.patched, {"probe": 1}, "allowed: True, False, 'layers'"),
    "strategy": (
        kg.load,
        {"path": PATH, "strategy": "mirrored"},
        "neither a tf.distribute.Strategy",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_every_public_function_refuses_what_it_does_not_understand(case: str) -> None:
    call, options, message = OTHERS[case]
    with pytest.raises(ArgumentError, match=message):
        call(**options)


CALLBACK: dict[str, tuple[dict[str, Any], str]] = {
    "filepath": ({"filepath": 3}, "filepath=3 is not a path"),
    "filepath empty": ({"filepath": ""}, "filepath='' is not a path"),
    "filepath misspelt": ({"filepath": "a{epoh:02d}.keras"}, "did you mean {epoch}"),
    "filepath unnamed": ({"filepath": "a{}.keras"}, "write {epoch} or a metric"),
    "filepath open": ({"filepath": "a{epoch.keras"}, "write {{ and }} for its own"),
    "filepath form": ({"filepath": "a{epoch:zz}.keras"}, r"write {epoch:02d}"),
    "filepath metric": ({"filepath": "a{val_loss:02d}.keras"}, r"write {val_loss:.4f}"),
    "filepath null": ({"filepath": "a\0.keras"}, "is not a path"),
    "filepath suffix": ({"filepath": "run/a.ckpt"}, "filepath='run/a.ckpt'"),
    "monitor": ({"filepath": "a.keras", "monitor": None}, "monitor=None is not a name"),
    "mode": ({"filepath": "a.keras", "mode": "minimum"}, "allowed: 'auto', 'min', 'max'"),
    "save_best_only": ({"filepath": "a.keras", "save_best_only": "yes"}, "allowed: True, False"),
    "save_freq": (
        {"filepath": "a.keras", "save_freq": "epochs"},
        "allowed: 'epoch' or a whole number",
    ),
    "save_weights_only": ({"filepath": "a.keras", "save_weights_only": 1}, "allowed: True, False"),
    "save_freq true": ({"filepath": "a.keras", "save_freq": True}, "save_freq=True"),
    "save_freq zero": ({"filepath": "a.keras", "save_freq": 0}, "save_freq=0"),
    "verbose": ({"filepath": "a.keras", "verbose": "yes"}, "verbose='yes'"),
    "observers": ({"observers": [3]}, "is not a list of functions"),
    "keep": ({"keep": 0}, "allowed: None or a whole number"),
    "keep word": ({"keep": "all"}, "keep='all'"),
    "log_to_mlflow": ({"log_to_mlflow": "never"}, "allowed: True, False, 'auto'"),
    "background": ({"background": 1}, "background=1"),
    "strict": ({"strict": 1}, "strict=1"),
    "sha256": ({"sha256": None}, "sha256=None"),
    "probe": ({"probe": "layer"}, "did you mean 'layers'"),
    "best of nothing": ({"save_best_only": True}, "has an effect only with filepath="),
    "weights of nothing": ({"save_weights_only": True}, "has an effect only with filepath="),
    "frequency of nothing": ({"save_freq": 100}, "has an effect only with filepath="),
}


@pytest.mark.keras
@pytest.mark.parametrize("case", CALLBACK)
def test_the_callback_refuses_what_it_does_not_understand_or_would_not_obey(case: str) -> None:
    keras = pytest.importorskip("keras")
    options, message = CALLBACK[case]
    with pytest.raises(ArgumentError, match=message):
        # With tf_keras in the process, which writes any suffix, the model decides.
        kg.WeightManifestCallback(**options).set_model(keras.Sequential())


@pytest.mark.keras
def test_every_option_of_every_public_function_is_in_a_table() -> None:
    """Whoever adds an option adds the check of it."""
    pytest.importorskip("keras")
    free = {"path", "out", "progress", "older"}
    checked = {name.split()[0] for name in NOT_UNDERSTOOD} | {
        "strategy",
        "compile",
        "probe",
        "memory",
    }
    for call in (*ALL, kg.repair):
        assert set(inspect.signature(call).parameters) - free - {"dry_run", "overwrite"} <= checked
    for other in (kg.record, kg.verify, kg.patch, kg.latest, scan):
        tested = {option for function, options, _ in OTHERS.values() for option in options}
        assert set(inspect.signature(other).parameters) - free <= tested | {"path"}
    tested = {option for options, _ in CALLBACK.values() for option in options}
    assert set(inspect.signature(kg.WeightManifestCallback).parameters) - free == tested


WITHOUT_KERAS = """
import importlib.util, sys
sys.modules["keras"] = None  # as where it is not installed
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "keras" else found(name, *more)
import kerasguard as kg
from kerasguard.cli import main
path = sys.argv[1]
for call in (
    lambda: kg.load(path), lambda: kg.plan(path), lambda: kg.repair(path, "out.keras"),
    lambda: kg.patch(), lambda: kg.WeightManifestCallback(),
):
    try:
        call()
    except kg.KerasguardError as error:
        print(type(error).__name__, "pip install" in str(error))
print(main(["plan", path]), main(["inspect", path]))
"""


def test_a_missing_keras_is_named_with_what_installs_it(tmp_path: Path) -> None:
    """From every function that needs Keras; what needs none works without it."""
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.zeros((2, 3), "float32")
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_KERAS, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    lines = ran.stdout.splitlines()
    assert lines[:5] == ["MissingPackageError True"] * 5
    assert lines[-1] == "2 0"


BACKENDS = {
    "not installed": ("tensorflow", "MissingPackageError", "pip install 'kerasguard[tensorflow]'"),
    "misspelt": ("tensorflo", "ArgumentError", "allowed: 'tensorflow', 'jax', 'torch'"),
}
WITHOUT_BACKEND = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
import kerasguard as kg
from kerasguard.cli import main
try:
    kg.load(sys.argv[1])
except kg.KerasguardError as error:
    print(type(error).__name__, error)
print(main(["plan", sys.argv[1]]))
"""


@pytest.mark.keras
@pytest.mark.parametrize("case", BACKENDS)
def test_a_backend_that_is_not_there_is_named(case: str, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    backend, kind, message = BACKENDS[case]
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_BACKEND, str(_weights(tmp_path / "a.weights.h5"))],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    first, last = ran.stdout.splitlines()[0], ran.stdout.splitlines()[-1]
    assert first.startswith(kind)
    assert message in first
    assert last == "2"
