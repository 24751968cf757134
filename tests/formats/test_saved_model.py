from __future__ import annotations

import random
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tf_bundles import message, write_bundle

from kerasguard.errors import CheckpointError, CheckpointNotFoundError, CorruptCheckpointError
from kerasguard.formats.saved_model import SavedModel
from kerasguard.formats.tensorflow.keras_metadata import plain, read_program

GOLDEN = Path(__file__).parent.parent / "golden" / "saved_model"
NAMES = sorted(file.stem for file in GOLDEN.glob("*.npz"))


@pytest.fixture(params=NAMES)
def golden(request: pytest.FixtureRequest) -> Iterator[SavedModel]:
    with SavedModel(GOLDEN / request.param) as model:
        yield model


def test_every_weight_of_a_golden_model_is_found_bit_equal(golden: SavedModel) -> None:
    assert_weights(golden, GOLDEN / f"{golden.path.name}.npz")
    assert golden.verify_container() == []


def test_every_saved_model_of_eight_tensorflow_versions_reads_bit_equal(
    repository: Path, tmp_path: Path
) -> None:
    for archive in sorted((repository / "tests/golden/writers").glob("tf2.*.tar.xz")):
        with tarfile.open(archive) as tar:
            wanted = [m for m in tar if "/savedmodel/" in m.name or m.name.endswith(".npz")]
            tar.extractall(tmp_path, wanted, filter="data")
    count = 0
    for folder in sorted(tmp_path.glob("*/savedmodel/*")):
        version = folder.parent.parent.name
        with SavedModel(folder) as model:
            assert_weights(model, folder.parent.parent / f"{folder.name}.npz")
            config = model.architecture()
            # Keras 3 exports no config; of a subclassed model nothing but its class is known.
            assert (config is None) == (version == "tf2.21.0")
            if config is not None and folder.name == "subclassed":
                assert (config["class_name"], config["config"]) == ("Sub", {})
            assert model.writer()["tensorflow"] == version.removeprefix("tf")
        count += 1
    assert count == 140


def test_extents_hold_the_bytes_that_read_returns(golden: SavedModel) -> None:
    files = golden.files()
    for key, record in golden.table().tensors.items():
        extent = record.extent
        assert extent is not None
        assert extent.file == "variables/variables.data-00000-of-00001"
        data = files[extent.file].pread(extent.offset, extent.length)
        assert data == golden.read(key).tobytes()


def test_layers_have_the_names_and_classes_of_the_metadata() -> None:
    for name in ("tf2.0.4-mlp", "tf2.15.1-mlp"):
        with SavedModel(GOLDEN / name) as model:
            table = model.table()
        assert table.addressing == "order"
        assert [(u.name, u.class_name) for u in table.layers.values()] == [
            ("dense_layer", "Dense"),
            ("output_layer", "Dense"),
        ]


def test_the_architecture_is_the_root_models_config_as_hdf5_has_it() -> None:
    with SavedModel(GOLDEN / "tf2.15.1-mlp") as model:
        config = model.architecture()
        assert model.writer() == {
            "keras": "2.15.0", "backend": "tensorflow", "tensorflow": "2.15.1",
        }  # fmt: skip
    assert config is not None
    assert config["class_name"] == "Functional"
    first = config["config"]["layers"][0]
    assert first["config"]["batch_input_shape"] == [None, 6]


def test_every_layer_has_the_config_of_the_metadata() -> None:
    for name in ("tf2.0.4-mlp", "tf2.15.1-mlp"):
        with SavedModel(GOLDEN / name) as model:
            configs = model.layer_configs()
            assert list(configs) == list(model.table().layers)
        assert [c["config"]["activation"] for c in configs.values()] == ["relu", "softmax"]


def test_metadata_of_tensorflow_before_2_5_lies_in_the_program() -> None:
    with SavedModel(GOLDEN / "tf2.0.4-mlp") as model:
        config = model.architecture()
        assert model.writer()["keras"] == "2.2.4-tf"
        assert "keras_metadata.pb" not in model.files()
    assert config is not None
    assert [layer["class_name"] for layer in config["config"]["layers"]] == [
        "InputLayer", "Dense", "Dense",
    ]  # fmt: skip


def test_an_export_of_keras_3_is_keyed_by_variables_paths() -> None:
    with SavedModel(GOLDEN / "tf2.21.0-mlp") as model:
        table = model.table()
        assert model.architecture() is None
        assert model.writer()["keras"] == "3"
    weights = [key for key, record in table.tensors.items() if record.role == "weight"]
    assert weights == [
        "dense_layer/kernel",
        "dense_layer/bias",
        "output_layer/kernel",
        "output_layer/bias",
    ]
    assert {r.role for key, r in table.tensors.items() if key not in weights} == {"state"}
    assert [layer.name for layer in table.layers.values()] == ["dense_layer", "output_layer"]


