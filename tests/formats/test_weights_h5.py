"""`.weights.h5`, and with it everything that the HDF5 walk lets through or refuses."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest
from format_files import hdf5
from h5py import h5d, h5o, h5p, h5s, h5t

from kerasguard.errors import (
    CheckpointError,
    CorruptCheckpointError,
    KerasguardError,
    UnknownFormatError,
)
from kerasguard.formats import open_checkpoint
from kerasguard.formats.keras_paths import canonical_keys
from kerasguard.formats.weights_h5 import WeightsH5
from kerasguard.tensors import LayerRecord, TensorSpec

Build = Callable[[h5py.File], None]
DENSE = "layers/dense/vars/0"


@pytest.fixture
def path(tmp_path: Path, weights: bytes) -> Path:
    place = tmp_path / "w.weights.h5"
    place.write_bytes(weights)
    return place


def test_the_name_of_a_layer_is_read_from_its_group(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        table = checkpoint.table()
        assert table.layers == {
            "layers/dense": LayerRecord("layers/dense", "body"),
            "layers/dense_1": LayerRecord("layers/dense_1", "head"),
        }
        record = table.tensors["layers/dense_1/vars/0"]
        assert (record.name, record.layer, record.role) == ("head/0", "layers/dense_1", "weight")
        assert record.spec == TensorSpec((4, 2), "float32")


def test_reading_gives_what_was_written(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.specs().keys() == tensors.keys()
        for key, array in tensors.items():
            np.testing.assert_array_equal(checkpoint.read(key), array)


def test_the_name_of_the_file_does_not_matter(tmp_path: Path, weights: bytes) -> None:
    for name in ("model.keras", "model.h5", "model", "model.png"):
        place = tmp_path / name
        place.write_bytes(weights)
        with open_checkpoint(place) as checkpoint:
            assert checkpoint.name == "weights_h5"


def test_optimizer_tensors_come_last_and_in_numeric_order(hdf5_file: Callable[..., Path]) -> None:
    def build(file: h5py.File) -> None:
        for i in range(12):
            file[f"optimizer/vars/{i}"] = np.zeros((), "float32")
        file["optimizer/vars"].attrs["name"] = "adam"
        file["zebra/vars/0"] = np.zeros(3, "float32")

    with open_checkpoint(hdf5_file(build)) as checkpoint:
        table = checkpoint.table()
        assert list(table.tensors) == [
            DENSE,
            "zebra/vars/0",
            *(f"optimizer/vars/{i}" for i in range(12)),
        ]
        assert {r.role for r in table.tensors.values()} == {"weight", "optimizer"}
        assert table.layers["optimizer"] == LayerRecord("optimizer", "adam")


def test_seed_generators_and_metrics_have_their_roles(hdf5_file: Callable[..., Path]) -> None:
    def build(file: h5py.File) -> None:
        file["layers/dropout/seed_generator/vars/0"] = np.zeros(2, "uint32")
        file["metrics/mean/vars/0"] = np.zeros((), "float32")

    with open_checkpoint(hdf5_file(build)) as checkpoint:
        roles = {k: r.role for k, r in checkpoint.table().tensors.items()}
        assert roles["layers/dropout/seed_generator/vars/0"] == "seed"
        assert roles["metrics/mean/vars/0"] == "metric"


@pytest.mark.parametrize("name", ["body", "Größe", "模型", "", "x" * 5000])
@pytest.mark.parametrize("options", [{}, {"libver": "latest"}, {"userblock_size": 1024}])
def test_names_are_read_from_every_kind_of_object_header(
    hdf5_file: Callable[..., Path], name: str, options: dict[str, object]
) -> None:
    def build(file: h5py.File) -> None:
        group = file["layers/dense/vars"]
        for i in range(6):
            group.attrs[f"other_{i}"] = "text " * i
        group.attrs["name"] = name
        group.attrs["number"] = 7

    with open_checkpoint(hdf5_file(build, **options)) as checkpoint:
        table = checkpoint.table()
        assert table.layers["layers/dense"].name == name
        assert table.tensors[DENSE].name == f"{name or 'dense'}/0"
        np.testing.assert_array_equal(checkpoint.read(DENSE), np.ones((2, 3)))


def test_an_extent_counts_a_user_block(hdf5_file: Callable[..., Path]) -> None:
    path = hdf5_file(lambda _: None, userblock_size=1024)
    with open_checkpoint(path) as checkpoint:
        extent = checkpoint.table().tensors[DENSE].extent
        assert extent is not None
        raw = path.read_bytes()[extent.offset : extent.offset + extent.length]
        assert raw == np.ones((2, 3), "float32").tobytes()


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip"},
        {"compression": "lzf"},
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (2, 2)},
    ],
    ids=str,
)
def test_chunked_and_compressed_datasets_are_read_by_libhdf5(
    hdf5_file: Callable[..., Path], options: dict[str, object]
) -> None:
    array = np.arange(30, dtype="float32").reshape(5, 6)

    def build(file: h5py.File) -> None:
        file.create_dataset("layers/x/vars/0", data=array, **options)

    with open_checkpoint(hdf5_file(build)) as checkpoint:
        assert checkpoint.table().tensors["layers/x/vars/0"].extent is None
        np.testing.assert_array_equal(checkpoint.read("layers/x/vars/0"), array)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint16", "int64", "bool"])
def test_every_dtype_of_keras_is_read(hdf5_file: Callable[..., Path], dtype: str) -> None:
    array = np.array([[0, 1], [1, 0]]).astype(dtype)
    with open_checkpoint(hdf5_file(lambda f: f.create_dataset("a/vars/0", data=array))) as opened:
        assert opened.specs()["a/vars/0"] == TensorSpec((2, 2), dtype)
        np.testing.assert_array_equal(opened.read("a/vars/0"), array)
        assert opened.table().tensors["a/vars/0"].extent is not None


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2)])
def test_scalars_and_empty_tensors_are_read(
    hdf5_file: Callable[..., Path], shape: tuple[int, ...]
) -> None:
    array = np.zeros(shape, "float32")
    with open_checkpoint(hdf5_file(lambda f: f.create_dataset("a/vars/0", data=array))) as opened:
        assert opened.read("a/vars/0").shape == shape


def test_big_endian_numbers_become_little_endian(hdf5_file: Callable[..., Path]) -> None:
    array = np.array([1.5, -2.0], ">f4")
    with open_checkpoint(hdf5_file(lambda f: f.create_dataset("a/vars/0", data=array))) as opened:
        assert opened.specs()["a/vars/0"] == TensorSpec((2,), "float32")
        assert opened.table().tensors["a/vars/0"].extent is None
        assert opened.read("a/vars/0").tobytes() == array.astype("<f4").tobytes()


def test_a_compact_dataset_is_read(hdf5_file: Callable[..., Path]) -> None:
    array = np.array([1, 2, 3], "float32")

    def build(file: h5py.File) -> None:
        plan = h5p.create(h5p.DATASET_CREATE)
        plan.set_layout(h5d.COMPACT)
        group = file.create_group("a/vars")
        space = h5s.create_simple((3,))
        place = h5d.create(group.id, b"0", h5t.IEEE_F32LE, space, plan)
        place.write(h5s.ALL, h5s.ALL, array)

    with open_checkpoint(hdf5_file(build)) as opened:
        np.testing.assert_array_equal(opened.read("a/vars/0"), array)


@pytest.mark.parametrize("form", ["keras 3", "keras 2", "uint16", "big-endian uint16", "gzip"])
def test_bfloat16_is_read_in_every_form_it_was_written_in(
    hdf5_file: Callable[..., Path], form: str
) -> None:
    array = np.array([[1.5, -2], [0, 3e38]], ml_dtypes.bfloat16)

    def build(file: h5py.File) -> None:
        raw = array.view("u2" if "uint16" in form else "V2")
        raw = raw.astype(">u2") if "big" in form else raw
        options = {"compression": "gzip"} if form == "gzip" else {}
        dataset = file.create_dataset("a/vars/0", data=raw, **options)
        if form != "keras 2":
            dataset.attrs["dtype"] = "bfloat16"

    with open_checkpoint(hdf5_file(build)) as opened:
        assert opened.specs()["a/vars/0"] == TensorSpec((2, 2), "bfloat16")
        found = opened.read("a/vars/0")
        assert found.dtype == ml_dtypes.bfloat16
        assert found.tobytes() == array.tobytes()


# What Keras 2.12 to 2.15 called things.


def test_paths_of_keras_3_stay_as_they_are() -> None:
    paths = ["layers/dense_4/vars/0", "layers/a/layers/b_7/cell/vars", "optimizer/vars/3"]
    assert canonical_keys(paths) == {path: path for path in paths}


def test_doubled_ordinals_are_counted_anew_per_class() -> None:
    old = "_layer_checkpoint_dependencies"
    keys = canonical_keys(
        [
            *(f"{old}/dense{n}/vars/0" for n in ("", "_2", "_4", "_10")),
            f"{old}/conv2d/vars/0",
            f"{old}/functional_1/{old}/dense_2/vars/0",
            f"{old}/functional_1/{old}/dense/vars/0",
        ]
    )
    assert list(keys.values()) == [
        *(f"layers/dense{n}/vars/0" for n in ("", "_1", "_2", "_3")),
        "layers/conv2d/vars/0",
        "layers/functional/layers/dense_1/vars/0",
        "layers/functional/layers/dense/vars/0",
    ]


def test_backslashes_of_windows_become_slashes_and_the_tensor_is_still_found(
    hdf5_file: Callable[..., Path],
) -> None:
    def build(file: h5py.File) -> None:
        del file["layers"]
        file["_layer_checkpoint_dependencies\\dense/vars/0"] = np.full(2, 1, "float32")
        file["_layer_checkpoint_dependencies\\dense_2/vars/0"] = np.full(2, 2, "float32")

    with open_checkpoint(hdf5_file(build)) as opened:
        assert list(opened.specs()) == [DENSE, "layers/dense_1/vars/0"]
        assert opened.read("layers/dense_1/vars/0").tolist() == [2, 2]


def test_two_paths_that_mean_the_same_key_are_refused(hdf5_file: Callable[..., Path]) -> None:
    path = hdf5_file(lambda f: f.create_dataset("layers\\dense/vars/0", data=np.ones(2)))
    with open_checkpoint(path) as opened, pytest.raises(CorruptCheckpointError, match=DENSE):
        opened.table()


# What Keras never writes.


def _soft(file: h5py.File) -> None:
    file["layers/x"] = h5py.SoftLink("/layers/dense")


def _external_link(file: h5py.File) -> None:
    file["layers/x"] = h5py.ExternalLink("other.h5", "/layers")


def _external_storage(file: h5py.File) -> None:
    secret = Path(file.filename).with_name("secret.bin")
    secret.write_bytes(b"\1" * 16)
    file.create_dataset("a/vars/0", (4,), "float32", external=[(str(secret), 0, 16)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("a/vars/0", layout)


def _vlen(file: h5py.File) -> None:
    file.create_dataset("a/vars/0", (2,), h5py.vlen_dtype("float32"))[0] = [1.0]


def _strings(file: h5py.File) -> None:
    file["a/vars/0"] = ["one", "two"]


def _fixed_strings(file: h5py.File) -> None:
    file["a/vars/0"] = np.array([b"one", b"two"])


def _compound(file: h5py.File) -> None:
    file["a/vars/0"] = np.zeros(2, [("a", "f4"), ("b", "i4")])


def _references(file: h5py.File) -> None:
    file.create_dataset("a/vars/0", (1,), h5py.ref_dtype)[0] = file["layers"].ref


def _opaque(file: h5py.File) -> None:
    file["a/vars/0"] = np.zeros(3, "V5")


def _named_type(file: h5py.File) -> None:
    file["a/vars/0"] = np.dtype("float32")


def _no_shape(file: h5py.File) -> None:
    file["a/vars/0"] = h5py.Empty("float32")


def _never_written(file: h5py.File) -> None:
    file.create_dataset("a/vars/0", (1 << 28,), "float32")


def _no_chunk(file: h5py.File) -> None:
    file.create_dataset("a/vars/0", (1 << 20,), "float32", chunks=(1024,))


def _chunk_missing(file: h5py.File) -> None:
    data = file.create_dataset("a/vars/0", (4096,), "float32", chunks=(1024,))
    data[:1024] = 1
    data[2048:] = 1


def _deflated_bomb(file: h5py.File) -> None:
    data = file.create_dataset(
        "a/vars/0", (1 << 24,), "float32", chunks=(1 << 24,), compression="gzip"
    )
    data.id.write_direct_chunk((0,), b"\0" * 50)


def _plugin(file: h5py.File) -> None:
    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_chunk((4,))
    plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
    place = h5d.create(
        file.create_group("a/vars").id, b"0", h5t.IEEE_F32LE, h5s.create_simple((4,)), plan
    )
    place.write_direct_chunk((0,), b"\0" * 16)


def _loop(file: h5py.File) -> None:
    file["layers/dense/again"] = file["layers"]


def _two_names(file: h5py.File) -> None:
    file["layers/dense/vars/1"] = file[DENSE]


def _deep(file: h5py.File) -> None:
    file.create_group("/".join(["x"] * 150))


@pytest.mark.usefixtures("no_descriptor_is_left_open")
@pytest.mark.parametrize(
    "build",
    [
        _soft,
        _external_link,
        _external_storage,
        _virtual,
        _vlen,
        _strings,
        _fixed_strings,
        _compound,
        _references,
        _opaque,
        _named_type,
        _no_shape,
        _never_written,
        _no_chunk,
        _chunk_missing,
        _deflated_bomb,
        _plugin,
        _loop,
        _two_names,
        _deep,
    ],
    ids=lambda build: build.__name__.strip("_"),
)
def test_what_keras_never_writes_is_refused_before_it_is_used(
    hdf5_file: Callable[..., Path], build: Build
) -> None:
    path = hdf5_file(build)
    with WeightsH5(path) as opened, pytest.raises(CorruptCheckpointError) as caught:
        opened.table()
    assert str(path) in str(caught.value)


def test_two_datasets_on_the_same_bytes_are_refused(
    hdf5_file: Callable[..., Path],
) -> None:
    def build(file: h5py.File) -> None:
        file["a/vars/0"] = np.full(1000, 1, "float32")
        file["b/vars/0"] = np.full(1000, 2, "float32")

    path = hdf5_file(build)
    with h5py.File(path) as file:
        first, second = (file[f"{n}/vars/0"].id.get_offset() for n in "ab")
    raw = path.read_bytes()
    assert raw.count(second.to_bytes(8, "little")) == 1
    path.write_bytes(raw.replace(second.to_bytes(8, "little"), (first + 8).to_bytes(8, "little")))
    with (
        WeightsH5(path) as opened,
        pytest.raises(CorruptCheckpointError, match="overlap in the file"),
    ):
        opened.table()


def test_hdf5_without_anything_of_keras_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    path.write_bytes(hdf5({"x": np.zeros(0)}))
    with h5py.File(path, "w") as file:
        file.create_group("experiment")
    with open_checkpoint(path) as opened, pytest.raises(UnknownFormatError, match="vars"):
        opened.table()


# Damage.


def test_a_heap_whose_chain_does_not_advance_is_no_endless_loop(
    hdf5_file: Callable[..., Path],
) -> None:
    """One bit in the size of a heap's free space hangs libhdf5 1.14.6."""
    path = hdf5_file(lambda f: f["layers/dense/vars"].attrs.__setitem__("name", "body"))
    raw = bytearray(path.read_bytes())
    heap = raw.index(b"GCOL")
    free = raw.index(b"body", heap) + 8
    assert int.from_bytes(raw[free + 8 : free + 16], "little") == heap + 4096 - free
    raw[free + 8] ^= 32
    path.write_bytes(bytes(raw))
    with open_checkpoint(path) as opened:
        assert opened.table().layers["layers/dense"].name == "body"


