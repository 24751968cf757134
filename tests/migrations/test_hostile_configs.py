"""Whatever a config names, wherever it names it: refused before Keras is called."""

from __future__ import annotations

import copy
import itertools
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import kerasguard as kg
from kerasguard.blueprint.allowlist import hostile, is_part
from kerasguard.blueprint.references import doubts
from kerasguard.errors import ArchitectureError
from kerasguard.manifest.schema import digest
from kerasguard.migrations import drawn, migrate, run
from kerasguard.planning.findings import Severity
from kerasguard.storage import sidecar

WRITER = {"keras": "3.15.1", "config": "keras3"}


def of(module: str | None, class_name: str, config: Any = None, registered: Any = None) -> Any:
    return {
        "module": module,
        "class_name": class_name,
        "config": {} if config is None else config,
        "registered_name": registered or class_name,
    }


def function(module: str, name: str) -> Any:
    return of(module, "function", name, "function")


CODE = {"class_name": "__lambda__", "config": {"code": "4wEAAA==", "defaults": None}}
PAYLOADS: dict[str, tuple[str, Any]] = {
    "bytecode": ("bytecode", CODE),
    "bytecode in a list": ("bytecode", [{"deep": [CODE]}]),
    "exec as a class": ("hostile", of("builtins", "exec")),
    "exec as a class without a module": ("hostile", of(None, "exec")),
    "eval as a function": ("hostile", function("builtins", "eval")),
    "import": ("hostile", function("builtins", "__import__")),
    "os.system": ("hostile", function("os", "system")),
    "os.system by a registered name": ("hostile", of("keras.layers", "Dense", {}, "os.system")),
    "posix.system": ("hostile", function("posix", "system")),
    "subprocess.Popen": ("hostile", of("subprocess", "Popen", {"args": ["true"]})),
    "importlib": ("hostile", function("importlib", "import_module")),
    "ctypes": ("hostile", of("ctypes", "CDLL")),
    "socket": ("hostile", of("socket", "socket")),
    "pickle": ("hostile", function("pickle", "loads")),
    "dotted class": ("hostile", of(None, "os.system")),
    "a package": ("class", of("keras_cv.layers", "Thing")),
    "a package like Keras": ("class", of("kerasx", "Thing")),
    "a package's function": ("function", function("keras_hub.utils", "thing")),
    "TFSMLayer": ("program", of("keras.layers", "TFSMLayer", {"filepath": "/tmp/x"})),
    "TorchModuleWrapper": ("program", of("keras.layers", "TorchModuleWrapper")),
    "KerasFileEditor": ("class", of("keras.saving", "KerasFileEditor", {"filepath": "/etc/x"})),
    "H5IOStore": ("class", of("keras.src.saving.saving_lib", "H5IOStore")),
    "CSVLogger": ("class", of("keras.callbacks", "CSVLogger", {"filename": "x"})),
    "ImageDataGenerator": ("class", of("keras._legacy.preprocessing.image", "Iterator")),
    "ExportArchive": ("class", of("keras.export", "ExportArchive")),
    "exec in letters that Python reads as exec": ("hostile", of("builtins", "\uff45xec")),
    "import in a module of functions": ("hostile", function("keras.src.ops.numpy", "__import__")),
    "a registered name of builtins": ("hostile", of("keras.layers", "Dense", {}, "builtins>exec")),
    "a test of Keras": ("class", of("keras.src.layers.core.dense_test", "DenseTest")),
    "a test's function": ("function", function("keras.src.ops.numpy_test", "np")),
    "a name with a Cyrillic letter": ("class", of("keras.layers", "D\u0435nse")),
    "a module with a line break": ("class", of("keras.layers\n", "Dense")),
    "a module of kerasguard": ("class", of("kerasguard.mlflow", "Outbox")),
    "a function that fetches weights": ("class", of("keras.applications", "MobileNetV2")),
    "the same, private": ("class", of("keras.src.applications.vgg16", "VGG16")),
    "Input": ("class", of("keras.layers", "Input", {"shape": [2]})),
    "Tracker": ("class", of("keras.src.layers.layer", "Tracker")),
    "keras_export": ("function", function("keras.src.activations.activations", "keras_export")),
    "a function as a class": ("class", of("keras.layers", "deserialize")),
    "a loss function as a class": ("class", of("keras.losses", "mean_squared_error")),
    "get_file": ("function", function("keras.utils", "get_file")),
    "load_model": ("function", function("keras.saving", "load_model")),
    "load_model, private": ("function", function("keras.src.saving.saving_api", "load_model")),
    "unsafe": ("function", function("keras.config", "enable_unsafe_deserialization")),
    "set_floatx": ("function", function("keras.config", "set_floatx")),
    "plot": ("function", function("keras.visualization", "plot_image_gallery")),
    "losses.get": ("function", function("keras.losses", "get")),
    "typespec": (
        "class",
        {"class_name": "__typespec__", "config": {"module": "x", "spec_name": "Y"}},
    ),
    "unknown value": ("class", of(None, "__reduce__")),
    "another registered name": ("class", of("keras.layers", "Dense", {}, "thing>Evil")),
}
for layer in ("StringLookup", "IntegerLookup", "TextVectorization"):
    for text in ("/etc/passwd", "words.txt", "https://127.0.0.1/x", "gs://bucket/x"):
        payload = of("keras.layers", layer, {"name": "look", "vocabulary": text})
        PAYLOADS[f"{layer} {text}"] = ("path", payload)


