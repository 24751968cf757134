"""A model that is built with shortcuts and filled is the model that Keras loads."""

from __future__ import annotations

import gc
import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from keras_zoo import MARKS, ZOO, scrambled, stored  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402
from kerasguard.errors import ArchitectureError  # noqa: E402
from kerasguard.models import fast_build, placeholders  # noqa: E402
from kerasguard.models.assign import Sink  # noqa: E402
from kerasguard.models.build import build  # noqa: E402
from kerasguard.models.live_model import architecture, model_table  # noqa: E402
from kerasguard.models.placeholders import skip_initialisers  # noqa: E402
from kerasguard.models.walk import walk  # noqa: E402

pytestmark = MARKS
layers = keras.layers


def loaded(path: Path, *, shortcuts: bool = True) -> Any:
    """What `guard` does with a `.keras` file, without its checks."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    built = build(config, shortcuts=shortcuts)
    values, assets = stored(path)
    sink = Sink(built.model)
    sink.assign(values, assets)
    assert len(built.skipped) == 0
    return built.model


def inputs_of(model: Any) -> list[Any]:
    """Something to feed the model, of each input's shape and dtype."""
    generator = np.random.default_rng(1)
    found = []
    for tensor in model.inputs:
        shape = tuple(size or 2 for size in tensor.shape)
        if tensor.dtype == "string":
            words = np.array(["cat", "dog", "the cat"])
            found.append(generator.choice(words, shape))
        elif "int" in tensor.dtype:
            found.append(generator.integers(0, 5, shape).astype(tensor.dtype))
        else:
            found.append(generator.random(shape).astype("float32"))
    return [keras.ops.convert_to_tensor(item) for item in found]


def outputs(model: Any) -> list[Any]:
    if getattr(model, "inputs", None) is None:
        return list(keras.tree.flatten(model(np.ones((2, 5), "float32"))))
    fed = inputs_of(model)
    result = keras.tree.flatten(model(fed if len(fed) > 1 else fed[0]))
    return [np.asarray(keras.ops.cast(y, "float32")) for y in result]


def attributes(model: Any) -> dict[str, dict[str, str]]:
    """Names and types of every visited object's attributes."""
    return {
        visit.path: {name: type(value).__name__ for name, value in vars(visit.object).items()}
        for visit in walk(model)
    }


