"""The pipelines end to end on real files of today's Keras."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from surveyed import is_as_recorded

import kerasguard as kg
from kerasguard import errors, guard
from kerasguard.checkpoints import inspect
from kerasguard.models import variables
from kerasguard.storage import sidecar

pytestmark = pytest.mark.keras
FORMATS = ("m.keras", "m.weights.h5", "m.weights.json", "folder")


def net(names: tuple[str, ...] = ("body", "middle", "head"), dtype: str = "float32") -> keras.Model:
    """Three same-shaped layers in a row and a normalisation."""
    layers = [keras.layers.Dense(4, activation="tanh", name=name, dtype=dtype) for name in names]
    last = keras.layers.BatchNormalization(dtype=dtype)
    model = keras.Sequential([keras.Input((4,)), *layers, last])
    return randomised(model)


def randomised(model: keras.Model) -> keras.Model:
    generator = np.random.default_rng(7)
    model.set_weights([generator.normal(size=w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def write(model: keras.Model, path: Path) -> Any:
    if path.name.endswith(".weights.h5"):
        return model.save_weights(path)
    if path.name.endswith(".weights.json"):
        return model.save_weights(path, max_shard_size=1e-7)
    return model.save(path, zipped=path.suffix == ".keras")


def save(model: keras.Model, path: Path) -> Path:
    guard.save(lambda target: write(model, target), path, model, strict=True)
    return path


def same(a: keras.Model, b: keras.Model) -> bool:
    pairs = zip(a.get_weights(), b.get_weights(), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One model in every format, recorded."""
    folder = tmp_path_factory.mktemp("saved")
    return {name: save(net(), folder / name) for name in FORMATS}


def copy(path: Path, folder: Path) -> Path:
    """The checkpoint with its sidecar and shards in another folder."""
    for item in path.parent.iterdir():
        if item.is_dir():
            shutil.copytree(item, folder / item.name)
        else:
            shutil.copy(item, folder / item.name)
    return folder / path.name


@pytest.mark.parametrize("name", FORMATS)
def test_a_recorded_checkpoint_is_as_recorded(name: str, saved: dict[str, Path]) -> None:
    report = kg.verify(saved[name])
    assert report.ok
    assert report.origin == "recorded"
    assert report.findings == ()
    manifest = sidecar.read(saved[name])
    assert manifest is not None
    assert is_as_recorded(saved[name], manifest)  # so this is the quick way, and this the other:
    assert inspect._compared(saved[name], saved[name], manifest) == report
    kernel = manifest.table.tensors["layers/dense/vars/0"]
    assert (kernel.name, kernel.variable, kernel.trainable) == ("body/kernel", "kernel", True)
    assert manifest.table.layers["layers/dense"].class_name == "Dense"


@pytest.mark.parametrize("name", FORMATS)
def test_a_checkpoint_is_restored_into_a_model_exactly(name: str, saved: dict[str, Path]) -> None:
    model = net()
    model.set_weights([w * 0 for w in model.get_weights()])
    restored = kg.restore(saved[name], model)
    assert restored.model is model
    assert same(model, net())
    assert restored.report.proven == len(model.weights)
    assert restored.report.findings == ()


@pytest.mark.parametrize("name", FORMATS)
def test_a_recorded_checkpoint_is_loaded_whole_even_where_it_holds_weights_only(
    name: str, saved: dict[str, Path]
) -> None:
    model = kg.load(saved[name])
    assert same(model, net())
    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(np.asarray(model(x)), np.asarray(net()(x)))
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(x, x, verbose=0)


@pytest.mark.parametrize("name", FORMATS)
def test_a_checkpoint_nobody_recorded_is_loaded_too(
    name: str, saved: dict[str, Path], tmp_path: Path
) -> None:
    path = copy(saved[name], tmp_path)
    sidecar.sidecar_path(path).unlink()
    model = kg.load(path, net())
    assert same(model, net())
    report = kg.verify(path)
    assert report.ok
    assert report.origin == "unrecorded"


def test_weights_alone_without_a_manifest_cannot_be_loaded_whole(
    saved: dict[str, Path], tmp_path: Path
) -> None:
    path = copy(saved["m.weights.h5"], tmp_path)
    sidecar.sidecar_path(path).unlink()
    with pytest.raises(errors.ArchitectureError, match="model=model"):
        kg.load(path)


