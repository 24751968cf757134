"""The companion: what Keras does not write, kept in one file beside checkpoint and manifest.

`07.keras` may have `07.keras.companion-1f0c63e2.safetensors`. The digits are the start of the
checkpoint's id, so a save never touches the companion of the one before: whichever manifest
survives a kill finds its own. The format is safetensors (`storage/safetensors.py`); the file is
described and digested in the manifest like every other.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from xxhash import xxh3_128_hexdigest

from kerasguard.errors import ManifestError
from kerasguard.manifest import FileRecord, Manifest
from kerasguard.storage import durable

__all__ = [
    "SUFFIX",
    "belongs",
    "described",
    "is_companion",
    "located",
    "name_of",
    "names_for",
    "renamed",
    "retire",
    "write",
]

SUFFIX = ".safetensors"
_NAME = re.compile(r"(?P<of>.+)(?P<rest>\.companion-[0-9a-f]{8}\.safetensors)", re.DOTALL)


def name_of(checkpoint: str, checkpoint_id: str) -> str:
    """The name of the companion that a save makes.

    Args:
        checkpoint: name of the checkpoint's file or folder, or prefix.
        checkpoint_id: 8 hexadecimal digits or more, random per save.
    """
    return durable.name_beside(checkpoint, f".companion-{checkpoint_id[:8]}{SUFFIX}")


def is_companion(name: str) -> bool:
    """Whether a file of this name is a companion."""
    return _NAME.fullmatch(name) is not None


def belongs(name: str, checkpoint: str) -> bool:
    """Whether a file of this name is a companion that a save to `checkpoint` has left."""
    match = _NAME.fullmatch(name)
    return match is not None and durable.name_beside(checkpoint, match["rest"]) == name


def renamed(name: str, checkpoint: str) -> str:
    """What a companion of this name is called beside a checkpoint that has another name."""
    match = _NAME.fullmatch(name)
    return durable.name_beside(checkpoint, match["rest"]) if match else name


def located(checkpoint: Path, name: str) -> Path:
    """Where the companion of a checkpoint lies that may have been renamed, both in the same way.

    Raises:
        ManifestError: the recorded name is not a name of a file beside the checkpoint.
    """
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise ManifestError(
            f"its manifest tells of a companion {name!r:.80}, which is no name of a file beside it",
            where="companion.name",
            path=checkpoint,
        )
    beside = [Path(checkpoint), Path(checkpoint).resolve()]
    names = dict.fromkeys(n for p in beside for n in names_for(p, name))
    places = [p.with_name(n) for p in beside for n in names if p.name]
    return next((place for place in places if place.is_file()), places[0])


def names_for(checkpoint: Path, name: str) -> list[str]:
    """The recorded name of a companion, and the one that it has if both were renamed."""
    return list(dict.fromkeys((name, renamed(name, checkpoint.name))))


def write(checkpoint: Path, manifest: Manifest | None, content: bytes) -> None:
    """Write the companion that a manifest tells of beside its checkpoint; flushed to the disk."""
    if manifest is not None and manifest.companion is not None:
        durable.write_durably(checkpoint.with_name(manifest.companion.name), content)


def retire(checkpoint: Path, manifest: Manifest | None) -> None:
    """Remove the companions of saves to the same place that are no longer there.

    To be called when checkpoint and manifest are in place, with no other save going on.
    """
    keep = manifest.companion.name if manifest is not None and manifest.companion else None
    for path in checkpoint.parent.iterdir():
        if belongs(path.name, checkpoint.name) and path.name != keep:
            path.unlink(missing_ok=True)


def described(name: str, content: bytes) -> FileRecord:
    """The record of a companion with this content, as `pack` made it."""
    head = content[: 8 + int.from_bytes(content[:8], "little")]
    return FileRecord(
        name,
        len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        skeleton=f"xxh3:{xxh3_128_hexdigest(head)}",
    )
