"""What every format owes to those who use it, whatever it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from kerasguard.errors import CheckpointError, CheckpointNotFoundError
from kerasguard.formats import FORMATS, open_checkpoint
from kerasguard.planning.operations import spec_of
from kerasguard.storage.arena import Arena
from kerasguard.storage.checkpoint import Checkpoint
from kerasguard.storage.one_pass import file_records, read_once
from kerasguard.tensors.elements import digest

pytestmark = [pytest.mark.keras, pytest.mark.parametrize("kind", FORMATS, ids=lambda k: k.name)]


@pytest.fixture
def path(kind: type[Checkpoint], golden: Mapping[str, Path]) -> Path:
    if kind.traits.scattered and util.find_spec("orbax") is None:
        pytest.skip("its tensors are read with Orbax, which is not installed")
    return golden[kind.name]


def test_a_format_recognises_its_own_checkpoint_and_no_other(
    kind: type[Checkpoint], golden: Mapping[str, Path]
) -> None:
    assert [name for name, path in golden.items() if kind.recognises(path)] == [kind.name]


def test_nothing_is_recognised_where_nothing_lies(kind: type[Checkpoint], tmp_path: Path) -> None:
    assert not kind.recognises(tmp_path / "nothing")
    assert not kind.recognises(tmp_path)
    with pytest.raises(CheckpointNotFoundError):
        open_checkpoint(tmp_path / "nothing")


def test_what_is_opened_is_the_format_that_was_recognised(
    kind: type[Checkpoint], path: Path
) -> None:
    with open_checkpoint(path) as checkpoint:
        assert type(checkpoint) is kind
        assert checkpoint.path == path


def test_specs_tell_what_read_gives(kind: type[Checkpoint], path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        specs = checkpoint.specs()
        assert specs == {k: r.spec for k, r in checkpoint.table().tensors.items()}
        for key, spec in specs.items():
            array = checkpoint.read(key)
            assert spec_of(array) == spec
            assert array.flags.c_contiguous
            assert array.dtype.byteorder != ">"


def test_the_bytes_of_an_extent_are_the_tensor(kind: type[Checkpoint], path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        files = checkpoint.files()
        records = [r for r in checkpoint.table().tensors.values() if r.extent is not None]
        for record in records:
            assert record.extent is not None
            raw = files[record.extent.file].pread(record.extent.offset, record.extent.length)
            assert raw == checkpoint.read(record.key).tobytes()
        arena = Arena(files, records, count_nonfinite=True)
        arena.start()
        for key, loaded in arena.wait().items():
            array = checkpoint.read(key)
            assert loaded.digest == digest(array)
            np.testing.assert_array_equal(loaded.array, array)


def test_most_tensors_have_an_extent(kind: type[Checkpoint], path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        records = [] if kind.traits.scattered else checkpoint.table().tensors.values()
        assert all(r.extent is not None for r in records if r.role == "weight")


def test_a_survey_reads_no_tensor(
    kind: type[Checkpoint], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "read", lambda *_: pytest.fail("a tensor was read"))
    with open_checkpoint(path) as checkpoint:
        assert all(r.digest is None for r in checkpoint.table().tensors.values())


def test_the_files_of_a_checkpoint_are_named_relative_to_its_folder(
    kind: type[Checkpoint], path: Path
) -> None:
    with open_checkpoint(path) as checkpoint:
        files = checkpoint.files()
        assert files
        folder = path if path.is_dir() else path.parent
        for name, file in files.items():
            assert (folder / name).samefile(file.path)
        records = file_records(checkpoint, read_once(checkpoint.files(), checkpoint.table()))
        assert [r.name for r in records] == list(files)
        assert all(r.size == files[r.name].size for r in records)


def test_a_checkpoint_may_lie_anywhere(kind: type[Checkpoint], path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Größe 模型 #1 %s {}.keras"
    folder.mkdir()
    for source in path.parent.iterdir():
        if source.is_dir():
            shutil.copytree(source, folder / source.name)
        else:
            shutil.copy(source, folder / source.name)

    class Somewhere(os.PathLike[str]):
        def __fspath__(self) -> str:
            return str(folder / path.name)

    for place in (Somewhere(), str(folder / path.name), folder / path.name):
        with open_checkpoint(place) as checkpoint:
            assert type(checkpoint) is kind
            for key in checkpoint.specs():
                checkpoint.read(key)


@pytest.mark.usefixtures("no_descriptor_is_left_open")
def test_closing_leaves_no_descriptor_open(kind: type[Checkpoint], path: Path) -> None:
    checkpoint = open_checkpoint(path)
    checkpoint.table()
    checkpoint.close()
    checkpoint.close()


def test_what_is_told_besides_tensors_is_plain(kind: type[Checkpoint], path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        architecture = checkpoint.architecture()
        assert architecture is None or isinstance(architecture["class_name"], str)
        assert all(isinstance(v, str) for kv in checkpoint.writer().items() for v in kv)
        assert all(isinstance(v, bytes) for v in checkpoint.assets().values())


def test_truncation_is_told_with_the_name_of_the_file(
    kind: type[Checkpoint], path: Path, tmp_path: Path
) -> None:
    """In every file of the checkpoint and in 40 places; the formats' own tests have all places."""
    with open_checkpoint(path) as checkpoint:
        sizes = {name: file.size for name, file in checkpoint.files().items()}
    sizes.pop("fingerprint.pb", None)  # of a SavedModel; nothing in it is used
    if kind.traits.scattered:
        sizes = {}  # of its files Orbax reads some; a manifest has every byte of all
    for name, size in sizes.items():
        folder = tmp_path / "copy"
        shutil.copytree(path.parent, folder)
        root = folder / path.name
        target = (root if root.is_dir() else folder) / name
        whole = target.read_bytes()
        for length in sorted({size * i // 40 for i in range(40)}, reverse=True):
            target.write_bytes(whole[:length])
            with pytest.raises(CheckpointError, match=r"copy|pass one of"):
                _read_all(root)
        shutil.rmtree(folder)


def _read_all(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        for key in checkpoint.specs():
            checkpoint.read(key)
        checkpoint.architecture()
        checkpoint.writer()
        checkpoint.assets()
