"""Assigning is complete or has not happened, and takes no copy where none is needed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
from keras_zoo import MARKS, ZOO, aligned, scrambled, stored  # noqa: E402  needs keras

from kerasguard.errors import RestoreError  # noqa: E402
from kerasguard.models import variables as keras_variables  # noqa: E402
from kerasguard.models.assign import Sink  # noqa: E402
from kerasguard.models.kerases import backends  # noqa: E402
from kerasguard.models.proof import replica_differences  # noqa: E402

pytestmark = MARKS
layers = keras.layers


def everything(model: Any) -> list[Any]:
    """All values that a model holds, optimizer included."""
    optimizer = getattr(model, "optimizer", None)
    variables = (*model.variables, *(optimizer.variables if optimizer else ()))
    return [np.asarray(variable).copy() for variable in variables]


def same(a: list[Any], b: list[Any]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("kind", sorted(set(ZOO) - {"preprocessing"}))
def test_a_model_gets_what_the_file_holds(kind: str, tmp_path: Path) -> None:
    source = scrambled(ZOO[kind](), seed=1)
    source.save(tmp_path / "a.keras")
    values, assets = stored(tmp_path / "a.keras")
    target = scrambled(ZOO[kind](), seed=2)
    Sink(target).assign(values, assets)
    again = tmp_path / "b.keras"
    target.save(again)
    for key, value in stored(again)[0].items():
        np.testing.assert_array_equal(value, values[key], err_msg=key)


def test_a_tensor_that_is_not_given_keeps_its_value() -> None:
    model = ZOO["sequential"]()
    before = everything(model)
    Sink(model).assign({"layers/dense/vars/1": np.full(5, 3, "float32")})
    after = everything(model)
    assert after[1].tolist() == [3.0] * 5
    assert same([before[0], *before[2:]], [after[0], *after[2:]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layers/nobody/vars/0": np.zeros(3, "float32")}, "layers/nobody/vars/0.*no such tensor"),
        ({"layers/dense/vars/1": np.zeros(4, "float32")}, r"hidden/bias.*float32\[4\].*\[5\]"),
        ({"layers/dense/vars/1": np.zeros(5, "float64")}, r"hidden/bias.*float64\[5\]"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_assigned(
    values: Mapping[str, Any], message: str
) -> None:
    model = ZOO["sequential"]()
    before = everything(model)
    with pytest.raises(RestoreError, match=message):
        Sink(model).assign({"layers/dense/vars/0": np.zeros((6, 5), "float32"), **values})
    assert same(before, everything(model))


@pytest.mark.parametrize("kind", ["adam", "nested", "subclassed", "mixed"])
def test_a_failure_half_way_leaves_the_model_as_it_was(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = scrambled(ZOO[kind]())
    before = everything(model)
    sink = Sink(model)
    values = {k: aligned(np.zeros(r.spec.shape, _kind(r))) for k, r in sink.table.tensors.items()}
    last = list(sink.places.values())[-1]
    write = keras_variables.write

    def failing(variable: Any, array: Any, way: Any) -> None:
        if variable is last.variable:
            raise OSError("disk on fire")
        write(variable, array, way)

    monkeypatch.setattr(keras_variables, "write", failing)
    with pytest.raises(RestoreError, match=r"could not be assigned.*disk on fire") as caught:
        sink.assign(values)
    assert last.record.name in str(caught.value)
    assert same(before, everything(model))


def _kind(record: Any) -> Any:
    from kerasguard.tensors.elements import numpy_dtype

    return numpy_dtype(record.spec.dtype)


def test_a_layer_that_fails_to_load_itself_leaves_everything_as_it_was() -> None:
    class Fragile(layers.Layer):  # type: ignore[misc,name-defined]
        def build(self, shape: tuple[int, ...]) -> None:
            self.w = self.add_weight(shape=(2,), name="w", initializer="ones")
            self.notes = ["old"]
            self.mode = "old"

        def call(self, x: Any) -> Any:
            return x

        def load_own_variables(self, store: Mapping[str, Any]) -> None:
            self.w.assign(store["0"])
            self.notes.append("new")
            self.mode = "new"
            raise ValueError("out of luck")

    model = keras.Sequential([keras.Input((2,)), layers.Dense(2), Fragile(name="fragile")])
    fragile, before = model.layers[1], everything(model)
    tensors = Sink(model).table.tensors
    values = {key: np.zeros(record.spec.shape, "float32") for key, record in tensors.items()}
    with pytest.raises(RestoreError, match=r"fragile: load_own_variables.*out of luck"):
        Sink(model).assign(values)
    assert same(before, everything(model))
    assert (fragile.mode, list(fragile.notes)) == ("old", ["old"])


def test_a_layer_that_loads_itself_gets_what_keras_would_give_it() -> None:
    seen: dict[str, Any] = {}

    class Curious(layers.Layer):  # type: ignore[misc,name-defined]
        def build(self, shape: tuple[int, ...]) -> None:
            self.a = self.add_weight(shape=(2,), name="a")
            self.b = self.add_weight(shape=(3,), name="b")

        def call(self, x: Any) -> Any:
            return x

        def load_own_variables(self, store: Mapping[str, Any]) -> None:
            seen.update({key: store[key] for key in store.keys()})  # noqa: SIM118  as layers do
            assert len(store) == 2
            assert "1" in store
            store["0"][:] = -1

    model = keras.Sequential([keras.Input((2,)), Curious()])
    given = np.ones(2, "float32")
    b = np.asarray(model.layers[0].b)
    Sink(model).assign({"layers/curious/vars/0": given})
    assert list(seen) == ["0", "1"]
    assert given.tolist() == [1.0, 1.0]  # it may do as it likes with its copy
    np.testing.assert_array_equal(seen["1"], b)


@pytest.mark.parametrize("nested", [False, True])
def test_a_normalisation_uses_what_it_was_given(nested: bool) -> None:
    def make(data: Any) -> Any:
        norm = layers.Normalization()
        norm.adapt(data)
        inner = keras.Sequential([keras.Input((2,)), norm])
        return keras.Sequential([keras.Input((2,)), inner]) if nested else inner

    source, target = make(np.arange(8.0).reshape(4, 2)), make(np.ones((4, 2)))
    x = np.ones((1, 2), "float32")
    target.predict(x, verbose=0)  # what was traced must not keep the old mean
    values = {k: np.asarray(p.value) for k, p in Sink(source).places.items()}
    Sink(target).assign(values)
    np.testing.assert_array_equal(target.predict(x, verbose=0), np.asarray(source(x)))


def lookups(words: list[str]) -> Any:
    x = keras.Input((1,), dtype="string")
    lookup = layers.StringLookup(output_mode="tf_idf", name="lookup")
    lookup.adapt(np.array([[word] for word in words]))
    return keras.Model(x, keras.ops.cast(lookup(x), "float32"))


def test_vocabularies_go_into_their_layers(tmp_path: Path) -> None:
    source, target = lookups(["cat", "dog", "cat"]), lookups(["fox", "emu", "emu"])
    source.save(tmp_path / "a.keras")
    x = tf.constant([["cat"], ["fox"]])
    target.predict(x, verbose=0)
    Sink(target).assign(*stored(tmp_path / "a.keras"))
    assert target.layers[1].get_vocabulary() == source.layers[1].get_vocabulary()
    np.testing.assert_array_equal(target.predict(x, verbose=0), np.asarray(source(x)))


def test_a_vocabulary_that_cannot_be_read_leaves_the_model_as_it_was() -> None:
    model = lookups(["cat", "dog"])
    x = tf.constant([["cat"], ["fox"]])
    before, words = np.asarray(model(x)), model.layers[1].get_vocabulary()
    twice = {"layers/string_lookup/vocabulary.txt": b"[UNK]\nemu\nemu"}
    idf = {"layers/string_lookup/vars/idf_weights": np.array([9, 9, 9], "float32")}
    with pytest.raises(RestoreError, match="lookup: load_assets failed"):
        Sink(model).assign(idf, twice)
    assert model.layers[1].get_vocabulary() == words
    np.testing.assert_array_equal(np.asarray(model(x)), before)


@pytest.mark.parametrize("path", ["../escape.txt", "/etc/x", "layers/nobody/vocabulary.txt"])
def test_assets_that_nobody_takes_are_refused(path: str) -> None:
    with pytest.raises(RestoreError, match=r"nobody|asset|inside"):
        Sink(lookups(["cat"])).load_assets({path: b"x"})


def test_a_lookup_that_was_never_adapted_takes_what_the_file_has() -> None:
    x = keras.Input((1,), dtype="string")
    model = keras.Model(x, layers.StringLookup(output_mode="tf_idf")(x))
    sink = Sink(model)
    assert sink.open_layers == {"layers/string_lookup"}
    sink.assign(
        {"layers/string_lookup/vars/idf_weights": np.array([1, 2, 3], "float32")},
        {"layers/string_lookup/vocabulary.txt": b"[UNK]\ncat\ndog"},
    )
    assert np.asarray(model(tf.constant([["dog"]]))).tolist() == [[0.0, 0.0, 3.0]]


def test_an_aligned_array_is_taken_over_without_a_copy() -> None:
    model = keras.Sequential([keras.Input((64,)), layers.Dense(64)])
    array = aligned(np.ones((64, 64), "float32"))
    Sink(model).assign({"layers/dense/vars/0": array})
    assert np.shares_memory(model.layers[0].kernel.value.numpy(), array) or _aliases(model, array)


def _aliases(model: Any, array: Any) -> bool:
    """A change of the array shows in the variable: they are the same memory."""
    array[0, 0] = 42.0
    return float(np.asarray(model.layers[0].kernel)[0, 0]) == 42.0


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "int8", "bool"])
def test_every_dtype_arrives_as_it_is_aligned_or_not(dtype: str) -> None:
    from kerasguard.tensors.elements import numpy_dtype

    content = (np.arange(6).reshape(2, 3) % 2).astype(numpy_dtype(dtype))
    raw = np.zeros(200, np.uint8)
    offset = -raw.ctypes.data % 64 + 4
    odd = raw[offset : offset + content.nbytes].view(content.dtype).reshape(content.shape)
    odd[...] = content
    for array in (aligned(content), odd, np.asfortranarray(content)):
        variable = keras.Variable(np.zeros((2, 3)), dtype=dtype)
        keras_variables.write(variable, array)
        np.testing.assert_array_equal(variable.numpy(), content)
        assert variable.dtype == dtype


@pytest.mark.parametrize(("optimizer", "jit"), [("sgd", False), ("adam", True)])
def test_training_afterwards_leaves_the_arrays_alone(optimizer: str, jit: bool) -> None:
    tokens = keras.Input((3,), dtype="int32")
    y = layers.Dense(4)(layers.Flatten()(layers.Embedding(10, 4)(tokens)))
    model = keras.Model(tokens, layers.BatchNormalization()(y))
    model.compile(optimizer, "mse", jit_compile=jit)
    model.optimizer.build(model.trainable_variables)
    sink = Sink(model)
    block = aligned(np.zeros(1 << 14, "uint8"))  # all tensors side by side in one block
    values, used = {}, 0
    for key, record in sink.table.tensors.items():
        kind = _kind(record)
        array = block[used : used + record.spec.nbytes].view(kind).reshape(record.spec.shape)
        if record.role == "weight":
            array[...] = np.random.default_rng(0).random(array.shape)
        elif record.slot == "learning_rate":
            array[...] = 0.01
        values[key], used = array, used + -(-record.spec.nbytes // 64) * 64
    before = block.copy()
    sink.assign(values)
    assert not replica_differences(model)
    x, target = np.array([[1, 2, 3], [4, 5, 1]]), np.ones((2, 4))
    model.fit(x, target, epochs=2, verbose=0)
    np.testing.assert_array_equal(block, before)
    assert int(np.asarray(model.optimizer.iterations)) == 2
    rows = np.asarray(model.layers[1].embeddings)
    given = values["layers/embedding/vars/0"]
    assert not np.array_equal(rows[1], given[1])
    np.testing.assert_array_equal(rows[9], given[9])


def test_without_a_strategy_there_is_none() -> None:
    assert backends.active_strategy() is None
    assert replica_differences(ZOO["sequential"]()) == {}


def test_what_was_read_of_many_variables_at_once_does_not_change_with_them() -> None:
    import tensorflow as tf

    plain, rows = (keras.Variable(np.zeros((3, 2), "float32")) for _ in range(2))
    tf.gather(rows.value, [0])  # from now on rows are written in place
    found = keras_variables.held_together([plain, np.zeros(1), rows])
    undo = keras_variables.snapshots([plain, rows])
    plain.assign(plain + 1)
    rows.value.scatter_nd_update([[1]], [[5.0, 5.0]])
    assert [one is None for one in found] == [False, True, False]
    assert not any(np.any(one) for one in found if one is not None)
    for back in undo:
        back()
    assert not np.any([plain.numpy(), rows.numpy()])


def test_where_nothing_lies_on_tensorflow_it_need_not_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert keras_variables.held_together([np.zeros(1), 3.0]) == [None, None]
    assert keras_variables.snapshots([]) == []


def test_memory_for_large_tensors_is_the_frameworks_own_and_given_back() -> None:
    first = keras_variables.memory(1 << 23)
    address = first.ctypes.data
    assert first.flags.writeable
    assert len(first) == 1 << 23
    assert address % keras_variables.ALIGNMENT == 0
    assert not first.flags.owndata
    first[:] = 7
    variable = keras.Variable(np.zeros((2, 1 << 20), "float32"))
    keras_variables.write(variable, first.view(np.float32).reshape(variable.shape))
    kept = np.asarray(variable).copy()
    del first
    other = keras_variables.memory(1 << 23)
    assert other.ctypes.data != address  # which lies under the variable
    other[:] = 1
    np.testing.assert_array_equal(np.asarray(variable), kept)