def data_file(path: Path) -> Path:
    """The file of the checkpoint that holds the body's kernel."""
    if path.is_dir():
        return path / "model.weights.h5"
    if path.suffix == ".json":
        return next(path.parent.glob("m_*.weights.h5"))
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_flipped_bits_anywhere_are_found(name: str, saved: dict[str, Path], tmp_path: Path) -> None:
    path = copy(saved[name], tmp_path)
    file = data_file(path)
    intact = file.read_bytes()
    generator = np.random.default_rng(1)
    for offset in generator.integers(0, len(intact), 60):
        damaged = bytearray(intact)
        damaged[offset] ^= 1 << int(generator.integers(8))
        file.write_bytes(damaged)
        try:
            ok = kg.verify(path).ok
        except errors.KerasguardError:
            ok = False
        assert not ok, f"byte {offset} of {len(intact)}"
    file.write_bytes(intact)
    assert kg.verify(path).ok


def test_a_damaged_tensor_is_named_and_the_model_stays_as_it_was(
    saved: dict[str, Path], tmp_path: Path
) -> None:
    path = copy(saved["m.weights.h5"], tmp_path)
    with h5py.File(path, "r+") as file:
        file["layers/dense/vars/0"][0, 0] += 1.0
    model = net(("body", "middle", "head"))
    before = model.get_weights()
    with pytest.raises(kg.UnrepairableError) as caught:
        kg.load(path, model)
    assert "KG302 body/kernel" in str(caught.value)
    assert "was not changed" in str(caught.value)
    assert {f.code for f in caught.value.report.unresolved} == {"KG302"}
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    kg.load(path, model, manifest="ignore")
    assert model.get_weights()[0][0, 0] == before[0][0, 0] + 1.0


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("order", [("middle", "body", "head"), ("head", "middle", "body")])
def test_swapped_layers_follow_their_names(
    order: tuple[str, ...], recorded: bool, saved: dict[str, Path]
) -> None:
    model = net(order)
    kg.load(saved["m.weights.h5"], model, manifest="auto" if recorded else "ignore")
    for name in order:
        ours, theirs = model.get_layer(name).get_weights(), net().get_layer(name).get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_renamed_output_layer_is_restored_and_reported(saved: dict[str, Path]) -> None:
    restored = kg.restore(saved["m.weights.h5"], net(("body", "middle", "output")))
    assert same(restored.model, net())
    assert [f.code for f in restored.report.findings] == ["KG103"]


def unnamed(count: int) -> keras.Model:
    layers = [keras.layers.Dense(4, activation="tanh") for _ in range(count)]
    return randomised(keras.Sequential([keras.Input((4,)), *layers]))


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("recorded", [True, False])
def test_an_inserted_or_removed_layer_without_a_name_is_refused(
    count: int, recorded: bool, tmp_path: Path
) -> None:
    path = save(unnamed(3), tmp_path / "u.weights.h5")
    model = unnamed(count)
    before = model.get_weights()
    with pytest.raises(kg.UnrepairableError):
        kg.load(path, model, manifest="auto" if recorded else "ignore")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_auto_names_that_drifted_are_no_finding(tmp_path: Path) -> None:
    path = save(unnamed(3), tmp_path / "u.weights.h5")
    for manifest in ("auto", "ignore"):
        assert kg.restore(path, unnamed(3), manifest=manifest).report.findings == ()


def test_float64_values_that_round_are_refused_and_done_on_demand(tmp_path: Path) -> None:
    wide = randomised(net(dtype="float64"))
    path = save(wide, tmp_path / "wide.weights.h5")
    model = net()
    with pytest.raises(kg.UnrepairableError, match="rounds by up to"):
        kg.load(path, model)
    kg.load(path, model, repair="lossy")
    for a, b in zip(model.get_weights(), wide.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b.astype("float32"))


