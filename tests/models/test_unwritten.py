"""What Keras does not write is found, kept in a companion, and put back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from keras_zoo import MARKS, ZOO, compiled  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402
from kerasguard import errors, guard  # noqa: E402
from kerasguard.models.live_model import model_table  # noqa: E402
from kerasguard.models.unwritten import unwritten  # noqa: E402
from kerasguard.recorder import unwritten_state  # noqa: E402
from kerasguard.storage import companion, safetensors, sidecar  # noqa: E402
from kerasguard.tensors.elements import numpy_dtype  # noqa: E402

pytestmark = MARKS
layers = keras.layers


@keras.saving.register_keras_serializable("kerasguard_tests")
class Hiding(layers.Layer):  # type: ignore[misc,name-defined]
    """Layers where Keras' saving does not look: in `_layers`, in a set, in a plain object."""

    def __init__(self, where: str = "private", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.where = where
        inner = [layers.Dense(3, name="one"), layers.Dense(3), layers.Dense(3)]
        if where == "private":
            self._layers = inner
        elif where == "set":
            self.inner: Any = set(inner)
        else:
            self.inner = Box(inner)

    def listed(self) -> list[Any]:
        found: dict[str, Callable[[], Any]] = {
            "private": lambda: self._layers,
            "set": lambda: self.inner,
        }
        inner = found.get(self.where, lambda: self.inner.things)()
        return sorted(inner, key=lambda layer: (layer.name != "one", len(layer.name), layer.name))

    def build(self, shape: tuple[int, ...]) -> None:
        for layer in self.listed():
            layer.build(shape)

    def call(self, x: Any) -> Any:
        for layer in self.listed():
            x = layer(x)
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "where": self.where}


class Box:
    """No class of Keras."""

    def __init__(self, things: list[Any]) -> None:
        self.things = things


def hiding(where: str) -> Any:
    return keras.Sequential([keras.Input((3,)), Hiding(where, name="hiding"), layers.Dense(1)])


def save(model: Any, path: Path) -> Path:
    def write(place: Path) -> None:
        weights = place.name.endswith(".weights.h5")
        (model.save_weights if weights else model.save)(place)

    guard.save(write, path, model, strict=True)
    return path