def dense(**config: Any) -> Any:
    return of("keras.layers", "Dense", {"name": "d", "units": 2, **config})


def model(*layers: Any, **more: Any) -> Any:
    return {**of("keras", "Sequential", {"name": "s", "layers": list(layers)}), **more}


def nested(payload: Any, depth: int) -> Any:
    for _ in range(depth):
        payload = model(payload)
    return payload


PLACES: dict[str, Any] = {
    "layer": lambda p: model(p),
    "nested": lambda p: model(nested(p, 5)),
    "wrapped": lambda p: model(of("keras.layers", "TimeDistributed", {"name": "t", "layer": p})),
    "activation": lambda p: model(dense(activation=p)),
    "initializer": lambda p: model(dense(kernel_initializer=p)),
    "dtype": lambda p: model(dense(dtype=p)),
    "an entry that nobody reads": lambda p: model(dense(note={"deep": [1, {"deeper": p}]})),
    "loss": lambda p: model(dense(), compile_config={"loss": p}),
    "metrics": lambda p: model(dense(), compile_config={"optimizer": "adam", "metrics": [[p]]}),
    "build config": lambda p: model({**dense(), "build_config": {"input_shape": [p]}}),
}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_a_config_names_is_refused_wherever_it_names_it(payload: str) -> None:
    reason, content = PAYLOADS[payload]
    for place, build in PLACES.items():
        architecture = build(content)
        found = {doubt.reason for doubt in doubts(architecture)}
        assert reason in found, place
        try:
            _, findings = migrate(architecture, WRITER)
        except ArchitectureError:
            continue
        errors = [f.message for f in findings if f.severity is Severity.ERROR]
        assert errors, place
        if reason == "hostile":
            assert not any("custom_objects" in message for message in errors), errors
            assert any("hostile" in message for message in errors)


def test_the_same_is_said_once_of_a_layer() -> None:
    payload = PAYLOADS["a package"][1]
    config = model(dense(first=payload, more=[payload] * 2))
    assert len(set(doubts(config))) == 1
    _, findings = migrate(config, WRITER)
    codes = [f.code for f in findings if f.severity is Severity.ERROR]
    assert codes.count("KG431") == 1, findings


