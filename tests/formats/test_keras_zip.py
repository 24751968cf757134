"""`.keras`, and with it everything that the zip reader lets through or refuses."""

from __future__ import annotations

import io
import json
import os
import random
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
from format_files import CONFIG, hdf5, zipped
from hypothesis import given
from hypothesis import strategies as st

from kerasguard.errors import CorruptCheckpointError, KerasguardError
from kerasguard.formats import open_checkpoint
from kerasguard.formats.joined_crc32 import joined_crc32
from kerasguard.formats.keras_zip import KerasZip, safe_asset
from kerasguard.formats.zip_archive import ZipArchive
from kerasguard.storage.one_pass import file_records, read_once

WEIGHTS = "model.weights.h5"


@pytest.fixture
def path(tmp_path: Path, archive: bytes) -> Path:
    place = tmp_path / "m.keras"
    place.write_bytes(archive)
    return place


@pytest.fixture
def members(weights: bytes) -> dict[str, bytes]:
    return {
        "metadata.json": b'{"keras_version": "3.9.0"}',
        "config.json": json.dumps(CONFIG).encode(),
        WEIGHTS: weights,
    }


def test_layers_get_their_class_and_place_from_the_config(path: Path) -> None:
    with open_checkpoint(path) as opened:
        head = opened.table().layers["layers/dense_1"]
        assert (head.name, head.class_name, head.position) == ("head", "Dense", 1)
        assert opened.table().tensors["layers/dense_1/vars/0"].name == "head/0"
        assert opened.architecture() == CONFIG
        assert opened.writer() == {"keras": "3.9.0"}


def test_names_come_from_the_config_where_the_weights_have_none(
    tmp_path: Path, members: dict[str, bytes], tensors: Mapping[str, np.ndarray]
) -> None:
    compiled = {"compile_config": {"optimizer": {"class_name": "Adam", "config": {}}}}
    with_state = {**tensors, "optimizer/vars/0": np.zeros((), "int64")}
    path = _written(
        tmp_path,
        members
        | {WEIGHTS: hdf5(with_state), "config.json": json.dumps(CONFIG | compiled).encode()},
    )
    with open_checkpoint(path) as opened:
        layers = opened.table().layers
        assert layers["layers/dense_1"].name == "head"
        assert (layers["optimizer"].name, layers["optimizer"].class_name) == ("adam", "Adam")


def test_extents_count_from_the_start_of_the_archive(
    path: Path, tensors: Mapping[str, np.ndarray]
) -> None:
    raw = path.read_bytes()
    with open_checkpoint(path) as opened:
        for key, array in tensors.items():
            extent = opened.table().tensors[key].extent
            assert extent is not None
            assert extent.file == "m.keras"
            assert raw[extent.offset : extent.offset + extent.length] == array.tobytes()


def test_a_compressed_archive_is_read(
    tmp_path: Path, members: dict[str, bytes], tensors: Mapping[str, np.ndarray]
) -> None:
    path = _written(tmp_path, members, compression=zipfile.ZIP_DEFLATED)
    with open_checkpoint(path) as opened:
        for key, array in tensors.items():
            assert opened.table().tensors[key].extent is None
            np.testing.assert_array_equal(opened.read(key), array)
        assert opened.table().layers["layers/dense"].name == "body"


def test_an_archive_written_in_one_pass_is_read(tmp_path: Path, members: dict[str, bytes]) -> None:
    """Sizes then follow the data, and the 64-bit form is used."""

    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError("cannot seek")

        def tell(self) -> int:
            raise OSError("cannot tell")

    raw = Unseekable()
    with zipfile.ZipFile(raw, "w") as file:
        for name, data in members.items():
            with file.open(name, "w", force_zip64=True) as member:
                member.write(data)
    path = tmp_path / "m.keras"
    path.write_bytes(raw.getvalue())
    with open_checkpoint(path) as opened:
        assert len(opened.specs()) == 4
        assert isinstance(opened, KerasZip)
        assert opened.verify_container() == []


def test_assets_are_read_by_their_path(tmp_path: Path, members: dict[str, bytes]) -> None:
    vocabulary = b"eins\nzwei\n"
    name = "assets/layers/string_lookup/vocabulary.txt"
    path = _written(tmp_path, {"assets/": b"", **members, name: vocabulary})
    with open_checkpoint(path) as opened:
        assert opened.assets() == {"layers/string_lookup/vocabulary.txt": vocabulary}