@pytest.fixture(autouse=True)
def _state_makes_a_companion(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small it is, except where a test is about that."""
    if "small_state" not in request.fixturenames:
        monkeypatch.setattr(unwritten_state, "INLINE", -1)


@pytest.fixture
def small_state() -> None:
    """Says that a test is about state that is small."""


def companions(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.companion-*"))


def test_seeds_states_and_metrics_are_named_as_unwritten() -> None:
    found = {(r.role, r.layer) for r in unwritten(compiled("adam")())}
    assert ("seed", "layers/dropout") in found
    assert any(role == "metric" for role, _ in found)
    recurrent = {(r.role, r.layer) for r in unwritten(ZOO["recurrent"]())}
    assert ("state", "layers/simple_rnn") in recurrent


@pytest.mark.parametrize(
    ("where", "role"), [("private", "weight"), ("set", "weight"), ("box", "state")]
)
def test_variables_that_keras_does_not_reach_have_keys_that_survive_the_process(
    where: str, role: str
) -> None:
    model, again = hiding(where), hiding(where)
    lost = unwritten(model)
    assert {r.role for r in lost} == {role}
    assert [r.key for r in lost] == [r.key for r in unwritten(again)]
    assert "layers/hiding/unwritten/one/kernel" in {r.key for r in lost} or where == "box"
    assert not {r.key for r in lost} & set(model_table(model).tensors)


@pytest.mark.parametrize("kind", ["sequential", "quantised", "own_format", "attention"])
def test_a_model_that_keras_writes_in_full_has_nothing_unwritten(kind: str) -> None:
    assert [r for r in unwritten(ZOO[kind]()) if r.role != "seed"] == []


@pytest.mark.parametrize("where", ["private", "set", "box"])
@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_hidden_layers_are_put_back(where: str, name: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    model = hiding(where)
    path = save(model, tmp_path / name)
    assert len(companions(tmp_path)) == 1
    assert kg.verify(path).ok
    into = hiding(where) if name.endswith("h5") else None
    restored = kg.restore(path, into)
    assert np.array_equal(restored.model(x), model(x))
    assert not restored.report.findings


def test_a_checkpoint_that_nobody_recorded_is_refused_where_its_weights_are_hidden(
    tmp_path: Path,
) -> None:
    hiding("private").save(tmp_path / "m.keras")
    with pytest.raises(kg.UnrepairableError, match=r"KG101 .*hiding/one/kernel"):
        kg.load(tmp_path / "m.keras")


def test_a_model_without_hidden_state_gets_no_companion(tmp_path: Path) -> None:
    path = save(keras.Sequential([keras.Input((3,)), layers.Dense(1)]), tmp_path / "m.keras")
    manifest = sidecar.read(path)
    assert manifest is not None
    assert manifest.companion is None
    assert {p.name for p in tmp_path.iterdir()} == {"m.keras", "m.keras.manifest.json"}


def test_seeds_metrics_and_states_go_on_where_they_were(tmp_path: Path) -> None:
    def build() -> Any:
        inputs = keras.Input(batch_shape=(4, 2, 3))
        x = layers.LSTM(5, stateful=True)(layers.Dropout(0.5, seed=3)(inputs))
        model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
        metrics = ["accuracy", keras.metrics.AUC()]
        model.compile("adam", "binary_crossentropy", metrics=metrics, run_eagerly=True)
        return model

    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(4, 2, 3)).astype("float32"), np.array([[0], [1], [1], [0]])
    model = build()
    model.train_on_batch(x, y)
    model.train_on_batch(x, y)
    path = save(model, tmp_path / "m.keras")
    again = kg.load(path)
    pairs = list(zip(again.metrics_variables, model.metrics_variables, strict=True))
    assert len(pairs) == 8
    assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)
    one, other = (np.asarray(m.layers[1].seed_generator.state) for m in (model, again))
    assert np.array_equal(one, other)
    assert model.train_on_batch(x, y) == again.train_on_batch(x, y)


class Counting(keras.Model):  # type: ignore[misc,name-defined]
    """Its metric is none that `fit` resets."""

    metrics: Any = ()

    def __init__(self) -> None:
        super().__init__()
        self.out, self.counts = layers.Dense(1), [keras.metrics.Sum(name="seen")]

    def call(self, x: Any) -> Any:
        return self.out(x)


def test_metrics_that_no_model_lists_go_on_where_they_were(tmp_path: Path) -> None:
    def built() -> Any:
        model = Counting()
        model(np.ones((1, 2), "float32"))
        return model

    model, path = built(), tmp_path / "m.weights.h5"
    model.counts[0].update_state(7.0)
    with kg.patched():
        model.save_weights(path)
    restored = kg.restore(path, built())
    assert (float(restored.model.counts[0].result()), restored.report.findings) == (7.0, ())
    told = kg.restore(path, built(), manifest="ignore").report.findings
    assert [f.severity.value for f in told] == ["info"]
    assert "metrics/seen/" in told[0].message


def test_what_was_adapted_comes_back_with_weights_only(tmp_path: Path) -> None:
    def build() -> Any:
        words = keras.Input((1,), dtype="string")
        number = keras.Input((1,))
        look, bins = layers.StringLookup(), layers.Discretization(num_bins=3)
        table = layers.Embedding(9, 2)(look(words))
        both = layers.Concatenate()([layers.Flatten()(table), layers.Dense(2)(bins(number))])
        return keras.Model([words, number], both), look, bins

    model, look, bins = build()
    look.adapt(["cat", "dog", "cat", "fox"])
    bins.adapt(np.arange(30.0))
    path = save(model, tmp_path / "m.weights.h5")
    again, look_again, bins_again = build()
    look_again.adapt(["quite", "other", "words"])
    kg.load(path, again)
    assert look_again.get_vocabulary() == look.get_vocabulary()
    assert np.array_equal(bins_again.bin_boundaries, bins.bin_boundaries)
    told = sidecar.read(path)
    assert told is not None
    assert {r.role for r in told.kept.values()} == {"asset", "state"}


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_weights_of_rare_tokens_come_back_where_the_file_has_no_room_for_them(
    ending: str, tmp_path: Path
) -> None:
    words = keras.Input((), dtype="string")
    look = layers.TextVectorization(output_mode="tf_idf", max_tokens=9)
    look.adapt(["a b c", "a d", "e a b"])
    model = keras.Model(words, layers.Dense(2)(look(words)))
    restored = kg.restore(save(model, tmp_path / f"m.{ending}"))
    assert not restored.report.findings
    given = np.array(["a b", "c c d"])
    assert np.array_equal(restored.model(given), model(given))


def test_without_its_companion_a_checkpoint_is_refused_or_warned_about(tmp_path: Path) -> None:
    path = save(hiding("private"), tmp_path / "m.keras")
    companions(tmp_path)[0].unlink()
    report = kg.verify(path)
    assert not report.ok
    with pytest.raises(kg.UnrepairableError, match="KG305"):
        kg.load(path)
    path = save(compiled("adam")(), tmp_path / "n.keras")
    companions(tmp_path)[0].unlink()
    report = kg.restore(path).report
    assert {(f.code, f.severity.value) for f in report.findings} == {("KG305", "warning")}


@pytest.mark.parametrize("where", ["header", "tensor", "truncated"])
def test_a_damaged_companion_is_found(where: str, tmp_path: Path) -> None:
    path = save(hiding("private"), tmp_path / "m.keras")
    place = companions(tmp_path)[0]
    data = bytearray(place.read_bytes())
    data[{"header": 20, "tensor": -5, "truncated": -5}[where]] ^= 4
    place.write_bytes(data[:-40] if where == "truncated" else data)
    assert not kg.verify(path).ok
    with pytest.raises(kg.UnrepairableError) as caught:
        kg.load(path)
    codes = {f.code for f in caught.value.report.unresolved}
    assert codes == ({"KG302"} if where == "tensor" else {"KG304", "KG305", "KG101"})


def test_the_next_save_takes_the_old_companion_away(tmp_path: Path) -> None:
    path = save(hiding("private"), tmp_path / "m.keras")
    first = companions(tmp_path)
    save(hiding("private"), path)
    assert companions(tmp_path) != first
    assert len(companions(tmp_path)) == 1
    save(keras.Sequential([keras.Input((3,)), layers.Dense(1)]), path)
    assert companions(tmp_path) == []


def test_checkpoint_manifest_and_companion_can_be_renamed_together(tmp_path: Path) -> None:
    model = hiding("private")
    save(model, tmp_path / "m.keras")
    for item in list(tmp_path.iterdir()):
        item.rename(tmp_path / item.name.replace("m.keras", "best.keras"))
    again = kg.load(tmp_path / "best.keras")
    assert np.array_equal(again(np.ones((1, 3))), model(np.ones((1, 3))))


def test_a_model_that_changed_after_the_save_keeps_nothing(tmp_path: Path) -> None:
    model = hiding("private")
    model.save(tmp_path / "m.keras")
    kg.record(tmp_path / "m.keras", model)
    assert len(companions(tmp_path)) == 1
    model.layers[1].kernel.assign(model.layers[1].kernel + 1)
    with (
        pytest.warns(UserWarning, match="has changed since it was saved"),
        pytest.warns(UserWarning, match=r"cannot keep them .*hiding/one/kernel"),
    ):
        kg.record(tmp_path / "m.keras", model)
    assert companions(tmp_path) == []


def test_a_failed_restore_takes_hidden_state_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(hiding("private"), tmp_path / "m.weights.h5")
    model = hiding("private")
    x = np.ones((1, 3))
    before = np.asarray(model(x))

    def fail(*_: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr("kerasguard.models.assign.Sink._load_assets", fail)
    monkeypatch.setattr("kerasguard.loader.reading.Reading.assets", lambda _: {"a": b""})
    with pytest.raises(errors.RestoreError):
        kg.load(path, model)
    assert np.array_equal(model(x), before)


def test_a_companion_is_a_source_of_tensors_of_every_dtype(tmp_path: Path) -> None:
    arrays = {
        f"a/{name}": np.arange(6).reshape(2, 3).astype(numpy_dtype(name))
        for name in safetensors.DTYPES
    }
    arrays["empty"], arrays["scalar"] = np.zeros((0, 3), "float32"), np.array(3, "int64")
    name = companion.name_of("m.keras", "0123456789")
    content, extents = safetensors.pack(arrays, name)
    (tmp_path / name).write_bytes(content)
    with safetensors.Safetensors(tmp_path / name) as found:
        assert found.skeleton() == companion.described(name, content).skeleton
        for key, array in arrays.items():
            assert found.specs()[key].shape == array.shape
            assert np.array_equal(found.read(key), array)
            assert extents[key].length == array.nbytes


def test_small_state_lies_in_the_manifest_and_makes_no_file_of_its_own(
    tmp_path: Path, small_state: None
) -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1), layers.Dropout(0.5)])
    model.compile("adam", "mse", metrics=["mae"], run_eagerly=True)
    x = np.ones((8, 3), "float32")
    model.fit(x, x[:, :1], epochs=1, verbose=0)
    for name in ("m.keras", "m.weights.h5"):
        path = save(model, tmp_path / name)
        manifest = sidecar.read(path)
        assert manifest is not None
        assert (manifest.companion, manifest.requires) == (None, ("inline",))
        held = {record.label: record.data for record in manifest.unwritten}
        assert all(data is not None for data in held.values())
        assert len(held) >= 3  # the seed, and of each metric total and count
        assert kg.verify(path).ok
        assert kg.verify(path, sha256=True).ok
        again = keras.models.clone_model(model)
        again.compile("adam", "mse", metrics=["mae"], run_eagerly=True)
        again.fit(x, x[:, :1], epochs=1, verbose=0)
        again.layers[-1].seed_generator.state.assign([7, 7])
        report = kg.restore(path, model=again).report
        assert report.ok, report
        state = model.layers[-1].seed_generator.state.numpy()
        np.testing.assert_array_equal(again.layers[-1].seed_generator.state, state)
    assert companions(tmp_path) == []


def test_small_state_that_was_changed_is_found_by_the_manifests_own_digest(
    tmp_path: Path, small_state: None
) -> None:
    path = save(
        keras.Sequential([keras.Input((3,)), layers.Dense(1), layers.Dropout(0.5)]),
        tmp_path / "m.keras",
    )
    place = sidecar.place_of(path)
    text = place.read_text("utf-8")
    data = text.partition('"data":"')[2].partition('"')[0]
    assert data
    other = ("B" if data[0] == "A" else "A") + data[1:]
    place.write_text(text.replace(data, other), "utf-8")
    with pytest.raises(errors.ManifestError, match="does not match its own digest"):
        kg.verify(path)
    place.write_text(text.replace(data, data[:-4]), "utf-8")
    with pytest.raises(errors.ManifestError, match=r"data|written"):
        kg.verify(path)
