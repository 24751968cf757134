"""What a legacy HDF5 file tells: tables, names, writer, config; and what it is refused for."""

from __future__ import annotations

import json
import tarfile
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from kerasguard.errors import CorruptCheckpointError
from kerasguard.formats.legacy_h5 import LegacyH5

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a legacy file: `layers` is {layer: {weight name: array}}, in order."""

    def make(
        layers: Mapping[str, Mapping[str, Any]],
        *,
        full: bool = True,
        attributes: Mapping[str, Any] | None = None,
        name: str = "model.h5",
        encode: Callable[[str], Any] = str.encode,
    ) -> Path:
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            place = file.create_group("model_weights") if full else file
            place.attrs["layer_names"] = [encode(layer) for layer in layers]
            for layer, weights in layers.items():
                group = place.create_group(layer)
                group.attrs["weight_names"] = [encode(weight) for weight in weights]
                for weight, array in weights.items():
                    group.create_dataset(weight, data=array)
            for key, value in (attributes or {}).items():
                file.attrs[key] = value
        return path

    return make


DENSE = {"dense": {"dense/kernel:0": np.ones((2, 3), "f4"), "dense/bias:0": np.zeros(3, "f4")}}


def test_a_full_model_is_read_with_layers_names_and_places(write: Write) -> None:
    layers = {"input_1": {}, **DENSE, "out": {"out/kernel:0": np.full((3, 1), 2.0, "f4")}}
    with LegacyH5(write(layers)) as checkpoint:
        table = checkpoint.table()
        assert list(table.tensors) == [
            "model_weights/dense/dense/kernel:0",
            "model_weights/dense/dense/bias:0",
            "model_weights/out/out/kernel:0",
        ]
        kernel = table.tensors["model_weights/dense/dense/kernel:0"]
        assert (kernel.name, kernel.variable) == ("dense/dense/kernel:0", "kernel")
        assert kernel.layer == "model_weights/dense"
        assert [layer.position for layer in table.layers.values()] == [-1, 0, 1]
        assert table.addressing == "order"
        assert kernel.extent is not None
        assert kernel.extent.file == "model.h5"
        raw = checkpoint.files()["model.h5"].pread(kernel.extent.offset, kernel.extent.length)
        assert np.frombuffer(raw, "<f4").tolist() == [1.0] * 6
        assert checkpoint.read("model_weights/out/out/kernel:0").tolist() == [[2.0]] * 3


def test_a_weights_only_file_has_its_layers_at_the_root(write: Write) -> None:
    path = write(DENSE, full=False, attributes={"keras_version": "2.2.4", "backend": "theano"})
    with LegacyH5(path) as checkpoint:
        assert list(checkpoint.table().layers) == ["dense"]
        assert checkpoint.architecture() is None
        expected = {"format": "legacy_h5", "keras": "2.2.4", "backend": "theano"}
        assert checkpoint.writer() == expected


@pytest.mark.parametrize("encode", [str, str.encode, np.bytes_])
def test_names_may_be_bytes_or_text(write: Write, encode: Callable[[str], Any]) -> None:
    with LegacyH5(write(DENSE, encode=encode)) as checkpoint:
        assert len(checkpoint.table().tensors) == 2


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "model", "model.hdf5.txt"])
def test_the_file_is_recognised_whatever_its_name(write: Write, name: str) -> None:
    assert LegacyH5.recognises(write(DENSE, name=name))
    assert LegacyH5.recognises(write(DENSE, name=name, full=False))


def test_other_files_are_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("layer_names")
    with h5py.File(tmp_path / "new.h5", "w") as file:
        file.create_group("layers/dense/vars")
    assert not LegacyH5.recognises(tmp_path / "text")
    assert not LegacyH5.recognises(tmp_path / "new.h5")
    assert not LegacyH5.recognises(tmp_path)
    assert not LegacyH5.recognises(tmp_path / "nothing")


def test_names_in_several_attributes_are_joined(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [b"a", b"b"], [b"c"]
        for layer in "abc":
            group = file.create_group(layer)
            group.attrs["weight_names0"] = [f"{layer}/kernel:0".encode()]
            group.attrs["weight_names1"] = [f"{layer}/bias:0".encode()]
            group.create_dataset(f"{layer}/kernel:0", data=np.ones((1, 1), "f4"))
            group.create_dataset(f"{layer}/bias:0", data=np.ones(1, "f4"))
    assert LegacyH5.recognises(tmp_path / "m.h5")
    with LegacyH5(tmp_path / "m.h5") as checkpoint:
        names = [record.name for record in checkpoint.table().tensors.values()]
    assert names == [f"{layer}/{layer}/{v}:0" for layer in "abc" for v in ("kernel", "bias")]


def test_a_layer_name_with_a_slash_is_a_group_in_a_group(write: Write) -> None:
    with LegacyH5(write({"mel/mag": {"mel/mag/kernel:0": np.ones(2, "f4")}})) as checkpoint:
        (layer,) = checkpoint.table().layers.values()
        (record,) = checkpoint.table().tensors.values()
    assert (layer.key, layer.name) == ("model_weights/mel/mag", "mel/mag")
    assert (record.name, record.variable) == ("mel/mag/mel/mag/kernel:0", "kernel")


@pytest.mark.parametrize(("suffix", "backend"), [(":0", "tensorflow"), ("", "theano")])
def test_keras_1_names_tell_the_variable_and_the_backend(
    write: Write, suffix: str, backend: str
) -> None:
    names = ["forward_lstm_1_W_i", "bn_0_freq_running_std_1", "conv_1_b", "dense_1_W"]
    path = write({"all": {f"{name}{suffix}": np.ones(1, "f4") for name in names}})
    with LegacyH5(path) as checkpoint:
        variables = [record.variable for record in checkpoint.table().tensors.values()]
        expected = {"format": "legacy_h5", "keras": "1", "backend": backend}
        assert checkpoint.writer() == expected
    assert variables == ["W_i", "running_std", "b", "W"]


def test_files_from_before_keras_1_are_read_by_number(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "vgg.h5", "w") as file:
        file.attrs["nb_layers"] = 2
        file.create_group("layer_0").attrs["nb_params"] = 0
        group = file.create_group("layer_1")
        group.attrs["nb_params"] = 2
        group.create_dataset("param_0", data=np.ones((3, 2), "f4"))
        group.create_dataset("param_1", data=np.ones(2, "f4"))
    assert LegacyH5.recognises(tmp_path / "vgg.h5")
    with LegacyH5(tmp_path / "vgg.h5") as checkpoint:
        assert list(checkpoint.table().tensors) == ["layer_1/param_0", "layer_1/param_1"]
        assert checkpoint.writer() == {"format": "legacy_h5", "keras": "1"}


@pytest.mark.parametrize("where", ["nb_layers", "nb_params"])
@pytest.mark.parametrize("told", [50_000_000, 2**62, "abc", [1, 2], float("nan"), float("inf")])
def test_a_number_that_the_file_cannot_hold_is_not_counted_to(
    tmp_path: Path, where: str, told: Any
) -> None:
    path = tmp_path / "vgg.h5"
    with h5py.File(path, "w") as file:
        file.attrs["nb_layers"] = 1
        group = file.create_group("layer_0")
        group.attrs["nb_params"] = 1
        group["param_0"] = np.ones(2, "f4")
        (file if where == "nb_layers" else group).attrs[where] = told
    tracemalloc.start()
    try:
        with LegacyH5(path) as checkpoint:
            assert [*checkpoint.table().tensors] == ["layer_0/param_0"]
            assert where == "nb_layers"
    except CorruptCheckpointError as error:
        assert "vgg.h5" in str(error)  # noqa: PT017
        assert where == "nb_params" or not isinstance(told, int)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("times", [1, 2])
def test_the_config_is_parsed_once_or_twice_encoded(write: Write, times: int) -> None:
    config: Any = {
        "class_name": "Sequential",
        "config": [{"class_name": "Dense", "config": {"name": "dense", "units": 3}}],
    }
    text = config
    for _ in range(times):
        text = json.dumps(text)
    path = write(DENSE, attributes={"model_config": text, "training_config": '{"loss": "mse"}'})
    with LegacyH5(path) as checkpoint:
        assert checkpoint.architecture() == {**config, "training_config": {"loss": "mse"}}
        assert checkpoint.table().layers["model_weights/dense"].class_name == "Dense"


def test_bfloat16_is_two_opaque_bytes(write: Write) -> None:
    value = np.arange(4).astype(ml_dtypes.bfloat16)
    with LegacyH5(write({"a": {"a/kernel": value.view("V2")}})) as checkpoint:
        (key,) = checkpoint.table().tensors
        assert checkpoint.specs()[key].dtype == "bfloat16"
        assert checkpoint.read(key).tolist() == [0, 1, 2, 3]


def test_weights_of_the_model_itself_are_a_layer_of_their_own(write: Write) -> None:
    path = write(DENSE)
    with h5py.File(path, "a") as file:
        group = file["model_weights"].create_group("top_level_model_weights")
        group.attrs["weight_names"] = [b"temperature:0"]
        group.create_dataset("temperature:0", data=np.float32(3))
    with LegacyH5(path) as checkpoint:
        record = list(checkpoint.table().tensors.values())[-1]
    assert record.layer == "model_weights/top_level_model_weights"
    assert record.spec.shape == ()


@pytest.mark.parametrize(
    ("names", "slots"),
    [
        (["Adam/iter:0", "Adam/dense/kernel/m:0"], [("iteration", ""), ("momentum", "kernel")]),
        (["iteration:0", "Adam/v/dense/kernel:0"], [("iteration", ""), ("velocity", "kernel")]),
        (["Adamax/u/dense/kernel:0"], [("norm", "kernel")]),
        (["training/SGD/dense/bias/momentum:0"], [("momentum", "bias")]),
        (["training/Adam/Variable_3:0"], [("Variable_3", "")]),
    ],
)
def test_optimizer_slots_are_told_by_their_names(
    write: Write, names: list[str], slots: list[tuple[str, str]]
) -> None:
    path = write(DENSE)
    with h5py.File(path, "a") as file:
        group = file.create_group("optimizer_weights")
        group.attrs["weight_names"] = [name.encode() for name in names]
        for name in names:
            group.create_dataset(name, data=np.float32(0))
    with LegacyH5(path) as checkpoint:
        found = [r for r in checkpoint.table().tensors.values() if r.role == "optimizer"]
    keys = [f"model_weights/dense/dense/{v}:0" if v else "" for _, v in slots]
    assert [(r.slot, r.slot_of) for r in found] == [
        (slot, key) for (slot, _), key in zip(slots, keys, strict=True)
    ]


def test_a_save_that_failed_half_way_is_refused(write: Write) -> None:
    path = write(DENSE)
    with h5py.File(path, "a") as file:
        file["model_weights/dense"].attrs["weight_names"] = [b"dense/kernel:0", b"dense/kernel:0"]
    with LegacyH5(path) as checkpoint, pytest.raises(CorruptCheckpointError, match="twice"):
        checkpoint.table()


def test_a_listed_weight_without_data_is_refused_by_name(write: Write) -> None:
    path = write(DENSE)
    with h5py.File(path, "a") as file:
        del file["model_weights/dense/dense/bias:0"]
    with (
        LegacyH5(path) as checkpoint,
        pytest.raises(CorruptCheckpointError, match=r"model\.h5: weight 'dense/dense/bias:0'"),
    ):
        checkpoint.table()


def test_a_config_that_is_no_json_is_refused(write: Write) -> None:
    path = write(DENSE, attributes={"model_config": '{"class_name": '})
    with LegacyH5(path) as checkpoint, pytest.raises(CorruptCheckpointError, match="model_config"):
        checkpoint.architecture()


@pytest.fixture(scope="module")
def golden(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Golden files of three writers, unpacked; `tests/test_writers.py` has them all."""
    folder = tmp_path_factory.mktemp("golden")
    for writer in ("tf1.12.3", "tf2.0.4", "tf2.15.1"):
        with tarfile.open(repository / f"tests/golden/writers/{writer}.tar.xz") as archive:
            flat = [m for m in archive if m.name.count("/") == 1 and not m.isdir()]
            archive.extractall(folder, flat, filter="data")
    return folder


