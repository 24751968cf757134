"""A manifest out of a file: what it may be instead, and how large it may be."""

from __future__ import annotations

import stat
from pathlib import Path

from kerasguard.errors import ManifestError
from kerasguard.manifest import Manifest
from kerasguard.manifest.schema import crowd
from kerasguard.planning.gc_pause import uncollected
from kerasguard.storage.budget import allowed, excess

__all__ = ["parse"]

SIZE_LIMIT = 64 * 1024 * 1024
_LOOKS = (
    (b"version https://git-lfs", "is a Git LFS pointer; run `git lfs pull` to get the file itself"),
    (b"\xef\xbb\xbf", "begins with a byte order mark; save it as UTF-8 without one"),
    (b"\xff\xfe", "is UTF-16 text; save it as UTF-8"),
)


def parse(path: Path) -> Manifest | None:
    """The manifest in a file, or None where there is none; raises as `sidecar.read`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait forever
            raise ManifestError("manifest is not a regular file; move it away", path=path)
        with path.open("rb") as file:
            data = file.read(min(status.st_size, allowed(SIZE_LIMIT)) + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ManifestError(
            f"manifest cannot be read: {error.strerror or error}; give this user the right to "
            "read it, or move it away to load unverified",
            path=path,
        ) from error
    if not data.strip():
        raise ManifestError(
            "manifest is empty; restore it from a backup, or delete it and record the checkpoint "
            "again if you trust it",
            path=path,
        )
    for mark, looks in _LOOKS:
        if data.startswith(mark):
            raise ManifestError(f"manifest {looks}", path=path)
    if over := excess(len(data), SIZE_LIMIT):
        raise ManifestError(f"manifest has {status.st_size} bytes{over}", path=path)
    count, most = crowd(data)
    if over := excess(count, most):
        raise ManifestError(f"manifest has {count} lists and objects{over}", path=path)
    try:
        with uncollected():
            return Manifest.from_json(data.decode("utf-8"), dense=True)
    except UnicodeDecodeError as error:
        what = f"manifest is not UTF-8 text (byte {error.start}): it was damaged"
        raise ManifestError(what, path=path) from None
    except ManifestError as error:
        error.path = path
        raise
