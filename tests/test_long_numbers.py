"""Names of thousands of digits, of which Python makes no number: read, or refused by name."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import kerasguard as kg
from kerasguard.blueprint.writer import Writer
from kerasguard.checkpoints.scan import scan
from kerasguard.errors import CheckpointError, CorruptCheckpointError
from kerasguard.formats.keras_paths import natural
from kerasguard.layouts.defaults import changed_defaults
from kerasguard.layouts.names import numbered
from kerasguard.layouts.origin import Origin
from kerasguard.layouts.pytorch.pairing import _numbered
from kerasguard.tensors import Table

DIGITS = "9" * 5000


@pytest.mark.parametrize("key", [f"layers/dense_{DIGITS}/vars/0", f"layers/dense/vars/{DIGITS}"])
def test_a_key_with_a_long_number_is_read_and_stops_no_scan(tmp_path: Path, key: str) -> None:
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        file[key] = [1.0]
    assert [*kg.inspect(path).table.tensors] == [key]
    assert kg.read(path)[key] == [1.0]
    assert [found.state for found in scan(tmp_path)] == ["unrecorded"]


def test_other_readers_of_numbers_take_them_for_names() -> None:
    assert natural("vars/2") < natural("vars/10") < natural(f"vars/{DIGITS}")
    assert numbered(f"dense_{DIGITS}") == (f"dense_{DIGITS}", 0)
    assert numbered("dense_12") == ("dense", 12)
    assert _numbered(["layers.0", "layers.10"])
    assert not _numbered([f"layers.{DIGITS}", f"layers.{DIGITS}1"])


def npz(path: Path, name: str, shape: str, descr: str = "<f4", data: bytes = bytes(4)) -> Path:
    """An archive of one array, whose header says what it is told to."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        start = b"\x93NUMPY\1\0" + struct.pack("<H", len(header))
        file.writestr(f"{name}.npy", start + header + data)
    path.write_bytes(raw.getvalue())
    return path


@pytest.mark.parametrize("shape", ["(1e999,)", "(-1e999,)", f"({DIGITS},)", "(1j,)", "((),)"])
def test_a_length_that_no_array_has_is_damage(tmp_path: Path, shape: str) -> None:
    path = npz(tmp_path / "a.npz", "a", shape)
    for ask in (kg.inspect, kg.verify, kg.read):
        with pytest.raises(CorruptCheckpointError, match=r"a\.npz.*header"):
            ask(path)


def test_long_doubles_are_told_by_name(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", "a", "(1,)", np.dtype(np.longdouble).str, bytes(16))
    with pytest.raises(CheckpointError, match=r"a\.npz.*a: dtype float"):
        kg.inspect(path)


def test_a_list_that_counts_too_far_is_one_of_names(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", f"arr_{DIGITS}", "(1,)")
    assert [*kg.inspect(path).table.tensors] == [f"arr_{DIGITS}"]


def test_a_version_of_any_length_is_one(tmp_path: Path) -> None:
    for text in (DIGITS, f"{DIGITS}.1", f"2.{DIGITS}"):
        told = {"keras": text, "tensorflow": text}
        assert Writer.of(told).keras
        assert Origin.of(told).major
        assert list(changed_defaults(Table({}), told)) == []
