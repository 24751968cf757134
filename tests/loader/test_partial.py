"""Loading a part of a checkpoint into a part of a model: `skip=` and `only=`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard as kg
from kerasguard.errors import ArgumentError, UnrepairableError

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras
FORMATS = (".keras", ".weights.h5", ".h5", "ckpt", "export", ".safetensors")
# Two of them where the others are for the slow run.
SOME = [
    pytest.param(k, marks=() if k in (".keras", ".h5") else (pytest.mark.slow,)) for k in FORMATS
]
Make = Callable[..., Any]


def backbone(**options: Any) -> Any:
    """Convolutions, a normalisation and a pooling, as a model of its own."""
    image = keras.Input((5, 5, 2))
    body = keras.layers.Conv2D(3, 3, name="conv")(image)
    body = keras.layers.BatchNormalization(name="norm")(body)
    if options.get("block"):
        body = keras.layers.Conv2D(3, 1, name="block")(body)
    body = keras.layers.Conv2D(4, 1, name="last")(body)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(body), name="backbone")


def nested(classes: int = 3, **options: Any) -> Any:
    """A backbone in a model, and a head."""
    image = keras.Input((5, 5, 2))
    inner = backbone(**options)(image)
    return keras.Model(image, keras.layers.Dense(classes, name="head")(inner))


def flat(classes: int = 3, head: str = "head", **options: Any) -> Any:
    """The same layers without a model inside."""
    inner = backbone(**options)
    return keras.Model(inner.inputs, keras.layers.Dense(classes, name=head)(inner.outputs[0]))


def filled(model: Any, seed: int) -> Any:
    """The model with values that nobody else has."""
    random = np.random.default_rng(seed)
    for variable in model.variables:
        variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


def saved(model: Any, folder: Path, kind: str) -> Path:
    """The model in a file of the kind."""
    import safetensors.numpy
    import tensorflow as tf

    path = folder / f"m{kind}"
    if kind == "ckpt":
        tf.train.Checkpoint(model=model).write(str(path))
    elif kind == "export":
        model.export(path, verbose=False)
    elif kind == ".safetensors":
        with kg.read(saved(model, folder, ".h5")) as arrays:
            safetensors.numpy.save_file(dict(arrays), path)
    else:
        (model.save_weights if kind == ".weights.h5" else model.save)(path)
    return path


def values(model: Any) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.variables]


def judged(model: Any, before: list[np.ndarray], wanted: Mapping[str, Any]) -> None:
    """Whether what is wanted, by path, is there bit by bit, and everything else as before."""
    for variable, old in zip(model.variables, before, strict=True):
        now = variable.numpy()
        expected = wanted.get(variable.path, old)
        assert now.tobytes() == expected.tobytes(), variable.path


def told(report: Any) -> list[str]:
    """Findings without what concerns places in the file and optimizers of compiled models."""
    return [str(f) for f in report.findings if f.code not in ("KG104", "KG106", "KG108")]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("made", [nested, pytest.param(flat, marks=pytest.mark.slow)])
def test_all_but_the_new_head_is_loaded(made: Make, kind: str, tmp_path: Path) -> None:
    old, new = filled(made(7), 1), filled(made(3), 2)
    path, before = saved(old, tmp_path, kind), values(new)
    report = kg.restore(path, new, skip=["head"]).report
    judged(new, before, {v.path: v.numpy() for v in old.variables if "head" not in v.path})
    assert report.plan is not None
    assert report.plan.skipped == ("head/kernel", "head/bias")
    assert "skipped: head/kernel, head/bias" in str(report)
    assert told(report) == []


@pytest.mark.parametrize("kind", SOME)
def test_a_block_that_is_new_keeps_its_values(kind: str, tmp_path: Path) -> None:
    old, new = filled(nested(7), 1), filled(nested(3, block=True), 2)
    path, before = saved(old, tmp_path, kind), values(new)
    report = kg.restore(path, new, skip=["backbone/block", "head"]).report
    judged(new, before, {v.path: v.numpy() for v in old.variables if "head" not in v.path})
    assert told(report) == []


@pytest.mark.parametrize("kind", SOME)
def test_a_backbone_out_of_the_whole_models_file_and_the_reverse(kind: str, tmp_path: Path) -> None:
    whole, part = filled(nested(7), 1), filled(backbone(), 2)
    options: dict[str, Any] = (
        {"only": ["**"]} if kind == "export" else {}
    )  # which tells of no model inside
    report = kg.restore(saved(whole, tmp_path, kind), part, **options).report
    wanted = {v.path: v.numpy() for v in whole.variables if "head" not in v.path}
    judged(part, values(part), wanted)
    assert told(report) == []
    (tmp_path / "back").mkdir()
    path = saved(filled(part, 3), tmp_path / "back", kind)
    new = filled(nested(4), 4)
    before = values(new)
    report = kg.restore(path, new, only=["backbone/**"]).report
    judged(new, before, {v.path: v.numpy() for v in part.variables})
    assert told(report) == []


def test_a_pattern_without_a_match_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    path, new = saved(nested(7), tmp_path, ".keras"), filled(nested(3), 2)
    before = values(new)
    for option, pattern, message in (
        ("skip", "haed", "skip='haed': .* did you mean 'head'"),
        ("skip", "backbone/nrom", "did you mean 'backbone/norm'"),
        ("only", "backbone/*/weight", "only='backbone/\\*/weight'"),
        ("only", "*/conv/krenel", "it has 'backbone', 'head'"),
    ):
        wrong: dict[str, Any] = {option: ["head", pattern]}
        with pytest.raises(ArgumentError, match=message):
            kg.load(path, new, **wrong)
    judged(new, before, {})


@pytest.mark.parametrize(
    ("options", "loaded"),
    [
        ({"only": ["head/kernel"]}, {"head/kernel"}),
        (
            {"only": ["*/norm"]},
            {"norm/gamma", "norm/beta", "norm/moving_mean", "norm/moving_variance"},
        ),
        ({"only": ["**/bias"]}, {"conv/bias", "last/bias", "head/bias"}),
        ({"only": ["*/bias"]}, {"head/bias"}),
        (
            {"only": ["backbone"], "skip": ["backbone/norm", "backbone/*/bias"]},
            {"conv/kernel", "last/kernel"},
        ),
        ({"only": ["layers/dense"]}, {"head/kernel", "head/bias"}),
        (
            {"skip": ["backbone/**/kernel", "backbone/norm/*"]},
            {"conv/bias", "last/bias", "head/kernel", "head/bias"},
        ),
    ],
)
@pytest.mark.parametrize("kind", [".keras", ".h5"])
def test_patterns_stay_inside_a_level_unless_they_say_otherwise(
    options: dict[str, Any], loaded: set[str], kind: str, tmp_path: Path
) -> None:
    old, new = filled(nested(), 1), filled(nested(), 2)
    path, before = saved(old, tmp_path, kind), values(new)
    kg.load(path, new, **options)
    judged(new, before, {v.path: v.numpy() for v in old.variables if v.path in loaded})


def test_everything_else_is_as_strict_as_ever(tmp_path: Path) -> None:
    old = filled(flat(7), 1)
    path = saved(old, tmp_path, ".keras")
    new = filled(flat(3, block=True), 2)
    before = values(new)
    with pytest.raises(UnrepairableError, match="KG101 block/kernel") as caught:
        kg.load(path, new, skip=["head"])
    assert 'skip=["block"]' in str(caught.value)
    with pytest.raises(UnrepairableError, match=r'to load the rest: skip=\["block", "head"\]'):
        kg.load(path, new)
    judged(new, before, {})
    kg.load(path, new, skip=["block", "head"])
    with kg.patched():
        old.save(path)
    data = bytearray(path.read_bytes())
    data[data.find(old.get_layer("conv").kernel.numpy().tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(UnrepairableError, match="KG302"):
        kg.load(path, filled(flat(3), 2), skip=["head"])


def test_damage_to_what_is_skipped_is_told_and_in_nobodys_way(tmp_path: Path) -> None:
    old = filled(flat(7), 1)
    path = tmp_path / "m.weights.h5"
    with kg.patched():
        old.save_weights(path)
    data = bytearray(path.read_bytes())
    data[data.find(old.get_layer("head").kernel.numpy().tobytes())] ^= 1
    path.write_bytes(data)
    report = kg.restore(path, filled(flat(7), 2), skip=["head"]).report
    assert [(f.code, f.severity.value) for f in report.findings] == [("KG302", "warning")]


def test_a_file_builds_its_model_without_what_is_skipped(tmp_path: Path) -> None:
    old = filled(flat(7), 1)
    path = saved(old, tmp_path, ".keras")
    new = kg.load(path, skip=["head"])
    for ours, theirs in zip(new.variables, old.variables, strict=True):
        same = ours.numpy().tobytes() == theirs.numpy().tobytes()
        assert same != ours.path.startswith("head")
    assert np.abs(new.get_layer("head").kernel.numpy()).max() > 0


def fitted(model: Any, classes: int, **options: Any) -> Any:
    model.compile(keras.optimizers.Adam(0.1, **options), "mse", run_eagerly=True)
    model.fit(np.ones((2, 5, 5, 2)), np.ones((2, classes)), epochs=2, verbose=0)
    return model


def slots(model: Any) -> dict[str, np.ndarray]:
    return {v.path.partition("/")[2]: v.numpy() for v in model.optimizer.variables}


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("kind", SOME[:3])
def test_state_of_what_is_loaded_comes_along_and_of_what_is_skipped_stays(
    kind: str, recorded: bool, tmp_path: Path
) -> None:
    old, new = fitted(filled(flat(7), 1), 7), fitted(filled(flat(3), 2), 3)
    path = saved(old, tmp_path, kind)
    if recorded:
        kg.record(path, old)
    before = slots(new)
    report = kg.restore(path, new, skip=["head"]).report
    assert report.optimizer == "restored"
    assert not [f for f in report.findings if f.code == "KG108"]
    theirs, ours = slots(old), slots(new)
    for name, value in ours.items():
        source = before if "head" in name else theirs
        if name != "learning_rate":
            assert value.tobytes() == source[name].tobytes(), name
    new.fit(np.ones((2, 5, 5, 2)), np.ones((2, 3)), verbose=0)


class Tied(keras.layers.Layer):  # type: ignore[misc,name-defined]
    """A layer with a bias of its own that uses another's kernel."""

    def __init__(self, source: Any, **options: Any) -> None:
        super().__init__(**options)
        self.source_kernel = source.kernel
        self.units = source.units
        self.bias = self.add_weight(shape=(source.kernel.shape[0],), name="bias")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}

    def call(self, x: Any) -> Any:
        return keras.ops.matmul(x, keras.ops.transpose(self.source_kernel)) + self.bias