def test_assets_of_keras_2_12_are_counted_with_the_layers_that_have_none(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    old = "_layer_checkpoint_dependencies"
    groups = {f"{old}/{name}/vars/0": np.zeros(1) for name in ("string_lookup", "string_lookup_2")}
    members |= {WEIGHTS: hdf5(groups), f"assets/{old}/string_lookup_2/vocabulary.txt": b"eins"}
    with open_checkpoint(_written(tmp_path, members)) as opened:
        assert opened.assets() == {"layers/string_lookup_1/vocabulary.txt": b"eins"}


def test_every_member_is_recorded(path: Path, members: dict[str, bytes]) -> None:
    with open_checkpoint(path) as opened:
        (record,) = file_records(opened, read_once(opened.files(), opened.table()))
    assert [m.name for m in record.members] == list(members)
    weights = record.members[-1]
    assert weights.crc32 == zlib.crc32(members[WEIGHTS])
    assert weights.size == len(members[WEIGHTS])


def test_a_flipped_bit_anywhere_in_a_member_is_found_by_its_crc(path: Path) -> None:
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        start = file.getinfo(WEIGHTS).header_offset + 30 + len(WEIGHTS)
        size = file.getinfo(WEIGHTS).file_size
    for at in range(start, start + size, 97):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(bytes(damaged))
        with KerasZip(path) as opened:
            (problem,) = opened.verify_container()
            assert WEIGHTS in problem
    path.write_bytes(whole)
    with KerasZip(path) as opened:
        assert opened.verify_container() == []


@given(st.binary(), st.binary())
def test_the_crc_of_two_halves_is_that_of_the_whole(first: bytes, second: bytes) -> None:
    joined = joined_crc32(zlib.crc32(first), zlib.crc32(second), len(second))
    assert joined == zlib.crc32(first + second)


def test_a_large_member_is_checked_in_two_threads(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    name = "assets/large"
    data = np.random.default_rng(0).bytes((8 << 20) + 5)
    path = _written(tmp_path, {**members, name: data})
    with KerasZip(path) as opened:
        assert opened.verify_container() == []
    raw = path.read_bytes()
    path.write_bytes(raw.replace(data[-9:], b"\0" * 9))
    with KerasZip(path) as opened:
        (problem,) = opened.verify_container()
        assert name in problem


def test_a_flipped_bit_in_the_config_is_refused(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b'"units": 4', b'"units": 5'))
    with pytest.raises(CorruptCheckpointError, match=r"config.json.*CRC"):
        open_checkpoint(path)


# Archives with two readings, or with more than Keras writes.


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "assets/../../evil",
        "assets//x",
        "assets/./x",
        "assets\\x",
        "assets/a\\..\\b",
        "assets/C:x",
        "assets/x ",
        "assets/x.",
        "assets/a\nb",
        "script.py",
        "Config.json",
        "__MACOSX/x",
    ],
)
def test_members_that_keras_does_not_write_are_refused(
    tmp_path: Path, members: dict[str, bytes], name: str
) -> None:
    path = _written(tmp_path, {**members, name: b"x"})
    with pytest.raises(CorruptCheckpointError, match="not one that Keras writes"):
        open_checkpoint(path)
    assert not safe_asset(name)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path, members: dict[str, bytes]) -> None:
    path = _written(tmp_path, members)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("config.json", b"{}")
    with pytest.raises(CorruptCheckpointError, match=r"two members are called 'config.json'"):
        open_checkpoint(path)


def test_a_symbolic_link_is_refused(tmp_path: Path, members: dict[str, bytes]) -> None:
    path = _written(tmp_path, members)
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(CorruptCheckpointError, match="symbolic link"):
        open_checkpoint(path)


def test_bytes_after_the_archive_are_refused(path: Path, archive: bytes) -> None:
    for tail in (b"\0", b"x" * 1000, b"x" * 60_000):
        path.write_bytes(archive + tail)
        with pytest.raises(CorruptCheckpointError, match="appended"):
            open_checkpoint(path)


def test_bytes_before_the_archive_are_refused(path: Path, archive: bytes) -> None:
    path.write_bytes(b"#!/bin/true\n" + archive)
    with pytest.raises(CorruptCheckpointError, match="adjoin"):
        open_checkpoint(path)


def test_bytes_before_the_first_member_are_refused(tmp_path: Path, weights: bytes) -> None:
    raw = io.BytesIO(b"#!/bin/true\n")
    raw.seek(0, 2)
    with zipfile.ZipFile(raw, "a") as file:
        file.writestr("config.json", json.dumps(CONFIG))
        file.writestr(WEIGHTS, weights)
    path = tmp_path / "m.keras"
    path.write_bytes(raw.getvalue())
    with pytest.raises(CorruptCheckpointError, match="before"):
        open_checkpoint(path)


GIB = 1 << 30


