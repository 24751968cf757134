"""One file per checkpoint format; recognised by content, never by name.

`FORMATS` is the registry, in the order in which they are asked. A new format is one file with a
class that satisfies `Checkpoint`, one entry here, and its place in the conformance test. What
others want to know of a format is in its `Traits`; nobody outside this folder asks for its name.
Start with `weights_h5`, the shortest. A format reads; whether what it reads is right is decided
elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from kerasguard.errors import CheckpointError, CheckpointNotFoundError, UnknownFormatError, listed
from kerasguard.formats.keras_directory import KerasDirectory
from kerasguard.formats.keras_zip import KerasZip
from kerasguard.formats.legacy_h5 import LegacyH5
from kerasguard.formats.npz import Npz
from kerasguard.formats.orbax import OrbaxStep
from kerasguard.formats.safetensors import SafetensorsWeights
from kerasguard.formats.saved_model import SavedModel
from kerasguard.formats.sharded_h5 import ShardedH5
from kerasguard.formats.tf_checkpoint import TFCheckpoint
from kerasguard.formats.weights_h5 import WeightsH5
from kerasguard.storage import companion, sidecar
from kerasguard.storage.checkpoint import Checkpoint
from kerasguard.storage.durable import is_folder
from kerasguard.storage.opened_file import OpenedFile, first_bytes
from kerasguard.storage.variables import tell_of_misspelt

__all__ = ["FORMATS", "candidates", "may_begin", "met", "open_checkpoint", "parts_of", "recognised"]

FORMATS: tuple[type[Checkpoint], ...] = (
    KerasZip,
    KerasDirectory,
    LegacyH5,
    WeightsH5,
    ShardedH5,
    SafetensorsWeights,
    Npz,
    OrbaxStep,
    SavedModel,
    TFCheckpoint,
)

_KNOWN = (
    "Formats: .keras (file or folder), .weights.h5, .weights.json with shards, .h5, .safetensors, "
    ".npz, Orbax step, TF checkpoint, SavedModel."
)
_LOOKS = (
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x1f\x8b", "gzip; unpack it first"),
    (b"BZh", "bzip2; unpack it first"),
    (b"\xfd7zXZ", "xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "zstd; unpack it first"),
    (b"Rar!", "RAR; unpack it first"),
    (b"7z\xbc\xaf", "7-Zip; unpack it first"),
    (b"PK\3\4", "a zip archive without a Keras config or weights in it"),
    (b"PK\5\6", "an empty zip archive"),
    (b"\x89HDF", "the truncated start of an HDF5 file; copy it again"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"%PDF", "PDF"),
    (b"GGUF", "GGUF"),
    (b"version https://git-lfs", "a Git LFS pointer; run `git lfs pull` to get the file itself"),
    (b"<", "HTML or XML; perhaps an error page was saved instead of the file"),
    (b"{", "JSON; a config alone has no weights"),
    (b"\x80\2", "a Python pickle, which kerasguard never reads"),
    (b"\x80\3", "a Python pickle, which kerasguard never reads"),
    (b"\x80\4", "a Python pickle, which kerasguard never reads"),
    (b"\x80\5", "a Python pickle, which kerasguard never reads"),
)


_TORCH = (
    "written by torch.save, as a Python pickle, which kerasguard never reads; where PyTorch is "
    "installed, write "
    "safetensors.torch.save_file(net.state_dict(), name), and read that: kerasguard.read(name, "
    'layout="torch")'
)


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open whatever kind of checkpoint lies at `path`.

    Args:
        path: a file, a folder, or the prefix of a TF checkpoint.

    Raises:
        CheckpointNotFoundError: nothing lies there.
        UnknownFormatError: the content is none of `FORMATS`.
        CorruptCheckpointError: it is of a known format and damaged.
        CheckpointError: it cannot be opened.
    """
    tell_of_misspelt()
    place = Path(path)
    kind = recognised(place)
    if kind is None:
        raise _unknown(place)
    return kind(place)


def recognised(path: Path) -> type[Checkpoint] | None:
    """The format of what lies at `path`; None where it is not a checkpoint or cannot be read."""
    return next((kind for kind in FORMATS if kind.recognises(path)), None)


def met(path: Path) -> type[Checkpoint] | None:
    """The format of what counts as a checkpoint where a folder is searched; None of all else."""
    kind = recognised(path)
    data = kind is not None and kind.traits.general and not sidecar.place_of(path).exists()
    return None if data else kind


def candidates(names: Collection[str]) -> list[str]:
    """What may be a checkpoint of its own among the files of one folder.

    Args:
        names: of all files in the folder.

    Returns:
        Their names in order, without parts of other checkpoints (shards, data files, companions,
        manifests), and the names of checkpoints that are not files, such as a TF prefix.
    """
    parts = [kind.parts(names) for kind in FORMATS]
    wholes = {name for found in parts for name in found if name}
    owned = {part for found in parts for group in found.values() for part in group}
    beside = {n for n in names if n.endswith(sidecar.SUFFIX) or companion.is_companion(n)}
    return sorted({*names, *wholes} - owned - beside)


def may_begin(start: bytes) -> bool:
    """Whether a file with these first bytes, 16 or more, may be a checkpoint."""
    return any(
        kind.traits.starts and re.match(kind.traits.starts, start, re.DOTALL) for kind in FORMATS
    )


def parts_of(name: str, siblings: Collection[str]) -> set[str]:
    """Those of `siblings` that are parts of the checkpoint `name`; manifest and companion aside."""
    return {part for kind in FORMATS for part in kind.parts(siblings).get(name, ())}


def _unknown(path: Path) -> CheckpointError:
    if is_folder(path):
        return _unknown_folder(path)
    try:
        with OpenedFile(path) as file:
            size = file.size
    except CheckpointNotFoundError as error:
        return _missing(path, error)
    except CheckpointError as error:
        return error
    if not size:
        return UnknownFormatError(
            path, "is empty; the save or the copy was interrupted: restore it from another copy"
        )
    start = first_bytes(path, 64)
    looks = next((f" look like {what}" for mark, what in _LOOKS if start.startswith(mark)), "")
    if start[4:8] == b"TFL3":
        looks = " look like TensorFlow Lite"
    elif start.startswith(b"PK") and b"/data.pkl" in start:
        looks = f" look like {_TORCH}"
    elif not any(start):
        looks = " are all zero; the save or the copy was interrupted"
    return UnknownFormatError(
        path,
        f"not a checkpoint that kerasguard can read (first bytes {start[:4].hex()}{looks}). "
        f"{_KNOWN}",
    )


def _unknown_folder(path: Path) -> CheckpointError:
    try:
        names = sorted(os.listdir(path))  # noqa: PTH208  # names only, of any encoding
    except OSError as error:
        return CheckpointError(path, f"the folder cannot be listed: {error.strerror}")
    return UnknownFormatError(
        path,
        f"a folder without a checkpoint of its own (it holds {listed(names, 6) or 'nothing'}); "
        f"pass one of the checkpoints in it. {_KNOWN}",
    )


def _missing(path: Path, error: CheckpointNotFoundError) -> CheckpointError:
    try:
        names = os.listdir(path.parent)  # noqa: PTH208
    except (OSError, ValueError):
        return error
    near = sorted(name for name in names if name.startswith(path.name) and path.name)[:3]
    if not near:
        return error
    return CheckpointNotFoundError(path, f"no such file; beside it there is {', '.join(near)}")