def autoencoder() -> Any:
    inputs = keras.Input((6,))
    encoder = keras.layers.Dense(3, name="encoder")
    hidden = encoder(inputs)
    return keras.Model(inputs, Tied(encoder, name="decoder")(hidden))


def test_a_variable_under_two_layers_is_one(tmp_path: Path) -> None:
    old = filled(autoencoder(), 1)
    path = saved(old, tmp_path, ".weights.h5")
    new = filled(autoencoder(), 2)
    before = values(new)
    with pytest.raises(ArgumentError, match="is the same variable as encoder/kernel"):
        kg.load(path, new, skip=["decoder"])
    judged(new, before, {})
    kg.load(path, new, skip=["decoder/bias"])
    for ours, theirs, mine in zip(new.variables, old.variables, before, strict=True):
        source = mine if ours.path.startswith("decoder/bias") else theirs.numpy()
        assert ours.numpy().tobytes() == source.tobytes(), ours.path
    new = filled(autoencoder(), 2)
    kg.load(path, new, only=["decoder"])
    assert new.get_layer("encoder").kernel.numpy().tobytes() == (
        old.get_layer("encoder").kernel.numpy().tobytes()
    )


def test_a_probe_is_not_asked_of_a_model_that_keeps_a_part(tmp_path: Path) -> None:
    with kg.patched(probe=True):
        filled(flat(3), 1).save(tmp_path / "m.keras")
    report = kg.restore(tmp_path / "m.keras", filled(flat(3), 2), skip=["head"]).report
    assert "kept its own values (head/kernel, head/bias)" in str(report)
    assert report.ok