def test_every_golden_file_holds_the_weights_that_its_writer_had(golden: Path) -> None:
    seen = 0
    for info in sorted(golden.glob("*/*.json")):
        with np.load(info.with_suffix(".npz")) as arrays:
            weights = [arrays[key] for key in arrays.files if key.startswith("w")]
        for path in (info.with_suffix(".h5"), info.with_name(f"{info.stem}_weights.h5")):
            if not path.exists():
                continue
            with LegacyH5(path) as checkpoint:
                records = checkpoint.table().tensors
                found = [checkpoint.read(key) for key, r in records.items() if r.role == "weight"]
            assert Counter(a.tobytes() for a in found) == Counter(a.tobytes() for a in weights)
            seen += 1
    assert seen == 97


def test_golden_writers_are_told(golden: Path) -> None:
    with LegacyH5(golden / "tf1.12.3" / "mlp.h5") as checkpoint:
        assert checkpoint.writer()["keras"] == "2.1.6-tf"
        architecture = checkpoint.architecture()
    assert architecture is not None
    assert architecture["class_name"] == "Model"


@pytest.mark.parametrize("kind", ["string", "numbers", "compound", "empty"])
@pytest.mark.parametrize("name", ["m.h5", "m.weights.h5"])
def test_a_dataset_that_is_not_keras_own_is_ignored_and_said(
    tmp_path: Path, name: str, kind: str
) -> None:
    keras = pytest.importorskip("keras")
    import kerasguard as kg

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    (model.save_weights if "weights" in name else model.save)(tmp_path / name)
    with h5py.File(tmp_path / name, "a") as file:
        file["labels"] = {
            "string": "cat,dog",
            "numbers": np.arange(3),
            "compound": np.zeros(2, [("a", "f4"), ("b", "i4")]),
            "empty": h5py.Empty("f4"),
        }[kind]
    before = np.asarray(model.layers[0].kernel)
    restored = kg.restore(tmp_path / name, model=model)
    assert np.array_equal(model.layers[0].kernel, before)
    notes = [str(f.severity.value) for f in restored.report.findings]
    assert notes == ([] if name == "m.h5" and kind == "numbers" else ["info"])
    kg.inspect(tmp_path / name)
    kg.record(tmp_path / name, model)
    kg.load(tmp_path / name, model=model)


def test_a_listed_weight_of_strings_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        group = file.create_group("dense")
        group.attrs["weight_names"] = [b"kernel"]
        group["kernel"] = "words"
    with pytest.raises(CorruptCheckpointError, match="dense/kernel holds HDF5 type class"):
        LegacyH5(path).table()