def test_float64_values_that_float32_can_hold_are_cast_by_default(
    saved: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "wide.weights.h5"
    shutil.copy(saved["m.weights.h5"], path)
    with h5py.File(path, "r+") as file:
        values = file["layers/dense/vars/0"][()].astype("float64")
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = values
    restored = kg.restore(path, net())
    assert same(restored.model, net())
    assert [f.code for f in restored.report.findings] == ["KG202"]


def by_path(model: keras.Model, dtype: str) -> dict[str, np.ndarray]:
    return {v.path: np.asarray(v).astype(dtype) for v in model.weights}


def test_float64_arrays_that_round_are_refused_and_set_on_demand() -> None:
    source = randomised(net(dtype="float64"))
    wide = by_path(source, "float64")
    model = net()
    before = model.get_weights()
    with pytest.raises(kg.UnrepairableError, match=r"arrays in memory: .*not changed") as caught:
        kg.load(wide, model)
    assert "rounds by up to" in str(caught.value)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    kg.load(wide, model, repair="lossy")
    for a, b in zip(model.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b.astype("float32"))


def test_arrays_are_set_by_name_in_any_order_and_byte_order() -> None:
    source = randomised(net())
    arrays = {k: a.astype(">f4") for k, a in reversed(by_path(source, "float32").items())}
    assert same(kg.load(arrays, net()), source)


def test_an_array_that_is_missing_or_has_another_shape_is_named() -> None:
    arrays = by_path(net(), "float32")
    first = next(iter(arrays))
    with pytest.raises(kg.UnrepairableError, match="KG101 body/kernel"):
        kg.load({k: a for k, a in arrays.items() if k != first}, net())
    with pytest.raises(kg.UnrepairableError, match="KG203 body/kernel"):
        kg.load({**arrays, first: np.zeros((7, 7), "float32")}, net())


@pytest.mark.parametrize("arrays", [{"kernel": np.ones(3)}, {"head/kernel": np.array(["a"])}])
def test_what_is_no_array_of_a_variable_is_a_typed_error(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(kg.KerasguardError, match=r"arrays in memory.*expected"):
        kg.load(arrays, net())


def adam() -> keras.Model:
    model = net()
    model.compile("adam", "mse", run_eagerly=True)
    x = np.ones((8, 4), "float32")
    model.fit(x, x * 0, verbose=0)
    return model


@pytest.mark.parametrize("name", ["o.keras", "o.weights.h5"])
def test_optimizer_state_is_restored(name: str, tmp_path: Path) -> None:
    trained = adam()
    path = save(trained, tmp_path / name)
    model = net()
    model.compile("adam", "mse", run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    restored = kg.restore(path, model)
    assert restored.report.optimizer == "restored"
    for a, b in zip(model.optimizer.variables, trained.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))


def test_a_compiled_model_is_loaded_with_its_optimizer_state_unless_told_not_to(
    tmp_path: Path,
) -> None:
    trained = adam()
    path = save(trained, tmp_path / "o.keras")
    restored = kg.restore(path)
    assert restored.report.optimizer == "restored"
    for a, b in zip(restored.model.optimizer.variables, trained.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))
    bare = kg.restore(path, compile=False)
    assert getattr(bare.model, "optimizer", None) is None
    assert "KG108" in {f.code for f in bare.report.findings}


def fail(*_: object, **__: object) -> None:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("step", range(12))
def test_a_failure_while_assigning_leaves_the_model_unchanged(
    step: int, saved: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = net(("a", "b", "c"))
    model.set_weights([w + 1 for w in model.get_weights()])
    before = [w.copy() for w in model.get_weights()]
    calls = [0]
    real = variables.write

    def failing(variable: Any, array: Any, way: Any) -> None:
        calls[0] += 1
        if calls[0] == step + 1:
            raise OSError(5, "Input/output error")
        real(variable, array, way)

    monkeypatch.setattr(variables, "write", failing)
    if step >= len(before):
        kg.load(saved["m.keras"], model)
        return
    with pytest.raises(errors.RestoreError):
        kg.load(saved["m.keras"], model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    "place",
    [
        "kerasguard.storage.opened_file.OpenedFile.scatter",
        "kerasguard.loader.reading.Arena.wait",
        "kerasguard.planning.operations.Step.apply",
        "kerasguard.loader.plan_restore.diagnose",
    ],
)
def test_a_failure_before_assigning_leaves_the_model_unchanged(
    place: str, saved: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = net(("a", "b", "c"))
    before = [w.copy() for w in model.get_weights()]
    monkeypatch.setattr(place, fail)
    with pytest.raises((OSError, errors.KerasguardError)):
        kg.load(saved["m.keras"], model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_an_unbuilt_model_that_is_not_the_files_is_refused(saved: dict[str, Path]) -> None:
    model = keras.Sequential([keras.layers.Dense(4)])
    with pytest.raises(kg.UnrepairableError, match="KG105 dense"):
        kg.load(saved["m.keras"], model)


def test_an_unbuilt_model_whose_input_nothing_tells_is_refused() -> None:
    with pytest.raises(errors.ModelError, match="never built"):
        kg.load({"dense/bias": np.zeros(4)}, keras.Sequential([keras.layers.Dense(4)]))


def test_a_manifest_of_another_checkpoint_is_named_stale(
    saved: dict[str, Path], tmp_path: Path
) -> None:
    other = save(unnamed(3), tmp_path / "other.weights.h5")
    shutil.copy(sidecar.sidecar_path(saved["m.weights.h5"]), sidecar.sidecar_path(other))
    report = kg.verify(other)
    assert not report.ok
    assert "KG303" in {f.code for f in report.findings}


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda text: "", errors.ManifestError),
        (lambda text: text[: len(text) // 2], errors.ManifestError),
        (lambda text: text.replace("manifest/1", "manifest/9"), errors.UnsupportedManifestError),
        (lambda text: text.replace('"shape":[4,4]', '"shape":[4,"4"]'), errors.ManifestError),
    ],
)
def test_a_broken_manifest_is_a_typed_error_that_names_the_file(
    damage: Callable[[str], str],
    error: type[Exception],
    saved: dict[str, Path],
    tmp_path: Path,
) -> None:
    path = copy(saved["m.keras"], tmp_path)
    place = sidecar.sidecar_path(path)
    place.write_text(damage(place.read_text("utf-8")), "utf-8")
    model = net()
    with pytest.raises(error, match="manifest"):
        kg.load(path, model)
    with pytest.raises(error, match=r"m\.keras"):
        kg.verify(path)


def test_a_manifest_can_be_required(saved: dict[str, Path], tmp_path: Path) -> None:
    path = copy(saved["m.keras"], tmp_path)
    sidecar.sidecar_path(path).unlink()
    with pytest.raises(errors.ManifestMissingError, match="record"):
        kg.load(path, manifest="require")


def test_an_existing_checkpoint_can_be_recorded_with_and_without_its_model(
    tmp_path: Path,
) -> None:
    path = tmp_path / "größe ✓.keras"
    model = net()
    model.save(path)
    without = kg.record(str(path))
    assert without.table.layers["layers/dense"].name == "body"
    with_model = kg.record(path, model)
    assert with_model.table.tensors["layers/dense/vars/1"].name == "body/bias"
    assert with_model.previous_id == without.checkpoint_id
    assert same(kg.load(path), model)
    assert json.loads(sidecar.sidecar_path(path).read_text("utf-8"))["schema"].endswith("/1")


def test_renames_map_names_of_a_person(saved: dict[str, Path]) -> None:
    model = net(("new_middle", "new_body", "new_head"))
    renames = {"body": "new_body", "middle": "new_middle", "head": "new_head"}
    kg.load(saved["m.weights.h5"], model, renames=renames)
    for old, new in renames.items():
        ours, theirs = model.get_layer(new).get_weights(), net().get_layer(old).get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


@keras.saving.register_keras_serializable("test_guard")
class Hidden(keras.layers.Layer):  # type: ignore[misc]
    """Keeps its sublayer where Keras does not look."""

    def build(self, shape: Any) -> None:
        self.kept = {keras.layers.Dense(3)}
        for layer in self.kept:
            layer.build(shape)
        self.built = True

    def call(self, x: Any) -> Any:
        for layer in self.kept:
            x = layer(x)
        return x


def test_what_keras_does_not_write_is_listed_kept_and_put_back(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), Hidden(name="hidden")])
    before = {id(v) for v in model.variables}
    if not before:  # this Keras does not even track the layers in a set
        pytest.skip("the model does not know the hidden layer's variables")
    path = tmp_path / "h.keras"
    guard.save(lambda target: model.save(target), path, model)
    manifest = sidecar.read(path)
    assert manifest is not None
    assert [r.spec.shape for r in manifest.unwritten if r.role == "weight"] == [(2, 3), (3,)]
    assert all(r.digest for r in manifest.unwritten)
    assert np.array_equal(kg.load(path)(np.ones((1, 2))), model(np.ones((1, 2))))