def test_a_text_of_four_gigabytes_is_refused(hdf5_file: Callable[..., Path]) -> None:
    """libhdf5 1.14.6 allocates and clears what a damaged length asks for."""
    path = hdf5_file(lambda f: f["layers/dense/vars"].attrs.__setitem__("name", "body"))
    raw = path.read_bytes()
    heap = raw.index(b"GCOL")
    told = (4).to_bytes(4, "little") + heap.to_bytes(8, "little")
    assert raw.count(told) == 1
    path.write_bytes(raw.replace(told, b"\xff" * 4 + told[4:]))
    with open_checkpoint(path) as opened, pytest.raises(CorruptCheckpointError, match="4294967295"):
        opened.table()


def test_a_file_cut_off_anywhere_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(KerasguardError, match=str(path)):
            _use(path)


def test_flipped_bits_give_a_result_or_a_typed_error(path: Path) -> None:
    whole, dice = path.read_bytes(), random.Random(3)
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(dice.choice([1, 1, 2, 8])):
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        start = dice.randrange(len(damaged))
        if dice.random() < 0.3:
            damaged[start : start + 64] = bytes([dice.choice([0, 255])]) * 64
        path.write_bytes(bytes(damaged))
        assert str(path) in _outcome(path)


@pytest.mark.slow
def test_a_checkpoint_left_open_does_not_crash_the_interpreter(path: Path) -> None:
    code = (
        "import sys; from kerasguard.formats import open_checkpoint\n"
        f"c = open_checkpoint({str(path)!r}); c.table(); sys.modules['kept'] = c"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_libhdf5_tells_where_a_header_lies_relative_to_the_file(path: Path) -> None:
    """Names are read with this; a change in h5py would make them unreadable."""
    with h5py.File(path) as file:
        address = h5o.get_info(file["layers/dense/vars"].id).addr
        group = file["layers/dense"].id
        link = group.links.get_info(b"vars")
    assert link.u == address
    assert path.read_bytes()[address] == 1


def _outcome(path: Path) -> str:
    """The error's message, or the path where there is none. Other exceptions pass."""
    try:
        _use(path)
    except KerasguardError as error:
        return str(error)
    return str(path)


def _use(path: Path) -> None:
    with open_checkpoint(path) as opened:
        for key in opened.specs():
            opened.read(key)
        opened.writer()


def test_float8_without_a_type_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        values = np.ones(4, ml_dtypes.float8_e4m3fn)
        file.create_dataset(DENSE, data=values.view("V1"))  # as h5py gets it from Keras
    with pytest.raises(CheckpointError, match=f"{DENSE} holds single bytes") as caught:
        WeightsH5(path).table()
    assert not isinstance(caught.value, CorruptCheckpointError)
