"""`.npz`: arrays by the path of their variable, or in the order of `model.weights`."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import kerasguard as kg
from kerasguard.errors import CheckpointError, CorruptCheckpointError
from kerasguard.formats import open_checkpoint
from kerasguard.identity.renames import Renames

ARRAYS: dict[str, Any] = {
    "a/kernel": np.arange(6, dtype="float32").reshape(2, 3),
    "a/turned": np.asfortranarray(np.arange(6, dtype="int8").reshape(3, 2)),
    "a/foreign": np.arange(3, dtype=">f8"),
    "a/scalar": np.float16(0.5),
    "a/empty": np.zeros((0, 4), "uint8"),
    "a/flags": np.array([True, False]),
    "a/complex": np.array([1 + 2j], "complex64"),
}


def _saved(folder: Path, arrays: dict[str, Any]) -> None:
    np.savez(folder / "m.npz", **arrays)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_every_array_comes_back_little_endian_and_in_c_order(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "m.npz", **ARRAYS)
    with open_checkpoint(tmp_path / "m.npz") as checkpoint:
        assert checkpoint.specs().keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            found = checkpoint.read(name)
            assert np.array_equal(found, array)
            assert found.dtype == np.asarray(array).dtype.newbyteorder("<")
            assert found.shape == np.shape(array)
            assert found.flags.c_contiguous
    kg.record(tmp_path / "m.npz")
    assert kg.verify(tmp_path / "m.npz").ok


def test_a_flipped_bit_is_found_without_a_manifest(tmp_path: Path) -> None:
    _saved(tmp_path, {"a/kernel": np.arange(100.0)})
    content = bytearray((tmp_path / "m.npz").read_bytes())
    content[400] ^= 1
    (tmp_path / "m.npz").write_bytes(content)
    assert not kg.verify(tmp_path / "m.npz").ok


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array(["text"]), "no numbers"),
        (np.zeros(2, ml_dtypes.bfloat16), "np.savez does not keep such dtypes"),
        (np.array([{"a": 1}], dtype=object), "no numbers"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    _saved(tmp_path, {"a/b": array})
    with pytest.raises(CheckpointError, match=f"a/b: dtype .*{message}"):
        kg.inspect(tmp_path / "m.npz")


def test_a_header_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    _saved(tmp_path, {"a/b": np.zeros(4, "float32")})
    content = (tmp_path / "m.npz").read_bytes()
    (tmp_path / "m.npz").write_bytes(content.replace(b"(4,)", b"(9,)"))
    with open_checkpoint(tmp_path / "m.npz") as checkpoint, pytest.raises(CorruptCheckpointError):
        checkpoint.read("a/b")
    (tmp_path / "m.npz").write_bytes(content.replace(b"(4,)", b"(x,)"))
    with pytest.raises(CorruptCheckpointError, match="no valid header"):
        open_checkpoint(tmp_path / "m.npz")


def build(*units: int) -> Any:
    import keras

    x = inputs = keras.Input((4,))
    for i, n in enumerate(units):
        x = keras.layers.Dense(n, name=f"enc_{i}")(x)
    return keras.Model(inputs, x)


def same(one: Any, other: Any) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.keras
def test_a_list_goes_to_the_variables_in_their_order(tmp_path: Path) -> None:
    model = build(4, 4, 4, 4, 4, 4)  # twelve arrays: arr_10 comes after arr_9
    np.savez(tmp_path / "list.npz", *model.get_weights())
    other = build(4, 4, 4, 4, 4, 4)
    kg.load(tmp_path / "list.npz", other)
    assert same(model, other)
    before = build(4, 4)
    values = before.get_weights()
    with pytest.raises(kg.UnrepairableError, match="KG101"):
        kg.load(tmp_path / "list.npz", before)  # the start of it would fit
    assert all(np.array_equal(a, b) for a, b in zip(values, before.get_weights(), strict=True))


@pytest.mark.keras
def test_names_with_dots_reach_renames_of_every_kind(tmp_path: Path) -> None:
    model = build(4, 4, 2)
    dotted = {v.path.replace("_", ".").replace("/", "."): v.numpy() for v in model.weights}
    assert set(dotted) >= {"enc.0.kernel"}
    np.savez(tmp_path / "dotted.npz", **dotted)
    ways: tuple[Renames, ...] = (
        {"enc.0": "enc_0", "enc.1": "enc_1", "enc.2": "enc_2"},
        {re.compile(r"enc\.(\d)"): r"enc_\1"},
        lambda name: name.replace(".", "_"),
    )
    for renames in ways:
        for source in (dotted, tmp_path / "dotted.npz"):
            other = build(4, 4, 2)
            kg.load(source, other, renames=renames)
            assert same(model, other)


@pytest.mark.keras
@pytest.mark.parametrize(
    ("renames", "message"),
    [
        ({re.compile("nothing"): "enc_0"}, "no layer with weights called 'nothing'"),
        ({re.compile("enc"): "zzz"}, "the model has no layer"),
        (lambda _: None, "names no layer of the model"),
        (lambda name: name + "x", r"enc.0 -> enc.0x"),
    ],
)
def test_renames_that_match_nothing_are_an_error(renames: Any, message: str) -> None:
    arrays = {"enc.0.kernel": np.zeros((4, 2), "float32"), "enc.0.bias": np.zeros(2, "float32")}
    with pytest.raises(kg.KerasguardError, match=message):
        kg.load(arrays, build(2), renames=renames)


@pytest.mark.parametrize("shape", [(1,) * 100, (0,) * 100, (2**62, 2**62, 0), (10**30, 0)])
def test_a_shape_that_no_array_has_is_damage(tmp_path: Path, shape: tuple[int, ...]) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
    array = b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as target:
        target.writestr("a.npy", array + bytes(0 if 0 in shape else 4))
    with pytest.raises(CorruptCheckpointError, match="no valid header"):
        open_checkpoint(tmp_path / "w.npz")
