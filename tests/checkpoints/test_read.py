"""Arrays out of every file: verified, one at a time, by the path of their variable."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from format_files import hdf5

import kerasguard as kg
from kerasguard.errors import ArgumentError, CheckpointError, CorruptCheckpointError

WRITERS = (
    "tf1.12.3",
    "tf1.15.5",
    "tf2.0.4",
    "tf2.3.1",
    "tf2.4.4",
    "tf2.8.4",
    "tf2.11.1",
    "tf2.12.1",
    "tf2.15.1",
    "tf2.21.0",
)
QUICK = ("tf1.12.3", "tf2.15.1", "tf2.21.0")
VALUES = {
    "layers/dense/vars/0": np.arange(12, dtype="float32").reshape(3, 4),
    "layers/dense/vars/1": np.ones(4, "float32"),
    "layers/dense_1/vars/0": np.arange(8, dtype="float32").reshape(4, 2),
    "layers/dense_1/vars/1": np.zeros(2, "float32"),
}


def _files(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Every checkpoint of an unpacked archive, with the arrays that its writer had."""
    for arrays in sorted(folder.glob("*.npz")):
        name = arrays.stem
        places = (f"{name}.h5", f"{name}_weights.h5", f"{name}.keras", f"savedmodel/{name}")
        yield from ((folder / place, arrays) for place in places if (folder / place).exists())
        for index in folder.glob(f"ckpt/{name}*.index"):
            if index.stem in (name, f"{name}-1"):
                yield index.with_suffix(""), arrays