@pytest.mark.parametrize("size", [2 * GIB - 70_000, 2 * GIB, 3 * GIB, 4 * GIB, 5 * GIB])
def test_an_archive_of_any_size_is_read(
    tmp_path: Path, members: dict[str, bytes], size: int
) -> None:
    """CPython writes the zip64 end record from 2 GiB on, and needs it from 4 GiB on."""
    path = _large(tmp_path, members, size)
    with open_checkpoint(path) as opened:
        np.testing.assert_array_equal(opened.read("layers/dense_1/vars/1"), [1, 2])
        record = opened.table().tensors["layers/dense/vars/0"]
        assert record.spec.shape == (size,)
        assert record.extent is not None
        assert record.extent.offset < 10_000


@pytest.mark.slow
def test_the_crc_of_a_large_archive_is_checked(tmp_path: Path, members: dict[str, bytes]) -> None:
    path = _large(tmp_path, members, 2 * GIB)
    with open_checkpoint(path) as opened:
        assert isinstance(opened, KerasZip)
        assert opened.verify_container() == []
    with path.open("r+b") as raw:
        raw.seek(GIB)
        raw.write(b"\1")
    with open_checkpoint(path) as opened:
        assert isinstance(opened, KerasZip)
        assert "CRC-32" in " ".join(opened.verify_container())


@pytest.mark.slow
def test_an_archive_of_more_than_65_535_members_is_read(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
        for number in range(65_536):
            file.writestr(zipfile.ZipInfo(f"assets/layers/lookup/{number}.txt"), b"")
    with open_checkpoint(path) as opened:
        assert len(opened.specs()) == 4
        assert len(ZipArchive(opened.files()["m.keras"]).members) == 65_536 + len(members)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (-22 + 10, "disagree"),  # the number of members
        (-22 + 12, "disagree"),  # the directory's size
        (-22 + 16, "disagree"),  # the directory's offset
        (-42 + 8, "is damaged"),  # the offset in the locator
        (-42, "adjoin the archive"),  # the mark of the locator
        (-98, "is damaged"),  # the mark of the zip64 end record
        (-98 + 4, "is damaged"),  # the length of the zip64 end record
        (-98 + 24, "is damaged"),  # the number of members in this part
    ],
)
def test_end_records_that_contradict_each_other_are_refused(
    tmp_path: Path, members: dict[str, bytes], at: int, message: str
) -> None:
    path = _large(tmp_path, members, 2 * GIB)
    with path.open("r+b") as raw:
        place = raw.seek(at, os.SEEK_END)
        value = raw.read(1)[0]
        raw.seek(place)
        raw.write(bytes([value ^ 1]))
        if at == -22 + 10:  # both counts, or the archive would be one of several parts
            raw.seek(place - 2)
            raw.write(bytes([value ^ 1]))
    with pytest.raises(CorruptCheckpointError, match=message):
        open_checkpoint(path)


def _large(folder: Path, members: dict[str, bytes], size: int) -> Path:
    """An archive with a tensor of `size` zeros, which takes no place on the disk.

    The weights come first, as Keras does not write them, so that offsets pass `size`.
    """
    path, weights = folder / "m.keras", folder / "sparse.h5"
    with h5py.File(weights, "w", libver="earliest") as file:
        file["layers/dense_1/vars/1"] = np.array([1, 2], "float32")
        options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        options.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        options.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        place = file.create_group("layers/dense/vars")
        space, kind = h5py.h5s.create_simple((size,)), h5py.h5t.STD_U8LE
        h5py.h5d.create(place.id, b"0", kind, space, options)
    length, end = weights.stat().st_size, 1 << 16
    zeros = length - 2 * end
    with zipfile.ZipFile(path, "w") as file, weights.open("rb") as raw:
        assert file.fp is not None
        with file.open(zipfile.ZipInfo(WEIGHTS), "w", force_zip64=True) as member:
            member.write(raw.read(end))
            file.fp.seek(zeros, os.SEEK_CUR)
            member._crc = joined_crc32(member._crc, _crc32_of_zeros(zeros), zeros)  # type: ignore[attr-defined]
            member._file_size += zeros  # type: ignore[attr-defined]
            raw.seek(-end, os.SEEK_END)
            member.write(raw.read())
        for name in members.keys() - {WEIGHTS}:
            file.writestr(name, members[name])
    return path


def _crc32_of_zeros(size: int) -> int:
    crc = made = 0
    for bit in f"{size:b}":
        crc, made = joined_crc32(crc, crc, made), 2 * made
        if bit == "1":
            crc, made = joined_crc32(crc, zlib.crc32(bytes(1)), 1), made + 1
    return crc