def test_a_folder_is_recognised_by_what_its_program_holds(tmp_path: Path) -> None:
    assert SavedModel.recognises(GOLDEN / NAMES[0])
    assert SavedModel.recognises(GOLDEN / NAMES[0] / "saved_model.pb")
    assert not SavedModel.recognises(tmp_path)
    assert not SavedModel.recognises(tmp_path / "nothing")
    (tmp_path / "saved_model.pb").write_bytes(b"\x89PNG")
    assert not SavedModel.recognises(tmp_path)


def test_the_program_leads_to_its_folder() -> None:
    with SavedModel(GOLDEN / NAMES[0] / "saved_model.pb") as model:
        assert model.path == GOLDEN / NAMES[0]


def test_a_model_without_variables_has_an_empty_table(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(message((1, 1), (2, message((1, b"")))))
    with SavedModel(tmp_path) as model:
        assert dict(model.table().tensors) == {}
        assert model.architecture() is None
        assert model.verify_container() == []


def test_a_saved_model_of_tensorflow_1_goes_by_names(tmp_path: Path) -> None:
    about = message((5, "1.15.5"))
    (tmp_path / "saved_model.pb").write_bytes(message((1, 1), (2, message((1, about)))))
    (tmp_path / "variables").mkdir()
    write_bundle(tmp_path / "variables" / "variables", {"dense/kernel": np.ones(2, "float32")})
    with SavedModel(tmp_path) as model:
        assert model.table().addressing == "name"
        assert model.writer()["tensorflow"] == "1.15.5"
        assert model.read("dense/kernel").tolist() == [1, 1]


def test_a_missing_program_or_data_file_is_named(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / NAMES[0], tmp_path / "x")
    (tmp_path / "x" / "variables" / "variables.data-00000-of-00001").unlink()
    with pytest.raises(CorruptCheckpointError, match=r"variables\.data-00000-of-00001 is missing"):
        SavedModel(tmp_path / "x")
    with pytest.raises(CheckpointNotFoundError, match=r"saved_model\.pb"):
        SavedModel(tmp_path)


@pytest.mark.parametrize("name", ["saved_model.pb", "keras_metadata.pb"])
def test_damage_to_what_has_no_checksum_is_refused_or_harmless(tmp_path: Path, name: str) -> None:
    """Never another exception: what cannot be parsed is said to be damaged, with the folder."""
    shutil.copytree(GOLDEN / "tf2.15.1-mlp", tmp_path / "x")
    good = (tmp_path / "x" / name).read_bytes()
    chance = random.Random(0)
    refused = []
    for _ in range(150):
        bad = bytearray(good)
        for _ in range(chance.choice((1, 4))):
            bad[chance.randrange(min(len(bad), 1 << 20))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.2:
            del bad[chance.randrange(len(bad)) :]
        (tmp_path / "x" / name).write_bytes(bad)
        try:
            with SavedModel(tmp_path / "x") as model:
                model.table()
                model.architecture()
                model.writer()
        except CheckpointError as error:
            refused.append(str(error))
    assert len(refused) > 5
    assert all(text.startswith(str(tmp_path / "x")) for text in refused)


def test_the_program_needs_a_graph() -> None:
    with pytest.raises(ValueError, match="no graph"):
        read_program(message((1, 1)))


def test_marks_of_tuples_and_shapes_are_taken_off() -> None:
    marked = {
        "shape": {"class_name": "TensorShape", "items": [None, 2]},
        "size": [{"class_name": "__tuple__", "items": [{"a": 1}]}],
        "layer": {"class_name": "Dense", "config": {}},
    }
    assert plain(marked) == {
        "shape": [None, 2],
        "size": [[{"a": 1}]],
        "layer": {"class_name": "Dense", "config": {}},
    }


def assert_weights(model: SavedModel, arrays: Path) -> None:
    """The table's weights are the archive's arrays `w0000`, ..., no more and no fewer."""
    with np.load(arrays) as archive:
        wanted = sorted(_bits(archive[key]) for key in archive.files if key.startswith("w"))
    records = [r for r in model.table().tensors.values() if r.role == "weight"]
    assert sorted(_bits(model.read(r.key)) for r in records) == wanted, model.path


def _bits(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()