@pytest.mark.parametrize("kind", ZOO)
def test_the_result_is_what_keras_loads(kind: str, tmp_path: Path) -> None:
    scrambled(ZOO[kind]()).save(tmp_path / "a.keras")
    expected = keras.saving.load_model(tmp_path / "a.keras")
    found = loaded(tmp_path / "a.keras")
    assert architecture(found) == architecture(expected)
    assert model_table(found).tensors == model_table(expected).tensors
    pairs = zip(found.variables, expected.variables, strict=True)
    for got, want in pairs:
        assert (got.dtype, got.trainable) == (want.dtype, want.trainable)
        if got.name != "seed_generator_state":
            assert got.path == want.path
            np.testing.assert_array_equal(np.asarray(got), np.asarray(want), err_msg=got.path)
    for got, want in zip(outputs(found), outputs(expected), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("kind", ["adam", "adam_ema", "loss_scale", "sgd_momentum", "nadam"])
def test_the_optimizer_is_what_keras_loads(kind: str, tmp_path: Path) -> None:
    ZOO[kind]().save(tmp_path / "a.keras")
    expected = keras.saving.load_model(tmp_path / "a.keras").optimizer
    found = loaded(tmp_path / "a.keras").optimizer
    assert found.built
    assert found.get_config() == expected.get_config()
    for got, want in zip(found.variables, expected.variables, strict=True):
        assert got.path == want.path or got.name.startswith("variable")
        np.testing.assert_array_equal(np.asarray(got), np.asarray(want), err_msg=got.path)


@pytest.mark.parametrize("kind", ["nested", "subclassed", "recurrent", "attention"])
def test_every_object_has_the_attributes_that_it_has_in_a_stock_model(
    kind: str, tmp_path: Path
) -> None:
    ZOO[kind]().save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        config = json.loads(archive.read("config.json"))
    assert attributes(build(config).model) == attributes(build(config, shortcuts=False).model)


def test_the_same_trackable_children_as_in_a_stock_model(tmp_path: Path) -> None:
    config = architecture(ZOO["convolutional"]())
    assert config is not None

    def children(item: Any, depth: int = 3) -> Any:
        found = item._trackable_children()
        return {name: children(c, depth - 1) if depth else "" for name, c in found.items()}

    assert children(build(config).model) == children(build(config, shortcuts=False).model)


def test_without_shortcuts_nothing_is_skipped() -> None:
    config = architecture(ZOO["sequential"]())
    assert config is not None
    built = build(config, shortcuts=False)
    assert len(built.skipped) == 0
    assert np.asarray(built.model.variables[0]).any()


def test_a_sequential_is_put_together_once_and_as_stock() -> None:
    config = architecture(ZOO["sequential"]())
    assert config is not None
    fast, stock = build(config).model, build(config, shortcuts=False).model
    assert fast.built
    assert fast.input_shape == stock.input_shape == (None, 6)
    assert fast.get_config() == stock.get_config()
    assert fast._build_shapes_dict == stock._build_shapes_dict
    assert len(fast.layers[0]._inbound_nodes) == 1
    fast.pop()
    fast.add(layers.Dense(7))
    assert fast.output_shape == (None, 7)


def test_a_sequential_made_by_a_layer_of_ones_own_is_put_together_as_it_goes() -> None:
    @keras.saving.register_keras_serializable("kerasguard_tests")
    class Head(layers.Layer):  # type: ignore[misc,name-defined]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner = keras.Sequential([keras.Input((3,))])
            self.inner.add(layers.Dense(2))
            assert self.inner.built

        def call(self, x: Any) -> Any:
            return self.inner(x)

    config = architecture(keras.Sequential([keras.Input((3,)), Head(), layers.Dense(1)]))
    assert config is not None
    assert build(config).model.layers[0].inner.built


def test_variables_that_nothing_fills_get_their_initial_value() -> None:
    x = keras.Input((3,))
    y = layers.Dense(4, kernel_initializer=keras.initializers.GlorotUniform(seed=3))(x)
    model = keras.Model(x, layers.Dropout(0.5, seed=7)(layers.BatchNormalization()(y)))
    config = architecture(model)
    assert config is not None
    built = build(config)
    assert not np.asarray(built.model.variables[0]).any()
    built.skipped.fill()
    for got, want in zip(built.model.variables, model.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(got), np.asarray(want))
    assert len(built.skipped) == 0


def test_filled_variables_are_left_alone() -> None:
    with skip_initialisers() as skipped:
        a = keras.Variable(keras.initializers.Ones(), (3,))
        b = keras.Variable(keras.initializers.Ones(), (3,))
    a.assign([5.0, 5.0, 5.0])
    skipped.fill([a])
    assert np.asarray(a).tolist() == [5.0] * 3
    assert np.asarray(b).tolist() == [1.0] * 3


def test_who_reads_a_variable_while_building_sees_its_initial_value() -> None:
    with skip_initialisers() as skipped:
        scale = keras.Variable(keras.initializers.Constant(4.0), (2,))
        cached = 1.0 / scale
        changed = keras.Variable(keras.initializers.Ones(), (2,))
        changed.assign_add([1.0, 1.0])
        given = keras.Variable(keras.initializers.Ones(), (2,))
        given.assign([9.0, 9.0])
    skipped.fill()
    assert np.asarray(cached).tolist() == [0.25, 0.25]
    assert np.asarray(changed).tolist() == [2.0, 2.0]
    assert np.asarray(given).tolist() == [9.0, 9.0]


def test_placeholders_share_memory_that_nobody_changes() -> None:
    with skip_initialisers():
        a = keras.Variable(keras.initializers.Ones(), (1000,))
        b = keras.Variable(keras.initializers.Ones(), (1000,))
    a._value.assign_add(np.ones(1000, "float32"))
    assert np.asarray(a).tolist() == [1.0] * 1000
    assert not np.asarray(b).any()


def test_other_threads_are_not_affected() -> None:
    made: list[Any] = []

    def elsewhere() -> None:
        made.append(keras.Sequential([keras.Input((3,)), layers.Dense(2, bias_initializer="ones")]))

    with skip_initialisers() as skipped, fast_build.less_work():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert len(skipped) == 0
    assert np.asarray(made[0].layers[0].bias).tolist() == [1.0, 1.0]


def test_everything_is_as_before_after_a_build_even_if_it_fails() -> None:
    def state() -> list[Any]:
        sets = [placeholders._patches, *fast_build._PATCHES]
        found: list[Any] = [vars(p.owner).get(p.name) for s in sets for p in s._patches]
        return [*found, gc.isenabled()]

    before = state()
    config = architecture(ZOO["sequential"]())
    assert config is not None
    build(config)
    assert state() == before
    config["config"]["layers"][1]["config"]["units"] = -1
    with pytest.raises(ArchitectureError, match="cannot build Sequential"):
        build(config)
    assert state() == before
    assert placeholders._current() is None


def test_the_architecture_is_left_as_it_was() -> None:
    config = architecture(ZOO["nested"]())
    before = json.dumps(config)
    assert config is not None
    build(config, compile=False)
    assert json.dumps(config) == before


def test_where_keras_looks_otherwise_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = placeholders._owner("_direct_assign")
    monkeypatch.delattr(owner, "_direct_assign")
    with skip_initialisers() as skipped:
        variable = keras.Variable(keras.initializers.Ones(), (2,))
        assert len(skipped) == 0
    monkeypatch.undo()
    assert np.asarray(variable).tolist() == [1.0, 1.0]


def test_a_layer_that_is_dropped_on_the_way_is_not_initialised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(placeholders, "_COLLECT_FROM", 1)
    model = keras.Sequential([keras.Input((4, 3)), layers.Bidirectional(layers.LSTM(2))])
    config = architecture(model)
    assert config is not None
    built = build(config)
    assert len(built.skipped) == len(model.variables)
    ran: list[str] = []
    monkeypatch.setattr(keras.Variable, "assign", lambda self, value: ran.append(self.name))
    sink = Sink(built.model)
    stored = [key for key, r in sink.table.tensors.items() if r.role == "weight"]
    built.skipped.fill(sink.filled_by(stored))
    assert set(ran) == {"seed_generator_state"}


def test_building_an_optimizer_runs_no_initialiser(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ZOO["adam"]()
    config = architecture(model)
    assert config is not None
    ran: list[Any] = []
    glorot = keras.initializers.GlorotUniform.__call__

    def noted(*args: Any, **options: Any) -> Any:
        ran.append(args)
        return glorot(*args, **options)

    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", noted)
    built = build(config)
    assert built.model.optimizer.built
    assert not ran
    built.skipped.fill()
    assert len(ran) == 2


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_the_scale_of_lora_factors_is_what_it_was(name: str, tmp_path: Path) -> None:
    tokens = inputs = keras.Input((3,), dtype="int32")
    for layer in (layers.Embedding(5, 4), layers.Dense(4)):
        tokens = layer(tokens)
        layer.enable_lora(2, lora_alpha=5)
        for factor in (v for v in layer.trainable_variables if "lora" in v.name):
            factor.assign(np.ones(factor.shape))
    model, x = keras.Model(inputs, tokens), np.arange(3)[None]
    with kg.patched():
        model.save(tmp_path / name)
    restored = kg.restore(tmp_path / name)
    assert [f for f in restored.report.findings if f.code == "KG107"] == []
    np.testing.assert_array_equal(restored.model(x), model(x))