@pytest.mark.parametrize("told", [{}, {"function_type": "function"}, {"function_type": "lambda"}])
def test_a_function_in_parts_is_bytecode_whatever_kind_it_says_it_is(told: dict[str, str]) -> None:
    code = {"name": "cut", "function": ["4wEAAA==", None, None], **told}
    config = {"class_name": "Sequential", "config": [{"class_name": "Lambda", "config": code}]}
    assert {(doubt.reason, doubt.owner) for doubt in doubts(config)} == {("bytecode", "cut")}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_calling_itself_what_the_caller_supplies_lets_nothing_through(payload: str) -> None:
    """What Keras would not find under the caller's name is judged as if nobody supplied it."""
    reason, content = PAYLOADS[payload]
    known = frozenset({"MyLayer", "zoo>Scale"})
    for name in known:
        posing = copy.deepcopy(content)
        item = posing[0]["deep"][0] if isinstance(posing, list) else posing
        item["registered_name"] = name
        for place, build in PLACES.items():
            architecture, findings = migrate(build(posing), WRITER, known=known)
            errors = [f for f in findings if f.severity is Severity.ERROR]
            posed = "registered name" in payload
            spelled = item["class_name"].startswith("__") or item["class_name"] == "function"
            if spelled or (reason == "hostile" and not posed):
                assert errors, (name, place)
            elif not errors:  # then it is the caller's class, on every Keras
                assert f'"registered_name": "{name}"' in json.dumps(architecture), place


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (of("zoo.layers", "Scale", {}, "zoo>Scale"), {"module": None, "registered_name": "Scale"}),
        (of("evil", "Scale", {}, "evil>Scale"), {"module": None, "registered_name": "Scale"}),
        (function("zoo", "zoo>swish2"), {"module": None, "config": "swish2"}),
    ],
)
def test_what_the_caller_supplies_is_found_without_the_module_that_a_file_names(
    told: Any, named: dict[str, Any]
) -> None:
    known = frozenset({"Scale", "swish2"})
    architecture, findings = migrate(model(dense(note=told)), WRITER, known=known)
    assert not [f for f in findings if f.severity is Severity.ERROR]
    found = architecture["config"]["layers"][0]["config"]["note"]
    assert named.items() <= found.items()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_an_older_file_compiles_with_is_judged_too(payload: str) -> None:
    reason, content = PAYLOADS[payload]
    for training in (
        {"loss": content, "metrics": []},
        {"loss": "mse", "metrics": [[content]]},
        {"optimizer_config": {"module": "keras.optimizers", "class_name": "Adam",
                              "config": {"learning_rate": content}}},
    ):  # fmt: skip
        config = {"layers": [{"class_name": "Dense", "config": {"name": "d", "units": 2}}]}
        older = {"class_name": "Sequential", "config": config, "training_config": training}
        blueprint = drawn(older, {"keras": "2.4.0"})
        try:
            run(blueprint)
        except ArchitectureError:
            continue
        refused = [f for f in blueprint.findings if f.severity is Severity.ERROR]
        assert refused or not set(doubts(blueprint.compile_arguments)), training
        if reason in ("hostile", "bytecode", "program", "path") and blueprint.compile_arguments:
            assert refused or content not in training.values(), training


@pytest.mark.keras
@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_a_manifest_says_of_the_optimizer_is_judged_too(
    monkeypatch: pytest.MonkeyPatch, payload: str
) -> None:
    from kerasguard.models import optimizer_configs

    def called(*_: object, **__: object) -> None:
        raise AssertionError("Keras was called")

    monkeypatch.setattr(optimizer_configs, "deserialize", called)
    content = PAYLOADS[payload][1]
    adam = of("keras.optimizers", "Adam", {"learning_rate": content})
    for config in (content, adam, {**adam, "config": {"note": [content]}}):
        if isinstance(config, dict):
            assert optimizer_configs._made(config, {"MyLayer": object}) is None


