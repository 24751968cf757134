"""The walk without libhdf5 gives what libhdf5 gives, or nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kerasguard.errors import KerasguardError
from kerasguard.formats.hdf5.classic import Unusual, classic_walk, root_names
from kerasguard.formats.hdf5.file import Hdf5File
from kerasguard.formats.hdf5.headers import Headers
from kerasguard.storage.opened_file import OpenedFile

if TYPE_CHECKING:
    import h5py


def _headers(data: bytes) -> Headers:
    return Headers(lambda at, n: data[at : at + n], len(data))


def _by_libhdf5(path: Path) -> object:
    with OpenedFile(path) as file, Hdf5File(file) as opened:
        try:
            return opened._walk()
        except KerasguardError:
            return None


def _classic(data: bytes) -> object:
    try:
        return classic_walk(_headers(data))
    except Unusual:
        return None


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">i8", "i1", "u8", "?", "V2"])
def test_both_walks_agree(hdf5_file: Callable[..., Path], dtype: str) -> None:
    def build(file: h5py.File) -> None:
        for i in range(40):  # more than one node of a group's tree holds
            file[f"layers/dense_{i}/vars/0"] = np.zeros((i, 3), dtype)
            file[f"layers/dense_{i}/vars"].attrs["name"] = f"ä{i}"
        file["scalar/vars/0"] = np.zeros((), dtype)
        file.attrs["keras_version"] = "3"

    path = hdf5_file(build)
    found = classic_walk(_headers(path.read_bytes()))
    assert found == _by_libhdf5(path)
    assert len(found[1]) == 42
    assert root_names(_headers(path.read_bytes())) == {"layers", "scalar", "keras_version"}


@pytest.mark.parametrize(
    "options", [{"libver": "latest"}, {"userblock_size": 512}, {"track_order": True}], ids=str
)
def test_other_kinds_of_files_are_left_to_libhdf5(
    hdf5_file: Callable[..., Path], options: dict[str, object]
) -> None:
    path = hdf5_file(lambda _: None, **options)
    assert _classic(path.read_bytes()) is None
    assert _by_libhdf5(path) is not None


def test_damaged_metadata_never_gives_other_tensors_than_libhdf5_gives(
    tmp_path: Path, weights: bytes, tensors: Mapping[str, np.ndarray]
) -> None:
    """Names of layers may be lost where libhdf5 loses them otherwise; tensors may not."""
    dice, path, agreed = random.Random(5), tmp_path / "f.h5", 0
    for _ in range(300):
        damaged = bytearray(weights)
        for _ in range(dice.choice([1, 1, 3])):
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        path.write_bytes(bytes(damaged))
        mine, other = _classic(bytes(damaged)), _by_libhdf5(path)
        if mine is not None and other is not None:
            assert mine[1] == other[1]  # type: ignore[index]
            agreed += 1
    assert agreed > 50


@pytest.mark.slow
def test_both_walks_agree_on_real_files(shared: Path) -> None:
    paths = [*(shared / "fixtures/dl4j").glob("*.h5"), *(shared / "fixtures/wild").glob("*/*.h5")]
    assert len(paths) > 50
    for path in paths:
        assert _classic(path.read_bytes()) == _by_libhdf5(path)


def test_a_tree_that_contains_itself_is_no_endless_loop(weights: bytes) -> None:
    for start in [i for i in range(len(weights)) if weights.startswith(b"TREE", i)]:
        damaged = bytearray(weights)
        damaged[start + 5] = 1
        damaged[start + 32 : start + 40] = start.to_bytes(8, "little")
        assert _classic(bytes(damaged)) is None