def test_a_plan_tells_what_is_skipped_and_is_stored_with_it(tmp_path: Path) -> None:
    path = saved(filled(flat(7), 1), tmp_path, ".keras")
    plan = kg.plan(path, flat(3), skip=["head"])
    assert plan.total
    assert plan.skipped == ("head/kernel", "head/bias")
    assert "2 of the model's tensors skipped" in plan.summary
    assert kg.RepairPlan.from_dict(plan.to_dict()) == plan
    assert {"layers/dense/vars/0", "layers/dense/vars/1"} <= set(plan.unused)


def test_vocabularies_of_what_is_skipped_stay(tmp_path: Path) -> None:
    def model(words: list[str]) -> Any:
        inputs = keras.Input((), dtype="string")
        found = keras.layers.StringLookup(vocabulary=words, name="words")(inputs)
        return keras.Model(inputs, keras.layers.Embedding(9, 2, name="vectors")(found))

    old = filled(model(["a", "b"]), 1)
    with kg.patched():
        old.save_weights(tmp_path / "m.weights.h5")  # the vocabulary is kept beside it
    new = filled(model(["c", "d"]), 2)
    kg.load(tmp_path / "m.weights.h5", new, skip=["words"])
    assert new.get_layer("words").get_vocabulary() == ["[UNK]", "c", "d"]
    kg.load(tmp_path / "m.weights.h5", new, only=["words"])
    assert new.get_layer("words").get_vocabulary() == ["[UNK]", "a", "b"]