@pytest.mark.parametrize(
    "writer",
    [pytest.param(w, marks=() if w in QUICK else (pytest.mark.slow,)) for w in WRITERS],
)
def test_every_golden_file_gives_the_arrays_that_its_writer_had(
    repository: Path, tmp_path: Path, writer: str
) -> None:
    with tarfile.open(repository / f"tests/golden/writers/{writer}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    seen = 0
    for path, arrays in _files(tmp_path / writer):
        with np.load(arrays) as known:
            expected = Counter(_look(known[k]) for k in known.files if k.startswith("w"))
        with kg.read(path) as found:
            assert Counter(map(_look, found.values())) == expected, path
        seen += 1
    assert seen >= 40, seen


def _look(array: Any) -> tuple[str, tuple[int, ...], bytes]:
    return str(array.dtype), array.shape, array.tobytes()


def test_no_framework_is_imported(tmp_path: Path) -> None:
    (tmp_path / "m.weights.h5").write_bytes(hdf5(VALUES))
    code = (
        "import sys, kerasguard as kg\n"
        "arrays = kg.read('m.weights.h5')\n"
        "print(arrays['layers/dense/vars/0'].sum())\n"
        "kg.average(['m.weights.h5', arrays])['layers/dense/vars/0']\n"
        "assert not {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "66.0\n"


MEMORY = """
import json, resource, sys
import kerasguard as kg
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
with kg.read(sys.argv[1]) as arrays:
    list(arrays), arrays.specs()
    before = peak()
    small = arrays["small/kernel"].sum()
    after = peak()
    large = arrays["large/kernel"].nbytes >> 20
print(json.dumps([after - before, float(small), large]))
"""


def test_a_large_file_costs_the_memory_of_the_tensors_that_are_touched(tmp_path: Path) -> None:
    """1 GiB that nobody wrote to, so it lies on no disk."""
    path = tmp_path / "large.safetensors"
    size = 1 << 30
    header = json.dumps(
        {
            "small/kernel": {"dtype": "F32", "shape": [256], "data_offsets": [0, 1024]},
            "huge/kernel": {"dtype": "F32", "shape": [size // 4], "data_offsets": [1024, size]},
            "large/kernel": {
                "dtype": "F32",
                "shape": [1 << 22],
                "data_offsets": [size, size + (1 << 24)],
            },
        }
    ).replace(str([size // 4]), str([(size - 1024) // 4]))
    text = header.encode() + b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + np.ones(256, "float32").tobytes())
        file.truncate(8 + len(text) + size + (1 << 24))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    more, small, large = json.loads(done.stdout)
    assert (small, large) == (256.0, 16)
    assert more < 8  # MiB


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "m.weights.h5"
    path.write_bytes(hdf5(VALUES, names={"layers/dense/vars": "body", "layers/dense_1/vars": "h"}))
    return path


def _flip(path: Path, array: Any) -> None:
    data = bytearray(path.read_bytes())
    data[data.find(array.tobytes()) + 5] ^= 1
    path.write_bytes(data)


def test_a_tensor_that_changed_since_it_was_recorded_is_refused_when_it_is_read(
    weights: Path,
) -> None:
    kg.record(weights)
    _flip(weights, VALUES["layers/dense/vars/0"])
    with kg.read(weights) as arrays:
        assert arrays.manifest is not None
        np.testing.assert_array_equal(
            arrays["layers/dense_1/vars/0"], VALUES["layers/dense_1/vars/0"]
        )
        with pytest.raises(CorruptCheckpointError, match="body/0: its bytes are not those"):
            arrays["layers/dense/vars/0"]
    with kg.read(weights, manifest="ignore") as arrays:
        assert arrays.manifest is None
        assert arrays["layers/dense/vars/0"].shape == (3, 4)


def test_what_differs_outside_the_tensors_is_refused_at_once(weights: Path) -> None:
    kg.record(weights)
    data = bytearray(weights.read_bytes())
    data[20] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CorruptCheckpointError, match=r"outside the tensors|HDF5"):
        kg.read(weights)


def test_a_manifest_can_be_demanded(weights: Path) -> None:
    with pytest.raises(kg.KerasguardError, match="there is no manifest"):
        kg.read(weights, manifest="require")


@pytest.mark.parametrize(
    "options", [{"path": 3}, {"path": ""}, {"manifest": "requird"}, {"optimizer": "yes"}]
)
def test_what_is_not_understood_is_refused(weights: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        kg.read(**{"path": weights, **options})


def test_arrays_are_a_mapping_that_can_be_closed(weights: Path) -> None:
    arrays = kg.read(weights)
    assert (len(arrays), "layers/dense/vars/0" in arrays, "x" in arrays) == (4, True, False)
    assert arrays.specs()["layers/dense/vars/1"] == kg.TensorSpec((4,), "float32")
    assert "4 tensors, 104 bytes, unrecorded" in repr(arrays)
    with pytest.raises(KeyError):
        arrays["x"]
    first = arrays["layers/dense/vars/0"]
    first[:] = 7
    assert arrays["layers/dense/vars/0"][0, 0] == 0
    arrays.close()
    with pytest.raises(CheckpointError, match="is closed"):
        arrays["layers/dense/vars/0"]


def test_a_name_that_two_tensors_have_gives_way_to_their_keys(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file({"a/kernel": np.ones(2), "b.weight": np.zeros(1)}, path)
    with kg.read(path) as arrays:
        assert sorted(arrays) == ["a/kernel", "b.weight"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Callable[[], Any]]:
    """One model in every format."""
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")

    def build() -> Any:
        image = keras.Input((6, 6, 2))
        body = keras.layers.Conv2D(3, 3, name="conv")(image)
        body = keras.layers.BatchNormalization(name="norm")(body)
        body = keras.layers.GlobalAveragePooling2D(name="pool")(body)
        backbone = keras.Model(image, body, name="backbone")
        inputs = keras.Input((6, 6, 2))
        return keras.Model(inputs, keras.layers.Dense(4, name="head")(backbone(inputs)))

    keras.utils.set_random_seed(3)
    model = build()
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(np.ones((2, 6, 6, 2)), np.ones((2, 4)), verbose=0)
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder / "m.h5")
    model.save(folder / "m.keras")
    model.save_weights(folder / "m.weights.h5")
    tf.train.Checkpoint(model=model).write(str(folder / "ckpt"))
    model.export(folder / "export", verbose=False)
    with kg.patched():
        model.save(folder / "r.keras")
        model.save_weights(folder / "r.weights.h5")
        model.save(folder / "r.h5")
    return model, folder, build


NESTED = [f"backbone/{v}" for v in ("conv/kernel", "conv/bias")]
NESTED += [f"backbone/norm/{v}" for v in ("gamma", "beta", "moving_mean", "moving_variance")]
NESTED += ["head/kernel", "head/bias"]


@pytest.mark.keras
@pytest.mark.parametrize("name", ["m.h5", "m.keras", "r.h5", "r.keras", "r.weights.h5"])
def test_names_are_the_paths_of_the_variables(saved: tuple[Any, Path, Any], name: str) -> None:
    model, folder, _ = saved
    with kg.read(folder / name) as arrays:
        assert sorted(arrays) == sorted(NESTED)
        for path, variable in zip(NESTED, model.variables, strict=True):
            assert arrays[path].tobytes() == variable.numpy().tobytes(), path


@pytest.mark.keras
@pytest.mark.parametrize("name", ["ckpt", "export"])
def test_tensorflow_tells_the_path_inside_the_nested_model(
    saved: tuple[Any, Path, Any], name: str
) -> None:
    model, folder, _ = saved
    with kg.read(folder / name) as arrays:
        assert sorted(arrays) == sorted(v.path for v in model.variables)
        for variable in model.variables:
            assert arrays[variable.path].tobytes() == variable.numpy().tobytes()


@pytest.mark.keras
@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.weights.h5", "ckpt", "r.weights.h5"])
def test_load_takes_what_read_gave(saved: tuple[Any, Path, Any], name: str) -> None:
    model, folder, build = saved
    other = build()
    with kg.read(folder / name) as arrays:
        report = kg.restore(arrays, other).report
        assert report.origin == ("recorded" if name.startswith("r.") else "unrecorded")
        assert report.path == str(folder / name)
    for ours, theirs in zip(other.weights, model.weights, strict=True):
        assert ours.numpy().tobytes() == theirs.numpy().tobytes()


@pytest.mark.keras
@pytest.mark.parametrize("name", ["m.h5", "r.keras", "export"])
def test_load_takes_a_dict_that_was_made_of_it(saved: tuple[Any, Path, Any], name: str) -> None:
    model, folder, build = saved
    with kg.read(folder / name) as arrays:
        doubled = {path: array * 2 for path, array in arrays.items()}
    other = kg.load(doubled, build())
    for ours, theirs in zip(other.weights, model.weights, strict=True):
        assert ours.numpy().tobytes() == (theirs.numpy() * 2).tobytes()


@pytest.mark.keras
def test_the_optimizers_state_is_there_when_it_is_asked_for(saved: tuple[Any, Path, Any]) -> None:
    model, folder, _ = saved
    with kg.read(folder / "r.keras", optimizer=True) as arrays:
        assert int(arrays["optimizer/iteration"]) == 1
        momentum = arrays["optimizer/momentum/head/kernel"]
    index = [v.path for v in model.optimizer.variables].index("adam/head_kernel_momentum")
    assert momentum.tobytes() == model.optimizer.variables[index].numpy().tobytes()
