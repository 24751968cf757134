"""What people asked for in public, each as a program: it is done, or refused with what to do.

The numbers are those of the list that was drawn up of thirty public threads.
"""

from __future__ import annotations

import contextlib
import copy
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard as kg
from kerasguard.errors import (
    ArchitectureError,
    ArgumentError,
    GuardError,
    KerasguardError,
    UnrepairableError,
)

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras
L = keras.layers
X = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")


def dense(*names: str, classes: int = 4, inputs: int = 6) -> Any:
    """Layers in a row; the last has as many outputs as there are classes."""
    layers = [L.Dense(classes if name == names[-1] else 5, name=name) for name in names]
    return keras.Sequential([keras.Input((inputs,)), *layers])


def fitted(model: Any, **options: Any) -> Any:
    outputs = model.output_shape[-1]
    model.compile("adam", "mse", run_eagerly=True, **options)
    model.fit(X, np.ones((8, outputs)), verbose=0)
    return model


def bytes_of(model: Any) -> list[bytes]:
    return [np.asarray(v).tobytes() for v in model.weights]


def same(model: Any, other: Any, *layers: str) -> bool:
    pairs = [(model.get_layer(name), other.get_layer(name)) for name in layers]
    return all(bytes_of(a) == bytes_of(b) for a, b in pairs)


SLOW, WEIGHTS = pytest.mark.slow, ("m.h5", "m.weights.h5")
KINDS = ("m.keras", "m.h5", pytest.param("m.weights.h5", marks=SLOW))


def save(model: Any, path: Path) -> Path:
    (model.save_weights if path.name.endswith("weights.h5") else model.save)(path)
    return path


@pytest.mark.parametrize("name", KINDS)
def test_01_ten_classes_into_five(tmp_path: Path, name: str) -> None:
    old, new = dense("a", "b", "head", classes=10), dense("a", "b", "head", classes=5)
    path, head = save(old, tmp_path / name), bytes_of(new.get_layer("head"))
    with pytest.raises(UnrepairableError, match=r'KG203 .*skip=\["head"\] leaves it'):
        kg.load(path, new)
    kg.load(path, new, skip=["head"])
    assert same(new, old, "a", "b")
    assert bytes_of(new.get_layer("head")) == head


@pytest.mark.parametrize("name", KINDS)
def test_02_old_weights_and_one_new_layer_in_between(tmp_path: Path, name: str) -> None:
    old, new = dense("a", "b", "head"), dense("a", "new", "b", "head")
    path = save(old, tmp_path / name)
    with pytest.raises(UnrepairableError, match=r'skip=\["new"\]'):
        kg.load(path, new)
    kg.load(path, new, skip=["new"])
    assert same(new, old, "a", "b", "head")


@pytest.mark.parametrize("name", KINDS)
def test_03_only_the_layers_that_are_named(tmp_path: Path, name: str) -> None:
    old, new = dense("a", "b", "head"), dense("a", "b", "head")
    kept = bytes_of(new.get_layer("b"))
    kg.load(save(old, tmp_path / name), new, only=["a", "head"])
    assert same(new, old, "a", "head")
    assert bytes_of(new.get_layer("b")) == kept


def nested() -> tuple[Any, Any]:
    inputs, inner = keras.Input((6,)), keras.Input((6,))
    tower = keras.Model(inner, L.Dense(5, name="up")(L.Dense(5, name="low")(inner)), name="tower")
    return keras.Model(inputs, L.Dense(3, name="head")(tower(inputs))), tower


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_04_a_backbone_out_of_the_whole_and_back(tmp_path: Path, name: str) -> None:
    (old, old_tower), (_, tower) = nested(), nested()
    report = kg.restore(save(old, tmp_path / name), tower).report
    assert bytes_of(tower) == bytes_of(old_tower)
    assert not [f for f in report.findings if f.code in ("KG101", "KG102", "KG115")]
    (tmp_path / "t").mkdir()
    again, _ = nested()
    kg.load(save(old_tower, tmp_path / "t" / name), again, only=["tower"])
    assert bytes_of(again.get_layer("tower")) == bytes_of(old_tower)