def test_overlapping_members_are_refused(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    last = raw.rindex(b"PK\1\2")
    first = raw.index(b"PK\1\2")
    raw[last + 42 : last + 46] = raw[first + 42 : first + 46]
    path.write_bytes(bytes(raw))
    with pytest.raises(CorruptCheckpointError):
        open_checkpoint(path)


def test_encryption_and_unknown_compression_are_refused(path: Path, archive: bytes) -> None:
    at = archive.index(b"PK\1\2")
    for place, value, message in ((8, 1, "encrypted"), (10, 12, "compression method 12")):
        raw = bytearray(archive)
        struct.pack_into("<H", raw, at + place, value)
        path.write_bytes(bytes(raw))
        with pytest.raises(CorruptCheckpointError, match=message):
            open_checkpoint(path)


def test_a_member_that_claims_more_than_deflate_can_hold_is_refused(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    path = _written(tmp_path, members, compression=zipfile.ZIP_DEFLATED)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\1\2")
    struct.pack_into("<L", raw, at + 24, 0xFFFFFF00)
    path.write_bytes(bytes(raw))
    with pytest.raises(CorruptCheckpointError, match="cannot hold"):
        open_checkpoint(path)


def test_a_config_of_spaces_is_refused_before_it_is_parsed(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    config = b" " * (65 << 20) + members["config.json"]
    path = _written(tmp_path, members | {"config.json": config}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(CorruptCheckpointError, match="at most"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    "config",
    [
        b"[" * 300 + b"]" * 300,
        b'{"class_name": "A", "class_name": "B"}',
        b"{}",
        b"[]",
        b"",
        b"\xff",
        b'{"class_name": 3}',
        b'{"class_name": "A", "n": ' + b"9" * 30 + b"}",
    ],
)
def test_a_config_that_is_none_is_refused(
    tmp_path: Path, members: dict[str, bytes], config: bytes
) -> None:
    path = _written(tmp_path, members | {"config.json": config})
    with pytest.raises(CorruptCheckpointError, match=r"config\.json"):
        open_checkpoint(path)


def test_nan_and_infinity_in_a_config_are_kept_because_keras_writes_them(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    config = {"class_name": "Masking", "config": {"mask_value": float("inf")}}
    path = _written(tmp_path, members | {"config.json": json.dumps(config).encode()})
    with open_checkpoint(path) as opened:
        assert opened.architecture() == config


def test_weights_in_another_form_are_named(tmp_path: Path, members: dict[str, bytes]) -> None:
    del members[WEIGHTS]
    path = _written(tmp_path, members | {"model.weights.npz": b"x"})
    with pytest.raises(CorruptCheckpointError, match=r"model\.weights\.npz"):
        open_checkpoint(path)
    path = _written(tmp_path, members)
    with pytest.raises(CorruptCheckpointError, match=r"no member model\.weights\.h5"):
        open_checkpoint(path)


# Damage.


def test_a_file_cut_off_anywhere_is_refused(path: Path, archive: bytes) -> None:
    for length in range(0, len(archive), 23):
        path.write_bytes(archive[:length])
        with pytest.raises(KerasguardError, match=str(path)):
            open_checkpoint(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_flipped_bits_give_a_result_or_a_typed_error(
    tmp_path: Path, members: dict[str, bytes], compression: int
) -> None:
    path = _written(tmp_path, members, compression=compression)
    whole, dice = path.read_bytes(), random.Random(4)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(dice.choice([1, 1, 2, 8])):
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        path.write_bytes(bytes(damaged))
        assert str(path) in _outcome(path)


@pytest.mark.slow
@pytest.mark.parametrize("writer", ["tf2.15.1", "tf2.21.0"])
def test_the_weights_of_real_files_are_those_that_their_writer_had(
    repository: Path, tmp_path: Path, writer: str
) -> None:
    with tarfile.open(repository / f"tests/golden/writers/{writer}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    paths = sorted((tmp_path / writer).glob("*.keras"))
    assert len(paths) > 15
    for path in paths:
        known = np.load(path.with_suffix(".npz"))
        expected = sorted(known[k].tobytes() for k in known.files if k.startswith("w"))
        with open_checkpoint(path) as opened:
            assert isinstance(opened, KerasZip)
            weights = [r.key for r in opened.table().tensors.values() if r.role == "weight"]
            assert sorted(opened.read(key).tobytes() for key in weights) == expected
            assert opened.verify_container() == []
            named = [r for r in opened.table().layers.values() if r.class_name]
            assert all(r.name for r in named)


def _outcome(path: Path) -> str:
    """The error's message, or the path where there is none. Other exceptions pass."""
    try:
        with open_checkpoint(path) as opened:
            assert isinstance(opened, KerasZip)
            for key in opened.specs():
                opened.read(key)
            opened.assets()
            opened.writer()
            opened.verify_container()
    except KerasguardError as error:
        return str(error)
    return str(path)


def _written(folder: Path, members: Mapping[str, bytes], compression: int = 0) -> Path:
    path = folder / "made.keras"
    path.write_bytes(zipped(members, compression=compression))
    return path