def test_a_graph_that_runs_as_it_is_has_no_parts(tmp_path: Path) -> None:
    path = saved(flat(), tmp_path, "export")
    with pytest.raises(ArgumentError, match="need a model of layers"):
        kg.load(path, allow="graph", skip=["head"])


def _tower(*, head: bool) -> Any:
    """Layers whose keys are in another order than they, one with a name that Keras makes up."""
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3, name="stem")(keras.layers.Normalization()(inputs))
    x = keras.layers.Conv2D(4, 1, name="last")(keras.layers.DepthwiseConv2D(3, name="depthwise")(x))
    if head:
        x = keras.layers.Dense(3, name="head")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.h5"])
def test_the_beginning_of_a_model_out_of_the_whole_without_a_word(
    tmp_path: Path, name: str, recorded: bool
) -> None:
    old, new = _tower(head=True), _tower(head=False)
    old.set_weights([np.full(w.shape, i, "float32") for i, w in enumerate(old.weights)])
    path = tmp_path / name
    with kg.patched() if recorded else contextlib.nullcontext():
        (old.save_weights if "weights" in name else old.save)(path)
    report = kg.restore(path, new, only=["**"]).report
    assert not report.findings
    assert [w.numpy().tobytes() for w in new.weights] == [
        w.numpy().tobytes() for w in old.weights[: len(new.weights)]
    ]


def _application(name: str, **options: Any) -> Any:
    size = 75 if name == "Xception" else 64
    return getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "DenseNet121", "EfficientNetB0"])
def test_backbones_of_applications_out_of_the_whole_and_back(tmp_path: Path, name: str) -> None:
    whole, backbone = _application(name, classes=7), _application(name, include_top=False)
    count = len(backbone.weights)
    for kind, recorded in (("keras", False), ("weights.h5", True), ("h5", False)):
        folder = tmp_path / f"{kind}-{recorded}"
        folder.mkdir()
        with kg.patched() if recorded else contextlib.nullcontext():
            for model, file in ((whole, "whole"), (backbone, "backbone")):
                save = model.save_weights if kind == "weights.h5" else model.save
                save(folder / f"{file}.{kind}")
        out, into = _application(name, include_top=False), _application(name, classes=7)
        beside = [a.name for a in into.layers if a.weights][len(_weighted(backbone)) :]
        reports = [kg.restore(folder / f"whole.{kind}", out, only=["**"]).report]
        for got, given in zip(out.weights, whole.weights[:count], strict=True):
            assert got.numpy().tobytes() == given.numpy().tobytes()
        reports += [kg.restore(folder / f"backbone.{kind}", into, skip=beside).report]
        for got, given in zip(into.weights[:count], backbone.weights, strict=True):
            assert got.numpy().tobytes() == given.numpy().tobytes()
        assert {f.code for report in reports for f in report.findings} <= {"KG106"}


def _weighted(model: Any) -> list[Any]:
    return [layer for layer in model.layers if layer.weights]