@pytest.mark.slow
def test_05_a_decoder_out_of_an_autoencoder(tmp_path: Path) -> None:
    old = dense("encoder", "decoder")
    path = save(old, tmp_path / "m.keras")
    decoder = keras.Sequential([keras.Input((5,)), L.Dense(4, name="decoder")])
    report = kg.restore(path, decoder, only=["**"]).report
    assert same(decoder, old, "decoder")
    assert not [f for f in report.findings if f.code == "KG102"]


def test_06_bytes_and_what_is_left_of_them(tmp_path: Path) -> None:
    model = dense("a", "head")
    raw = save(model, tmp_path / "m.keras").read_bytes()
    assert bytes_of(kg.load(raw)) == bytes_of(model)
    with pytest.raises(KerasguardError, match=r"truncated|copy|incomplete"):
        kg.load(raw[: len(raw) // 2])


def test_07_a_remote_path_is_loaded_or_refused_with_a_reason() -> None:
    with pytest.raises(KerasguardError) as caught:
        kg.load("gs://bucket/that/is/not/there.keras")
    assert "gs:" in str(caught.value)


def test_08_lora(tmp_path: Path) -> None:
    def build() -> Any:
        model = dense("a", "b", "head")
        model.get_layer("b").enable_lora(2)
        return model

    old = fitted(build())
    with kg.patched():
        path = save(old, tmp_path / "m.keras")
    new = fitted(build())
    kg.load(path, new)
    assert bytes_of(new) == bytes_of(old)
    state = [[v.numpy().tobytes() for v in m.optimizer.variables[2:]] for m in (new, old)]
    assert state[0] == state[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_09_a_layer_that_a_model_and_a_model_inside_share(tmp_path: Path, name: str) -> None:
    def build() -> Any:
        shared = L.Dense(6, name="shared")
        inner = keras.Input((6,))
        tower = keras.Model(inner, L.Dense(6, name="own")(shared(inner)), name="tower")
        inputs = keras.Input((6,))
        return keras.Model(inputs, L.Dense(2, name="head")(tower(shared(inputs))))

    old, new = build(), build()
    path = save(old, tmp_path / name)
    kg.load(path, new)
    assert bytes_of(new) == bytes_of(old)


def test_10_tied_weights(tmp_path: Path) -> None:
    inputs = keras.Input((), dtype="int32")
    tied = L.ReversibleEmbedding(7, 3, tie_weights=True, name="words")
    old = keras.Model(inputs, tied(L.Dense(3, name="inner")(tied(inputs)), reverse=True))
    path = save(old, tmp_path / "m.keras")
    new = kg.load(path)
    assert bytes_of(new) == bytes_of(old)
    assert len(new.weights) == len(old.weights) == 3


@pytest.mark.slow
def test_11_unfrozen_for_the_second_stage(tmp_path: Path) -> None:
    old = dense("a", "b", "head")
    old.get_layer("a").trainable = False
    with kg.patched():
        path = save(fitted(old), tmp_path / "m.keras")
    new = fitted(dense("a", "b", "head"))
    report = kg.restore(path, new).report
    assert bytes_of(new) == bytes_of(old)
    assert [f for f in report.findings if f.code == "KG108" and "a/kernel" in f.message]
    with kg.patched():
        again = save(new, tmp_path / "n.keras")
    with kg.read(path, optimizer=True) as theirs, kg.read(again, optimizer=True) as ours:
        moments = [n for n in theirs if n.startswith(("optimizer/mom", "optimizer/vel"))]
        assert len(moments) == 8
        assert all(ours[name].tobytes() == theirs[name].tobytes() for name in moments)


@pytest.mark.slow
def test_12_a_training_resumes_from_its_backup_unless_that_was_damaged(tmp_path: Path) -> None:
    class Crash(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 3:
                raise RuntimeError("crash")

    def fit(*more: Any) -> list[int]:
        model, seen = dense("a", "head"), list[int]()
        model.compile("adam", "mse", run_eagerly=True)
        callbacks = [
            keras.callbacks.BackupAndRestore(tmp_path / "backup"),
            kg.WeightManifestCallback(),
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(epoch)),
        ]
        model.fit(X, np.ones((8, 4)), epochs=5, verbose=0, callbacks=[*callbacks, *more])
        return seen

    with pytest.raises(RuntimeError, match="crash"):
        fit(Crash())
    [backup] = (tmp_path / "backup").glob("*.weights.h5")
    intact = backup.read_bytes()
    damaged = bytearray(intact)
    damaged[len(damaged) // 2] ^= 1
    backup.write_bytes(damaged)
    with pytest.raises(GuardError, match=r"nothing was loaded.*kerasguard\.latest"):
        fit()
    backup.write_bytes(intact)
    assert fit() == [3, 4]


def test_13_a_custom_loss_for_inference(tmp_path: Path) -> None:
    def penalty(y: Any, p: Any) -> Any:
        return keras.ops.mean(keras.ops.square(y - p))

    model = dense("a", "head")
    model.compile("sgd", penalty, run_eagerly=True)
    path = save(model, tmp_path / "m.keras")
    with pytest.raises(ArchitectureError, match=r'custom_objects=\{"penalty": .* compile=False'):
        kg.load(path)
    assert bytes_of(kg.load(path, compile=False)) == bytes_of(model)
    assert bytes_of(kg.load(path, custom_objects={"penalty": penalty})) == bytes_of(model)


def test_14_a_function_of_the_users_own_in_a_text_layer(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")

    def lowered(text: Any) -> Any:
        return tf.strings.lower(text)

    words = L.TextVectorization(standardize=lowered)
    words.adapt(["A b", "c a"])
    path = save(keras.Sequential([keras.Input((1,), dtype="string"), words]), tmp_path / "m.keras")
    with pytest.raises(ArchitectureError, match=r'custom_objects=\{"lowered": lowered\}'):
        kg.load(path)
    again = kg.load(path, custom_objects={"lowered": lowered})
    text = tf.constant([["a C"]])
    np.testing.assert_array_equal(again(text), words(text))


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("name", ["m.keras", *(pytest.param(n, marks=SLOW) for n in WEIGHTS)])
def test_15_optimizer_state_under_mixed_float16(tmp_path: Path, name: str, recorded: bool) -> None:
    def build() -> Any:
        model = dense("a", "head")
        model.compile("adam", "mse", run_eagerly=True)
        return model

    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        old, new = build(), build()
        old.fit(X, np.ones((8, 4)), verbose=0)
        with kg.patched() if recorded else contextlib.nullcontext():
            path = save(old, tmp_path / name)
        report = kg.restore(path, new).report
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert not report.findings
    state = [[np.asarray(v).tobytes() for v in m.optimizer.variables] for m in (old, new)]
    assert state[0] == state[1]
    assert len(state[0]) == 14


def test_16_a_layer_that_does_not_cast_its_inputs(tmp_path: Path) -> None:
    """Of a recorded `.keras`; nothing of it is in an unrecorded one, nor in any `.h5`."""
    inputs = keras.Input((6,))
    layer = L.Dense(4, autocast=False, dtype="mixed_float16", name="a")
    old = keras.Model(inputs, layer(inputs))
    with kg.patched():
        path = save(old, tmp_path / "m.keras")
    new = kg.load(path)
    assert not new.get_layer("a").autocast
    np.testing.assert_array_equal(new.predict(X, verbose=0), old.predict(X, verbose=0))
    cast = keras.Model(inputs, L.Dense(4, dtype="mixed_float16", name="a")(inputs))
    [finding] = kg.plan(path, cast).findings
    assert finding.code == "KG107"
    assert "autocast is not given but was False" in finding.message


def test_17_copies_of_a_restored_model(tmp_path: Path) -> None:
    model = kg.load(save(dense("a", "head"), tmp_path / "m.keras"))
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert bytes_of(again) == bytes_of(model)


def test_18_a_checkpoint_callback_of_somebody_elses(tmp_path: Path) -> None:
    """One that looks for the file after each epoch, as W&B's does, also where none is due."""

    class Logged(keras.callbacks.ModelCheckpoint):  # type: ignore[misc,name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(epoch, logs)
            path = Path(str(self.filepath).format(epoch=epoch + 1))
            if not path.exists():
                raise FileNotFoundError(path)

    def fit(name: str, **options: Any) -> None:
        model = dense("a", "head")
        model.compile("sgd", "mse", run_eagerly=True)
        saving = Logged(tmp_path / name, **options)
        callbacks = [kg.WeightManifestCallback(), saving]
        model.fit(X, np.ones((8, 4)), epochs=3, verbose=0, callbacks=callbacks)

    fit("{epoch:02d}.keras")
    assert all(kg.verify(tmp_path / f"{epoch:02d}.keras").ok for epoch in (1, 2, 3))
    with pytest.raises(FileNotFoundError, match="best-02"):  # its own fault, and left to be seen
        fit("best-{epoch:02d}.keras", save_best_only=True, monitor="loss", mode="max")
    assert kg.verify(tmp_path / "best-01.keras").ok
    assert len(list(tmp_path.iterdir())) == 8


def test_19_the_best_weights_into_a_model_that_was_never_built(tmp_path: Path) -> None:
    old = dense("a", "head")
    path = save(old, tmp_path / "m.weights.h5")
    new = keras.Sequential([L.Dense(5, name="a"), L.Dense(4, name="head")])
    kg.load(path, new)
    assert bytes_of(new) == bytes_of(old)


@pytest.mark.slow
def test_20_threads_load_one_file(tmp_path: Path) -> None:
    old = dense("a", "head")
    path, found = save(old, tmp_path / "m.keras"), []
    threads = [threading.Thread(target=lambda: found.append(kg.load(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [bytes_of(model) for model in found] == [bytes_of(old)] * 4


@pytest.mark.slow
def test_21_many_save_at_once_and_to_one_place(tmp_path: Path) -> None:
    models = [dense("a", "head") for _ in range(6)]
    paths = [tmp_path / f"{number}.keras" for number in range(6)]
    same = tmp_path / "same.keras"
    with kg.patched():
        jobs = [*zip(models, paths, strict=True), *((m, same) for m in models for _ in range(2))]
        threads = [threading.Thread(target=model.save, args=(path,)) for model, path in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert all(kg.verify(path).ok for path in (*paths, same))
    assert bytes_of(kg.load(same)) in [bytes_of(model) for model in models]
    assert len(list(tmp_path.iterdir())) == 14


@pytest.mark.slow
def test_22_another_input_size(tmp_path: Path) -> None:
    old, new = dense("a", "head"), dense("a", "head", inputs=9)
    path = save(old, tmp_path / "m.keras")
    with pytest.raises(UnrepairableError, match=r'KG203 a/kernel.*skip=\["a"\]'):
        kg.load(path, new)
    kg.load(path, new, skip=["a"])
    assert same(new, old, "head")


@pytest.mark.parametrize("saved_compiled", [True, False])
def test_23_a_metric_by_its_name_after_a_load(tmp_path: Path, saved_compiled: bool) -> None:
    model = dense("a", "head")
    if saved_compiled:
        fitted(model, metrics=["accuracy"])
    again = kg.load(save(model, tmp_path / "m.keras"))
    if not saved_compiled:
        again.compile("adam", "mse", metrics=["accuracy"], run_eagerly=True)
    names = again.evaluate(X, np.ones((8, 4)), verbose=0, return_dict=True)
    assert set(names) == {"loss", "accuracy"}


def test_24_inputs_by_name(tmp_path: Path) -> None:
    inputs = {name: keras.Input((6,), name=name) for name in ("left", "right")}
    both = L.Concatenate()(list(inputs.values()))
    model = keras.Model(inputs, L.Dense(2)(both))
    again = kg.load(save(model, tmp_path / "m.keras"))
    data = {"right": X, "left": 2 * X}
    np.testing.assert_array_equal(again.predict(data, verbose=0), model.predict(data, verbose=0))


def adversaries() -> Any:
    """A model of two, each with an optimizer of its own, that is never called itself."""

    class Adversaries(keras.Model):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.maker = keras.Sequential([keras.Input((3,)), L.Dense(6, name="maker")])
            self.critic = keras.Sequential([keras.Input((6,)), L.Dense(1, name="critic")])

        def compile(self, rates: tuple[float, float]) -> None:
            super().compile(run_eagerly=True)
            self.makers, self.critics = (keras.optimizers.Adam(rate) for rate in rates)

        def train_step(self, data: Any) -> dict[str, Any]:
            import tensorflow as tf

            with tf.GradientTape(persistent=True) as tape:
                made = tf.reduce_mean(self.critic(self.maker(tf.ones((8, 3)))) ** 2)
                true = tf.reduce_mean((self.critic(data[0]) - 1) ** 2)
            for part, optimizer, loss in (
                (self.maker, self.makers, made),
                (self.critic, self.critics, true),
            ):
                weights = part.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            return {"made": made, "true": true}

    model = Adversaries()
    model.compile((1e-3, 2e-3))
    return model


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_25_two_optimizers_and_a_root_that_is_never_called(tmp_path: Path, recorded: bool) -> None:
    pytest.importorskip("tensorflow")
    old, new = adversaries(), adversaries()
    old.fit(X, np.ones(8), epochs=2, verbose=0)
    with kg.patched() if recorded else contextlib.nullcontext():
        path = save(old, tmp_path / "m.keras")
    report = kg.restore(path, new).report
    assert bytes_of(new) == bytes_of(old)
    state = [
        [np.asarray(v).tobytes() for v in (*m.makers.variables, *m.critics.variables)]
        for m in (old, new)
    ]
    if recorded:
        assert state[0] == state[1]
        assert not report.findings
    else:
        told = {finding.key for finding in report.findings if finding.code == "KG108"}
        assert told == {"makers", "critics"}


def test_26_the_optimizer_of_a_model_that_was_saved_as_h5_before(tmp_path: Path) -> None:
    old = fitted(dense("a", "head"))
    with kg.patched():
        save(old, tmp_path / "m.h5")
        path = save(old, tmp_path / "m.keras")
    restored = kg.restore(path)
    assert not restored.report.findings
    state = [
        [np.asarray(v).tobytes() for v in m.optimizer.variables] for m in (old, restored.model)
    ]
    assert state[0] == state[1]
    assert type(restored.model.optimizer) is type(old.optimizer)


def test_27_the_mean_of_checkpoints(tmp_path: Path) -> None:
    models = [dense("a", "head"), dense("a", "head")]
    paths = [save(model, tmp_path / f"{i}.keras") for i, model in enumerate(models)]
    mean = kg.load(kg.average(paths))
    for found, *parts in zip(mean.weights, *(m.weights for m in models), strict=True):
        exact = sum(p.numpy().astype("float64") for p in parts) / 2
        assert found.numpy().tobytes() == exact.astype("float32").tobytes()


def test_28_arrays_of_another_framework(tmp_path: Path) -> None:
    state: dict[str, Any] = {
        "a.weight": np.arange(30, dtype="float32").reshape(5, 6),
        "a.bias": np.ones(5, "f4"),
    }
    np.savez(tmp_path / "net.npz", **state)
    model = dense("a", "head")
    with pytest.raises(UnrepairableError, match=r'a/kernel(.|\n)*read\(\.\.\., layout="torch"\)'):
        kg.load(tmp_path / "net.npz", model, only=["a"])
    with kg.read(tmp_path / "net.npz", layout="torch") as arrays:
        kg.load(arrays, model, only=["a"])
    np.testing.assert_array_equal(model.get_layer("a").kernel, state["a.weight"].T)


def test_29_a_path_object(tmp_path: Path) -> None:
    model = dense("a", "head")
    path = save(model, tmp_path / "m.keras")
    assert bytes_of(kg.load(Path(path))) == bytes_of(kg.load(str(path))) == bytes_of(model)


@pytest.mark.slow
def test_30_a_program_with_a_signature_of_its_own(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")

    class Program(tf.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(np.arange(24, dtype="float32").reshape(6, 4), name="w")

        @tf.function(input_signature=[tf.TensorSpec((None, 6))])  # type: ignore[untyped-decorator]
        def run(self, x: Any) -> Any:
            return {"y": x @ self.w}

    program = Program()
    tf.saved_model.save(program, tmp_path / "s", signatures={"predict_it": program.run})
    with pytest.raises(ArchitectureError, match=r"allow_graph=True.*model=model"):
        kg.load(tmp_path / "s")
    made = kg.load(tmp_path / "s", allow="graph").predict(X, verbose=0)["y"]
    np.testing.assert_allclose(made, X @ program.w.numpy(), rtol=1e-5, atol=1e-4)
    with kg.read(tmp_path / "s") as arrays:
        np.testing.assert_array_equal(arrays["w"], program.w.numpy())


def test_an_option_of_somebody_elses_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = save(dense("a", "head"), tmp_path / "m.keras")
    wrong: Callable[..., Any] = kg.load
    with pytest.raises(ArgumentError, match="did you mean 'skip'"):
        wrong(path, skipp=["head"])
