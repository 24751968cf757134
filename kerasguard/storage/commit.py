"""A save that is all or nothing: write aside, then rename companion, checkpoint and manifest.

The checkpoint is written into a staging folder `.<name>.kg-<pid>-<random>` beside its target, under
the target's own name. When it is complete, surveyed and flushed to the disk, it is moved into place
and its manifest after it. A kill leaves the old pair or the new one; between the two renames the
new manifest is still in the staging folder, where `sidecar.read` finds it.

What a dead process left is cleared away by the next save to the same path. A directory is exchanged
with the old one in one call; new shards get names of their own, so that renaming the `.json` that
lists them decides.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from kerasguard.manifest import Manifest
from kerasguard.storage import companion, durable, sidecar

__all__ = ["Stage", "staged"]

T = TypeVar("T")

_SHARD = re.compile(r"(?P<base>.+)_\d{5}(-(?P<token>[0-9a-f]{8}))?\.weights\.h5", re.DOTALL)
# A folder that holds one of these is an earlier save; any other is left where it is.
_DIRECTORY_MARKS = ("config.json", "saved_model.pb")


@contextlib.contextmanager
def staged(path: str | os.PathLike[str]) -> Iterator[Stage]:
    """Save to `path` all or nothing.

        with staged(path) as stage:
            stage.write(write)                      # write(stage.path) is told where to write
            if stage.checkpoint is not None:        # None: nothing was written
                stage.commit(survey(stage.checkpoint))

    Where there can be no staging folder (`stage.reason` says why), `stage.path` is `path` itself
    and the manifest is written afterwards. Leaving the block without `commit` drops what was
    written. Exceptions pass through; a staging path in their text is replaced by `path`.
    """
    stage = _open_stage(Path(path))
    try:
        yield stage
    except Exception as error:
        if stage.folder is not None:
            durable.rename_in(
                error, {stage.path: stage.given, stage.path.parent: stage.given.parent}
            )
        raise
    finally:
        stage.close()


def _open_stage(given: Path) -> Stage:
    target = Path(os.path.realpath(given))
    reason = _obstacle(given, target)
    if reason:
        return Stage(given, target, None, reason)
    sidecar.clear_abandoned(target)
    folder = target.with_name(durable.staging_name(sidecar.staging_prefix(target.name)))
    try:
        folder.mkdir()
        (folder / "new").mkdir()
        if target.is_dir():  # a file is refused here as it would be there
            (folder / "new" / given.name).mkdir()
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        return Stage(given, target, None, f"no folder can be made beside it ({error.strerror})")
    return Stage(given, target, folder, "")


def _obstacle(given: Path, target: Path) -> str:
    """Why a save to `given` cannot be staged; empty where it can."""
    if not given.name or given.name == "..":
        return "it has no name of its own"
    if not target.parent.is_dir():
        return "its folder does not exist"
    if not target.exists():
        return ""
    if not os.access(target, os.W_OK):
        return "it is not writable"
    if target.is_file():
        return "it is a link" if given.is_symlink() and given.suffix == ".json" else ""
    if not target.is_dir():
        return "it is neither a file nor a directory"
    if os.path.ismount(target):
        return "it is a mount point"
    if target in (here := Path.cwd(), *here.parents):
        return "the process works inside it"
    marked = any((target / mark).exists() for mark in _DIRECTORY_MARKS)
    return "" if marked or not any(target.iterdir()) else "it holds no earlier checkpoint"


class Stage:
    """One save on its way into its place; made by `staged`.

    Args:
        given: the path as the caller knows it.
        target: the same without symbolic links.
        folder: the staging folder; None to write in place.
        reason: why in place; empty where staged.
    """

    def __init__(self, given: Path, target: Path, folder: Path | None, reason: str) -> None:
        self.given, self.target, self.folder, self.reason = given, target, folder, reason
        self.path = given if folder is None else folder / "new" / given.name
        self.recorded = False
        self._before = durable.signature(given)
        self._write: Callable[[Path], object] | None = None
        self._settled = self._placed = False
        self._checkpoint: Path | None = None
        self._superseded: set[str] = set()

    def write(self, write: Callable[[Path], T]) -> T:
        """Return `write(self.path)`; remember it in case the target cannot be renamed to."""
        self._write = write
        result = write(self.path)
        if self.folder is None and self._before is not None and self.checkpoint is not None:
            warnings.warn(
                f"{self.given}: saved in place, so that a crash would have lost the checkpoint "
                f"that was there, because {self.reason}",
                stacklevel=2,
            )
        return result

    @property
    def checkpoint(self) -> Path | None:
        """What was written, to be surveyed; None where nothing was.

        The first access ends the writing: shards that would overwrite others get other names.
        """
        if not self._settled:
            self._settled = True
            self._checkpoint = self._settle()
        return self._checkpoint

    def _settle(self) -> Path | None:
        # Asked to shard `m.weights.h5`, Keras writes `m.weights.json` instead.
        listing = self.path.with_name(re.sub(r"\.weights\.h5$", ".weights.json", self.path.name))
        main = next((p for p in (self.path, listing) if os.path.lexists(p)), None)
        if main is None or (self.folder and main.is_dir() and not any(main.iterdir())):
            return None
        if main != self.path:
            self.given = self.given.with_name(main.name)
            self.target = Path(os.path.realpath(self.given))
        if self.folder is None:
            return main if durable.signature(main) != self._before else None
        if main.suffix == ".json":
            _name_shards_apart(main, self.target, durable.token_of(self.folder))
        return main

    def commit(self, manifest: Manifest | None, kept: bytes = b"") -> None:
        """Move the checkpoint and then its manifest into place, and flush both to the disk.

        The companion goes first, under a name that no other save has, and older ones go last.

        Afterwards `recorded` tells whether the manifest is there. It is not where the target could
        not be renamed to (in a sticky folder): the save was then repeated in place.

        Args:
            manifest: None to save without one, which takes an older manifest away.
            kept: the companion's content, if the manifest has one.

        Raises:
            OSError: the save's own, as without kerasguard; or the manifest could not be placed.
        """
        checkpoint = self.checkpoint
        if checkpoint is None:
            return
        if self.folder is None:
            companion.write(self.given, manifest, kept)
            self._describe(manifest)
            companion.retire(self.given, manifest)
            return
        durable.sync_tree(self.path.parent)
        if manifest is not None:
            durable.write_durably(self.folder / sidecar.PENDING_NAME, manifest.to_json())
            durable.sync(self.folder)
        with durable.locked(self.target.parent):
            try:
                companion.write(self.target, manifest, kept)
                self._place(checkpoint, self.folder / "old")
            except OSError as error:
                self._repeat_in_place(error)
                manifest = None
            self._describe(manifest)
            if checkpoint.suffix == ".json":
                _retire_shards(self.target, self._superseded, self.folder)
            companion.retire(self.target, manifest)
            durable.sync(self.target.parent)

    def _place(self, checkpoint: Path, aside: Path) -> None:
        others = [path for path in checkpoint.parent.iterdir() if path != checkpoint]
        for path in others:
            durable.put(path, self.target.with_name(path.name), aside)
        if others:
            durable.sync(self.target.parent)
            self._superseded = _shards_of(self.target)
        durable.put(checkpoint, self.target, aside)
        self._placed = True

    def _repeat_in_place(self, error: OSError) -> None:
        if self._write is None:
            raise error
        self._write(self.given)
        warnings.warn(
            f"{self.given}: saved in place and not recorded, because it cannot be renamed to "
            f"({error.strerror}); kerasguard.record({str(self.given)!r}) records it",
            stacklevel=2,
        )

    def _describe(self, manifest: Manifest | None) -> None:
        place = sidecar.place_of(self.given)
        if manifest is None:
            place.unlink(missing_ok=True)
        elif self.folder is None:
            sidecar.write(self.given, manifest)
        else:
            (self.folder / sidecar.PENDING_NAME).replace(place)
        self.recorded = manifest is not None

    def close(self) -> None:
        """Clear the staging folder away; finish a commit that was interrupted half-way."""
        if self.folder is not None:
            pending = self.folder / sidecar.PENDING_NAME
            if self._placed and pending.exists():
                with contextlib.suppress(OSError):
                    pending.replace(sidecar.place_of(self.given))
            shutil.rmtree(self.folder, ignore_errors=True)


def _shards_of(listing: Path) -> set[str]:
    """The files that a `.weights.json` lists, as far as they are named like shards."""
    try:
        weight_map = json.loads(listing.read_bytes())["weight_map"]
        named = [n for v in weight_map.values() for n in (v if isinstance(v, list) else [v])]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set()
    return {n for n in named if isinstance(n, str) and "/" not in n and _SHARD.fullmatch(n)}


def _name_shards_apart(listing: Path, target: Path, token: str) -> None:
    """Rename staged shards, and rewrite the list, where they would overwrite others.

    Until the list is renamed into place the old one must find its own shards.
    """
    names = _shards_of(listing)
    if not any(target.with_name(name).exists() for name in (target.name, *names)):
        return
    apart = {n: f"{n.removesuffix('.weights.h5')}-{token}.weights.h5" for n in names}
    content = json.loads(listing.read_bytes())
    content["weight_map"] = {
        key: [apart[n] for n in value] if isinstance(value, list) else apart[value]
        for key, value in content["weight_map"].items()
    }
    for old, new in apart.items():
        listing.with_name(old).rename(listing.with_name(new))
    listing.write_text(json.dumps(content, indent=4), encoding="utf-8")


def _retire_shards(listing: Path, superseded: set[str], staging: Path) -> None:
    """Delete shards that the list in place no longer names.

    Keras opens the first shard by its plain name before it looks into the list, so that name
    becomes a second one of the new first shard.
    """
    current = _shards_of(listing)
    match = _SHARD.fullmatch(min(current, default=""))
    if match is None:
        return
    plain = f"{match['base']}_00000.weights.h5"
    if plain not in current:
        durable.link(listing.with_name(match[0]), staging / "first")
        (staging / "first").replace(listing.with_name(plain))
    saving = {durable.token_of(path) for path in listing.parent.glob(".*.kg-*")}
    for path in listing.parent.glob("*.weights.h5"):
        shard = _SHARD.fullmatch(path.name)
        if shard is None or path.name in current or path.name == plain:
            continue
        forgotten = shard["base"] == match["base"] and shard["token"] not in (None, *saving)
        if forgotten or path.name in superseded:
            path.unlink(missing_ok=True)