@pytest.mark.keras
def test_what_is_only_registered_can_be_left_out(tmp_path: Path) -> None:
    import keras
    from keras.src.saving import object_registration

    @keras.saving.register_keras_serializable("zoo")
    class Scale(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x

    @keras.saving.register_keras_serializable("")  # type: ignore[untyped-decorator]
    def shout(x: Any) -> Any:
        return x

    try:
        net = keras.Sequential([keras.Input((2,)), Scale(name="s"), keras.layers.Dense(1)])
        net.save(tmp_path / "m.keras")
        assert isinstance(kg.load(tmp_path / "m.keras").layers[0], Scale)
        with pytest.raises(ArchitectureError, match=r"zoo>Scale is registered.*supply it"):
            kg.load(tmp_path / "m.keras", registered=False)
        for objects in ({"Scale": Scale}, {"zoo>Scale": Scale}):
            again = kg.load(tmp_path / "m.keras", registered=False, custom_objects=objects)
            assert isinstance(again.layers[0], Scale)
        with keras.saving.custom_object_scope({"Scale": Scale}):
            assert kg.load(tmp_path / "m.keras", registered=False)
        path = archive(tmp_path / "f.keras", model(dense(activation=function("builtins", "shout"))))
        with pytest.raises(ArchitectureError, match=r"custom_objects=.*shout"):
            kg.load(path)
        path = archive(tmp_path / "g.keras", model(of("zoo", "Words", WORDS, "zoo>Words")))
        keras.saving.register_keras_serializable("zoo", "Words")(keras.layers.StringLookup)
        with pytest.raises(ArchitectureError, match="where a list belongs"):
            kg.load(path)
    finally:
        for name in ("zoo>Scale", "shout", "zoo>Words"):
            keras.saving.get_custom_objects().pop(name, None)
        # Else Keras would write its own class under that name for as long as the process lives.
        object_registration.GLOBAL_CUSTOM_NAMES.pop(keras.layers.StringLookup, None)


WORDS = {"name": "w", "vocabulary": "words.txt"}


def test_a_scan_looks_at_the_optimizer_that_a_manifest_tells_of(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.keras", model(dense()))
    kg.record(path)
    place = sidecar.sidecar_path(path)
    told = json.loads(place.read_text())
    told["optimizer"] = {"config": PAYLOADS["os.system"][1]}
    told["digest"] = digest({k: v for k, v in told.items() if k != "digest"})
    place.write_text(json.dumps(told))
    assert [found.state for found in kg.scan(tmp_path)] == ["hostile"]


def test_there_are_enough_of_them() -> None:
    assert len(PAYLOADS) * len(PLACES) >= 250


@pytest.mark.keras
@pytest.mark.parametrize(
    ("payload", "place"),
    list(
        itertools.product(
            (
                "bytecode",
                "exec as a class",
                "KerasFileEditor",
                "StringLookup words.txt",
                "set_floatx",
            ),
            ("layer", "an entry that nobody reads", "loss"),
        )
    ),
)
def test_keras_is_not_called_for_a_file_that_names_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, payload: str, place: str
) -> None:
    import keras

    path = archive(tmp_path / "m.keras", PLACES[place](PAYLOADS[payload][1]))

    def called(*_: object, **__: object) -> None:
        raise AssertionError("Keras was called")

    monkeypatch.setattr(keras.saving, "deserialize_keras_object", called)
    with pytest.raises(ArchitectureError, match=r"cannot be built|malformed"):
        kg.load(path)


def archive(path: Path, config: Any) -> Path:
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        target.writestr("config.json", json.dumps(config))
        target.writestr("model.weights.h5", weights())
    return path


def test_a_scan_flags_every_one_of_them_without_a_framework(tmp_path: Path) -> None:
    expected = {}
    for number, (reason, payload) in enumerate(PAYLOADS.values()):
        for place in ("layer", "an entry that nobody reads", "loss"):
            path = archive(tmp_path / f"{number} {place}.keras", PLACES[place](payload))
            expected[str(path)] = reason
    archive(tmp_path / "fine.keras", model(dense(activation="relu")))
    code = (
        "import json, sys; from kerasguard.checkpoints.scan import scan;"
        "print(json.dumps([found.to_dict() for found in scan(sys.argv[1])]));"
        "assert not {'tensorflow', 'keras', 'torch', 'jax'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    for found in json.loads(done.stdout):
        reason = expected.pop(found["path"], "")
        if reason == "hostile":
            assert found["state"] == "hostile", found
        elif reason in ("bytecode", "program", "path"):
            assert found["state"] == "refused", found
        else:
            assert found["state"] in ("unrecorded", "refused" if reason else ""), found
            assert bool(found.get("needs")) == bool(reason), found
    assert not expected


def test_what_a_scan_found_is_its_exit_code(tmp_path: Path) -> None:
    from kerasguard.cli.program import main

    archive(tmp_path / "m.keras", model(PAYLOADS["a package"][1]))
    assert main(["scan", str(tmp_path)]) == 0
    archive(tmp_path / "n.keras", model(PAYLOADS["os.system"][1]))
    assert main(["scan", str(tmp_path)]) == 6


def weights() -> bytes:
    import io

    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_group("layers/dense/vars")["0"] = [1.0]
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["relu", "Dense", "code_head", "MyIO", "system_loss", "os2"])
def test_a_name_that_only_looks_like_one_is_not_called_hostile(name: str) -> None:
    assert not hostile(name)
    assert not hostile(name, "mypackage.os")


@pytest.mark.keras
def test_every_public_function_of_keras_that_computes_nothing_is_refused() -> None:
    import inspect

    from keras.src.api_export import REGISTERED_NAMES_TO_OBJS

    kinds = ("activations", "constraints", "initializers", "losses", "metrics", "ops", "random")
    for path, found in REGISTERED_NAMES_TO_OBJS.items():
        module, _, name = path.rpartition(".")
        if not inspect.isfunction(found) or module.split(".")[1:2][:1] in [[k] for k in kinds]:
            continue
        if module.startswith("keras.regularizers"):
            continue
        assert list(doubts(function(module, name))), path


@pytest.mark.keras
def test_every_layer_of_keras_passes() -> None:
    import inspect

    import keras
    from keras.src.api_export import REGISTERED_NAMES_TO_OBJS

    parts = (
        keras.Layer, keras.losses.Loss, keras.metrics.Metric, keras.optimizers.Optimizer,
        keras.initializers.Initializer, keras.constraints.Constraint, keras.DTypePolicy,
        keras.regularizers.Regularizer, keras.quantizers.Quantizer,
        keras.optimizers.schedules.LearningRateSchedule,
    )  # fmt: skip
    refused = ("TFSMLayer", "TorchModuleWrapper", "DistillationLoss", "Distiller")
    for path, found in REGISTERED_NAMES_TO_OBJS.items():
        module, _, name = path.rpartition(".")
        if inspect.isclass(found) and issubclass(found, parts):
            if name in refused or module.startswith(("keras._legacy", "keras.distillation")):
                continue
            assert not list(doubts(of(module, name))), path
            if ".utils." not in found.__module__:  # Keras writes the public place of those
                assert not list(doubts(of(found.__module__, name))), found.__module__


@pytest.mark.keras
def test_nothing_that_keras_has_loaded_passes_and_is_no_part() -> None:
    """Whatever else its modules of parts hold: other functions, constants, what they import."""
    import inspect
    import sys

    import keras

    parts = (
        keras.Operation, keras.losses.Loss, keras.metrics.Metric, keras.optimizers.Optimizer,
        keras.initializers.Initializer, keras.constraints.Constraint, keras.DTypePolicy,
        keras.regularizers.Regularizer, keras.quantizers.Quantizer,
        keras.optimizers.schedules.LearningRateSchedule,
    )  # fmt: skip
    passing = set()
    for module, content in list(sys.modules.items()):
        if not module.startswith("keras.") or content is None:
            continue
        for name, found in list(vars(content).items()):
            if inspect.isclass(found) and issubclass(found, parts):
                continue
            own = getattr(found, "__module__", "").startswith("keras.")
            if inspect.isfunction(found):  # under a class's name
                wrong = is_part(module, name, function=False)
            elif inspect.isclass(found):
                wrong = is_part(module, name, function=True) or (
                    not own and is_part(module, name, function=False)
                )
            else:
                wrong = inspect.ismodule(found) and is_part(module, name, function=False)
            if wrong:
                passing.add(f"{module}.{name}")
    assert not passing


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/b", "..", "a\0b"])
def test_a_companion_that_lies_elsewhere_is_refused_with_the_name_of_the_file(
    tmp_path: Path, name: str
) -> None:
    path = archive(tmp_path / "m.keras", model(dense()))
    kg.record(path)
    place = sidecar.sidecar_path(path)
    told = json.loads(place.read_text())
    told["companion"] = {**told["files"][0], "name": name}
    told["digest"] = digest({k: v for k, v in told.items() if k != "digest"})
    place.write_text(json.dumps(told))
    with pytest.raises(kg.KerasguardError, match=r"m\.keras"):
        kg.verify(path)


@pytest.mark.keras
def test_what_keras_says_while_it_builds_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.keras", model(dense(activation="no such thing")))
    with pytest.raises(ArchitectureError, match=r"m\.keras.*cannot build"):
        kg.load(path)
