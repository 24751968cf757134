"""Models of tf_keras are recorded and restored as those of Keras 3 are, beside them."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras", reason="tf_keras is not installed")
if keras.backend.backend() != "tensorflow":
    pytest.skip("tf_keras needs TensorFlow", allow_module_level=True)
from legacy_zoo import FORMATS, MODELS, X, Y, inputs_of, made, same, save, state, trained  # noqa: E402

import kerasguard as kg  # noqa: E402
from kerasguard.manifest import Manifest  # noqa: E402
from kerasguard.models import kerases  # noqa: E402
from kerasguard.models.kerases import facts, legacy  # noqa: E402
from kerasguard.storage import sidecar  # noqa: E402

pytestmark = [
    pytest.mark.keras,
    # tf_keras says so whenever a `.h5` is saved.
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer"),
]
layers = tf_keras.layers


@pytest.fixture(autouse=True)
def _stock_again() -> Iterator[None]:
    yield
    kg.unpatch()


def manifest_of(path: Path) -> Manifest:
    manifest = sidecar.read(path)
    assert manifest is not None, f"{path.name} was not recorded"
    return manifest


def codes(restored: Any) -> set[str]:
    return {finding.code for finding in restored.report.findings}


def test_tf_keras_answers_every_question_as_keras_3_does() -> None:
    for name, item in vars(facts.Keras).items():
        if inspect.isfunction(item) and not name.startswith("_"):
            asked = list(inspect.signature(item).parameters)[1:]
            assert list(inspect.signature(getattr(legacy, name)).parameters) == asked, name
    assert all(hasattr(legacy, name) for name in facts.Keras.__annotations__)


def test_objects_of_both_are_told_apart() -> None:
    ours, theirs = keras.layers.Dense(1), layers.Dense(1)
    assert [kerases.of(one).NAME for one in (ours, theirs)] == ["keras", "tf_keras"]
    assert kerases.is_layer(theirs)
    assert kerases.is_a(theirs, "Dense")
    assert not kerases.is_foreign(theirs)
    assert kerases.is_optimizer(tf_keras.optimizers.Adam())
    assert kerases.is_symbolic(tf_keras.Input((1,)))


SLOW = ("held", "images", "nested", "recurrent", "sequential", "subclassed")


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.slow] if k in SLOW else []) for k in MODELS]
)
def test_what_was_recorded_is_restored_bit_for_bit(tmp_path: Path, kind: str) -> None:
    model = trained(kind)
    for name in FORMATS:
        if name == "m.h5" and kind == "subclassed":
            continue  # tf_keras does not write it
        with kg.patched(strict=True):
            save(model, tmp_path / name)
        manifest = manifest_of(tmp_path / name)
        assert manifest.versions["keras"] == tf_keras.__version__, name
        assert manifest.versions["backend"] == "tensorflow"
        restored = kg.restore(tmp_path / name, made(kind))
        assert same(state(restored.model), state(model)), name
        assert not restored.report.findings, (name, restored.report)
        assert restored.report.verdict.startswith("restored"), name
        x = inputs_of(kind)
        np.testing.assert_array_equal(restored.model(x), model(x))


@pytest.mark.parametrize("kind", ["nested", pytest.param("recurrent", marks=pytest.mark.slow)])
def test_what_nobody_recorded_is_restored_too(tmp_path: Path, kind: str) -> None:
    model = trained(kind)
    for name in FORMATS:
        save(model, tmp_path / name)
        restored = kg.restore(tmp_path / name, made(kind))
        assert same(state(restored.model), state(model)), name
        assert codes(restored) <= {"KG106"}, (name, restored.report)  # the rate is in some only


def test_fit_leaves_manifests_and_resumes_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    for name in ("{epoch}.keras", "{epoch}"):
        path = str(tmp_path / name)
        weights = not name.endswith(".keras")
        saver = tf_keras.callbacks.ModelCheckpoint(path, save_weights_only=weights)
        tf_keras.utils.set_random_seed(1)
        whole = made("sequential")
        options: dict[str, Any] = {"verbose": 0, "shuffle": False, "batch_size": 4}
        recorder = kg.WeightManifestCallback()
        whole.fit(X, Y, epochs=3, callbacks=[saver, recorder], **options)
        told = [manifest_of(Path(path.format(epoch=n))).training for n in (1, 2, 3)]
        assert [t["epoch"] for t in told] == [0, 1, 2]
        assert [t["step"] for t in told] == [1, 3, 5]
        assert all("mae" in t["metrics"] for t in told)
        resumed = kg.load(path.format(epoch=2), made("sequential"))
        resumed.fit(X, Y, epochs=3, initial_epoch=2, **options)
        assert same(state(resumed), state(whole)), name


def test_the_callback_saves_as_the_models_own_keras_does(tmp_path: Path) -> None:
    callback = kg.WeightManifestCallback(tmp_path / "{epoch}.h5", save_best_only=True,
                                         monitor="loss")  # fmt: skip
    model = made("sequential")
    model.fit(X, Y, verbose=0, callbacks=[callback])
    assert manifest_of(tmp_path / "1.h5").versions["keras"] == tf_keras.__version__


@pytest.mark.slow
def test_a_save_in_the_background_says_why_it_is_none(tmp_path: Path) -> None:
    model = trained("sequential")
    with kg.patched(background=True), pytest.warns(UserWarning, match="while training waits"):
        model.save(tmp_path / "m.keras")
    assert manifest_of(tmp_path / "m.keras")


def test_both_kerases_are_recorded_in_one_process(tmp_path: Path) -> None:
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    kg.patch(strict=True)
    other.save(tmp_path / "new.keras")
    trained("sequential").save(tmp_path / "old.keras")
    tf_keras.models.save_model(trained("functional"), str(tmp_path / "function.keras"))
    told = [manifest_of(tmp_path / f"{n}.keras").versions["keras"] for n in ("new", "old")]
    assert told == [keras.__version__, tf_keras.__version__]
    assert manifest_of(tmp_path / "function.keras").model["class"] == "Functional"
    kg.unpatch()
    assert not hasattr(tf_keras.Model.save, "__wrapped__") or "kerasguard" not in str(
        tf_keras.Model.save.__code__.co_filename
    )


def test_without_a_model_a_recorded_file_is_built_as_keras_3(tmp_path: Path) -> None:
    model = trained("functional")
    for name in FORMATS:
        with kg.patched(strict=True):
            save(model, tmp_path / name)
        restored = kg.restore(tmp_path / name)
        assert isinstance(restored.model, keras.Model), name
        assert not codes(restored) & {"KG443", "KG108", "KG101"}, (name, restored.report)
        weights = [np.array(v) for v in restored.model.weights if "seed" not in v.name]
        assert same(weights, [v.numpy() for v in model.weights]), name
        assert int(np.array(restored.model.optimizer.iterations)) == 2, name
        np.testing.assert_allclose(restored.model(X), model(X), rtol=1e-5, atol=1e-6)


def test_a_changed_bit_is_found_and_the_model_stays_as_it_was(tmp_path: Path) -> None:
    model = trained("functional")
    for name in ("m.weights.h5", "m.h5"):
        path = tmp_path / name
        with kg.patched(strict=True):
            save(model, path)
        manifest = manifest_of(path)
        record = next(r for r in manifest.table.tensors.values() if r.extent and r.spec.shape)
        assert record.extent is not None
        content = bytearray(path.read_bytes())
        content[record.extent.offset] ^= 16
        path.write_bytes(content)
        other = trained("functional")
        before = state(other)
        with pytest.raises(kg.UnrepairableError, match="manifest"):
            kg.load(path, other)
        assert same(state(other), before), name


@pytest.mark.slow
def test_a_layer_that_is_configured_otherwise_is_told(tmp_path: Path) -> None:
    def net(activation: str) -> Any:
        inputs = tf_keras.Input((4,))
        x = layers.Dense(4, activation=activation, name="one")(inputs)
        model = tf_keras.Model(inputs, layers.Dense(1, name="two")(x))
        model.compile(tf_keras.optimizers.Adam(), "mse")
        return model

    model = net("relu")
    model.train_on_batch(X, Y)
    for name in FORMATS:
        for recorded in (True, False):
            with kg.patched(strict=True):
                save(model, tmp_path / name)
            policy: Any = "auto" if recorded else "ignore"
            same_net = kg.restore(tmp_path / name, net("relu"), manifest=policy)
            assert "KG107" not in codes(same_net), (name, recorded)
            if name in ("ckpt", "saved_model"):
                continue  # no config of tf_keras in it is compared
            if recorded or name != "m.weights.h5":  # which holds no config
                other = kg.restore(tmp_path / name, net("tanh"), manifest=policy)
                assert any("one" in str(f) for f in other.report.findings if f.code == "KG107"), (
                    name,
                    recorded,
                )


@pytest.mark.slow
def test_adapted_layers_come_back_with_what_tf_keras_forgets(tmp_path: Path) -> None:
    def net(*, adapt: bool) -> Any:
        cut, text = layers.Discretization(num_bins=3), layers.TextVectorization()
        if adapt:
            cut.adapt(X)
            text.adapt(["a b c", "b c d e"])
        numbers, words = tf_keras.Input((4,)), tf_keras.Input((1,), dtype="string")
        return tf_keras.Model([numbers, words], [cut(numbers), text(words)])

    model = net(adapt=True)
    wanted = model([X[:2], np.array([["a e"], ["d b"]])])
    for name in ("m.keras", "m.weights.h5"):
        with kg.patched(strict=True):
            save(model, tmp_path / name)
        other = kg.load(tmp_path / name, net(adapt=False))
        found = other([X[:2], np.array([["a e"], ["d b"]])])
        for a, b in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.slow
def test_metrics_that_are_stored_stand_in_nobodys_way(tmp_path: Path) -> None:
    model = made("sequential")
    model.fit(X, Y, verbose=0)
    with kg.patched(strict=True):
        model.save(tmp_path / "m.keras")
    keys = manifest_of(tmp_path / "m.keras").table.tensors
    assert any(key.startswith("metrics/") for key in keys)
    assert not kg.restore(tmp_path / "m.keras", made("sequential")).report.findings


@pytest.mark.slow
def test_what_the_model_computes_is_compared(tmp_path: Path) -> None:
    model = trained("functional")
    model.save(tmp_path / "m.keras")
    assert kg.record(tmp_path / "m.keras", model, probe="layers").probe
    assert not kg.restore(tmp_path / "m.keras", made("functional")).report.findings
    plan = kg.plan(tmp_path / "m.keras", model=made("functional"))
    assert not plan.unresolved


@pytest.mark.slow
def test_optimizers_of_before_keras_2_11_do_not_end_a_save_or_a_load(tmp_path: Path) -> None:
    def net() -> Any:
        model = tf_keras.Sequential([tf_keras.Input((4,)), layers.Dense(1)])
        model.compile(tf_keras.optimizers.legacy.Adam(), "mse")
        return model

    model = net()
    model.train_on_batch(X, Y)
    for name in ("m.h5", "ckpt", "m.keras", "m.weights.h5"):
        with kg.patched(strict=True):
            save(model, tmp_path / name)
        restored = kg.restore(tmp_path / name, net())
        assert "KG108" in codes(restored), name
        assert same([v.numpy() for v in restored.model.weights], [v.numpy() for v in model.weights])


@pytest.mark.slow
def test_an_overwritten_checkpoint_of_tensorflow_has_the_new_manifest(tmp_path: Path) -> None:
    first, second = trained("sequential"), made("sequential")
    with kg.patched(strict=True), warnings.catch_warnings():
        warnings.simplefilter("error")
        save(first, tmp_path / "ckpt")
        before = manifest_of(tmp_path / "ckpt").checkpoint_id
        save(second, tmp_path / "ckpt")
    manifest = manifest_of(tmp_path / "ckpt")
    assert manifest.previous_id == before
    assert kg.verify(tmp_path / "ckpt").ok
    files = {path.name for path in tmp_path.iterdir() if "companion" not in path.name}
    assert files == {
        "checkpoint", "ckpt.index", "ckpt.data-00000-of-00001", "ckpt.manifest.json"
    }  # fmt: skip
    loaded = kg.load(tmp_path / "ckpt", made("sequential"))
    assert all(map(np.array_equal, loaded.get_weights(), second.get_weights()))


SWITCHED = """
import sys
import numpy as np, tensorflow as tf
import kerasguard as kg
kg.patch(strict=True)                      # before anybody has imported tf_keras
path = sys.argv[1]
model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(1)])
assert type(model).__module__.startswith("tf_keras."), type(model)
model.save(path + "/m.keras")
report = kg.verify(path + "/m.keras")
assert report.ok and report.origin == "recorded", report
other = kg.load(path + "/m.keras", tf.keras.models.clone_model(model))
assert all(map(np.array_equal, other.get_weights(), model.get_weights()))
print("all well")
"""


@pytest.mark.slow
def test_the_switch_of_tensorflow_makes_no_difference(tmp_path: Path, repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWITCHED, str(tmp_path)],
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1", "PYTHONPATH": str(repository)},
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert "all well" in done.stdout, done.stderr[-3000:]
