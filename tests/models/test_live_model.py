"""The expected table of a live model is what Keras writes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")
from keras_zoo import MARKS, ZOO  # noqa: E402  needs keras

from kerasguard.models.live_model import architecture, model_table  # noqa: E402

pytestmark = MARKS
layers = keras.layers


def written(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Keys and specs of the datasets in a `.weights.h5`."""
    found: dict[str, tuple[tuple[int, ...], str]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = (item.shape, item.attrs.get("dtype", item.dtype.name))

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


@pytest.mark.parametrize("kind", ZOO)
def test_the_table_has_the_keys_and_specs_that_keras_writes(kind: str, tmp_path: Path) -> None:
    model = ZOO[kind]()
    model.save_weights(tmp_path / "a.weights.h5")
    table = model_table(model)
    specs = {key: (record.spec.shape, record.spec.dtype) for key, record in table.tensors.items()}
    assert specs == written(tmp_path / "a.weights.h5")


@pytest.mark.parametrize("kind", ZOO)
def test_every_tensor_belongs_to_a_layer_of_the_table(kind: str) -> None:
    table = model_table(ZOO[kind]())
    for record in table.tensors.values():
        if record.role == "weight" and record.layer:
            assert record.layer in table.layers
            assert table.layers[record.layer].name in record.name.split("/")


def known(model: Any) -> dict[str, Any]:
    """Layer records without the parts of stock layers, whose names Keras makes up anew."""
    found = model_table(model).layers
    return {key: record for key, record in found.items() if record.config_digest}


def test_names_are_the_chain_of_layer_names() -> None:
    names = {r.key: r.name for r in model_table(ZOO["nested"]()).tensors.values()}
    assert names["layers/functional/layers/dense/vars/0"] == "encoder/dense/kernel"
    assert "hidden/kernel" in {r.name for r in model_table(ZOO["sequential"]()).tensors.values()}
    recurrent = {r.name for r in model_table(ZOO["recurrent"]()).tensors.values()}
    assert "bidirectional/forward_lstm/lstm_cell/kernel" in recurrent


@pytest.mark.parametrize("kind", ["nested", "adam", "attention", "convolutional", "recurrent"])
def test_a_reloaded_model_has_the_same_table(kind: str, tmp_path: Path) -> None:
    model = ZOO[kind]()
    model.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    assert model_table(again).tensors == model_table(model).tensors
    assert known(again) == known(model)


def test_slots_name_the_weight_that_they_belong_to() -> None:
    table = model_table(ZOO["adam"]())
    by_name = {record.name: record for record in table.tensors.values()}
    slot = by_name["optimizer/velocity/head/kernel"]
    assert (slot.slot, slot.role) == ("velocity", "optimizer")
    assert table.tensors[slot.slot_of].name == "head/kernel"
    assert by_name["optimizer/iteration"].slot_of == ""
    assert by_name["optimizer/learning_rate"].slot == "learning_rate"


def test_slots_are_told_apart_where_one_path_is_the_start_of_another() -> None:
    x = keras.Input((2,))
    y = layers.Dense(2, name="a")(x)
    model = keras.Model(x, layers.Dense(2, name="a_kernel")(y))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.5), "mse")
    model.optimizer.build(model.trainable_variables)
    table = model_table(model)
    slots = {r.name: table.tensors[r.slot_of].name for r in table.tensors.values() if r.slot_of}
    assert slots == {f"optimizer/momentum/{name}": name for name in slots.values()}
    assert len(slots) == 4


@pytest.mark.parametrize("kind", ["adam_ema", "loss_scale", "adafactor", "nadam"])
def test_every_slot_of_every_optimizer_finds_its_weight(kind: str) -> None:
    model = ZOO[kind]()
    table = model_table(model)
    slots = [r for r in table.tensors.values() if r.role == "optimizer"]
    owned = [r for r in slots if r.slot_of]
    assert len(owned) >= 2 * 6
    assert all(table.tensors[r.slot_of].role == "weight" for r in owned)
    variables = {id(v) for v in model.optimizer.variables}  # some are stored twice
    assert len({r.name for r in slots}) == len(variables)
    assert not any("sequential" in r.slot or "head" in r.slot for r in slots)


def test_without_the_optimizer_only_weights_are_left() -> None:
    model = ZOO["adam"]()
    assert {r.role for r in model_table(model, optimizer=False).tensors.values()} == {"weight"}


def test_trainable_follows_the_model() -> None:
    model = ZOO["convolutional"]()
    model.layers[1].trainable = False
    flags = {r.name: r.trainable for r in model_table(model).tensors.values()}
    assert flags["conv/kernel"] is False
    assert flags["batch_normalization/gamma"] is True
    assert flags["batch_normalization/moving_mean"] is False


@pytest.mark.parametrize("kind", ["functional", "nested", "recurrent", "own_format", "adam"])
def test_the_architecture_is_what_the_file_holds(kind: str, tmp_path: Path) -> None:
    model = ZOO[kind]()
    model.save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        written_config = json.loads(archive.read("config.json"))
    found = architecture(model)
    assert uncounted(found) == uncounted(written_config)
    assert architecture(model) == found


def uncounted(value: Any) -> Any:
    """Without the numbers of shared objects, which Keras takes from where they lie in memory."""
    if isinstance(value, dict):
        return {k: uncounted(v) for k, v in value.items() if k != "shared_object_id"}
    return [uncounted(item) for item in value] if isinstance(value, list) else value


def test_a_model_without_a_usable_config_has_no_architecture() -> None:
    class Opaque(keras.Model):  # type: ignore[misc,name-defined]
        def __init__(self, thing: object) -> None:
            super().__init__()
            self.thing = thing

    assert architecture(Opaque(object())) is None


def test_reading_the_table_changes_no_value() -> None:
    model = ZOO["adam"]()
    before = [np.asarray(v) for v in (*model.variables, *model.optimizer.variables)]
    model_table(model)
    after = [np.asarray(v) for v in (*model.variables, *model.optimizer.variables)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
