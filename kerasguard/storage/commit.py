"""A save that is all or nothing: write aside, then rename companion, checkpoint and manifest.

The checkpoint is written into a staging folder `.<name>.kg-<pid>-<random>` beside its target, under
the target's own name. When it is complete, surveyed and flushed to the disk, it is moved into place
and its manifest after it. A kill leaves the old pair or the new one; between the two renames the
new manifest is still in the staging folder, where `sidecar.read` finds it. Readers and other
writers of the folder wait meanwhile.

What a dead process or an interrupted save left is cleared away by the next save to the same path.
New shards get names of their own, so that renaming the `.json` that lists them decides. A recorded
pair is never given up for one that is not.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from kerasguard.manifest import Manifest
from kerasguard.storage import companion, durable, owners, placing, shards, sidecar
from kerasguard.storage.staging import Room, room_for
from kerasguard.storage.written import decisive, index_of

__all__ = ["Stage", "staged"]

T = TypeVar("T")

_IN_PLACE = (
    "saved in place, so that a crash would have lost the checkpoint that was there, because {}"
)


@contextlib.contextmanager
def staged(path: str | os.PathLike[str]) -> Iterator[Stage]:
    """Save to `path` all or nothing.

        with staged(path) as stage:
            stage.write(write)                      # write(stage.path) is told where to write
            if stage.checkpoint is not None:        # None: nothing was written
                stage.commit(survey(stage.checkpoint))

    Where nothing can be staged (`stage.reason` says why), `stage.path` is `path` itself and the
    manifest is written afterwards. Leaving the block without `commit` drops what was written.
    Exceptions pass through; a staging path in their text is replaced by `path`.

    Raises:
        OSError: a checkpoint lies there, and the disk has no room to save another beside it.
    """
    given = Path(path)
    target = Path(os.path.realpath(given))
    stage = Stage(given, target, room_for(given, target))
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


class Stage:
    """One save on its way into its place; made by `staged`.

    Args:
        given: the path as the caller knows it.
        target: the same without symbolic links.
        room: where it is staged.
    """

    def __init__(self, given: Path, target: Path, room: Room) -> None:
        self.given, self.target = given, target
        self.folder, self.reason, self._over = room.folder, room.reason, room.over
        self._claim = room.claim
        self.path = given if room.folder is None else room.folder / "new" / given.name
        self.recorded = False
        self._before = durable.signature(given), durable.signature(index_of(given))
        self._write: Callable[[Path], object] = lambda path: None
        self._settled = self._described = self._indexed = self._waits = False
        self._warnings: list[str] = []
        self._checkpoint: Path | None = None
        self._manifest: Manifest | None = None
        self._committing: tuple[int, int] | None = None

    def write(self, write: Callable[[Path], T]) -> T:
        """Return `write(self.path)`; remember it, so that it can be done again."""
        if self.reason or self._over:
            sidecar.check_replaceable(self.given)
        self._write = write
        result = write(self.path)
        if self.folder is None and any(self._before) and self.checkpoint is not None:
            self._warnings.append(_IN_PLACE.format(self.reason))
            self._warn()
        return result

    def write_again(self) -> None:
        """Throw away what was written and do it again."""
        if self.folder is not None:
            shutil.rmtree(self.path.parent)
            self.path.parent.mkdir()
            if self.target.is_dir():
                self.path.mkdir()
        self._settled = False
        self._write(self.path)

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
        main = decisive(self.path)
        if main is None:
            return None
        self._indexed = main == index_of(self.path)
        if self._indexed:
            changed = durable.signature(main) != self._before[1]
            return self.path if self.folder is not None or changed else None
        if main != self.path:
            self.given = self.given.with_name(main.name)
            self.target = Path(os.path.realpath(self.given))
        if self.folder is None:
            return main if durable.signature(main) != self._before[0] else None
        if main.suffix == ".json":
            shards.name_apart(main, self.target, owners.token_of(self.folder))
        return main

    def commit(self, manifest: Manifest | None, kept: bytes = b"") -> None:
        """Move the checkpoint and then its manifest into place, and flush both to the disk.

        The companion goes first, under a name that no other save has, and older ones go last.

        Args:
            manifest: None to save without one, which takes an older manifest away.
            kept: the companion's content, if the manifest has one.

        Raises:
            OSError: the checkpoint could not be flushed or placed, or not be recorded in the
                place of one that is; the old pair is still there.
        """
        checkpoint = self.checkpoint
        if checkpoint is None:
            return
        if self.folder is not None:
            durable.sync_tree(self.path.parent)
        with durable.locked(self.target.parent):
            self._manifest = self._announce(manifest, kept)
            superseded: set[str] = set()
            if self.folder is not None:
                superseded = self._place(checkpoint, self.folder / "old")
            self._describe()
            self._retire(checkpoint, superseded)
            self._flush()
        self._warn()

    def _announce(self, manifest: Manifest | None, kept: bytes) -> Manifest | None:
        """Write companion and manifest where readers do not look as long as the old pair is there.

        Without a recorded pair to lose, a checkpoint that cannot be recorded is saved all the same.
        """
        if manifest is None:
            return None
        place = self.given if self.folder is None else self.target
        try:
            companion.write(place, manifest, kept)
            if self.folder is not None:
                durable.write_durably(self.folder / sidecar.PENDING_NAME, manifest.to_json())
                durable.sync(self.folder)
        except OSError as error:
            if sidecar.place_of(self.given).exists() and self.folder is not None:
                raise
            self._warnings.append(f"saved, but not recorded: {error}")
            return None
        return manifest

    def _place(self, checkpoint: Path, aside: Path) -> set[str]:
        """Put everything where it belongs, the checkpoint last; the shards that it supersedes."""
        last = self._last(checkpoint)
        others = [path for path in checkpoint.parent.iterdir() if path != last]
        for path in others:
            self._put(path, self.target.with_name(path.name), aside)
        superseded: set[str] = set()
        if others:
            durable.sync(self.target.parent)
            superseded = shards.shards_of(self.target)
        self._committing = durable.identity(last)
        self._put(last, self._last(self.target), aside)
        return superseded

    def _last(self, checkpoint: Path) -> Path:
        """The file that decides, which is put into place after all others."""
        return index_of(checkpoint) if self._indexed else checkpoint

    def _put(self, source: Path, target: Path, aside: Path) -> None:
        over = placing.put(source, target, aside, self._over)
        if over and source in (self.checkpoint, index_of(self.path)):
            self._committing = durable.identity(target)
            self._warnings.append(_IN_PLACE.format(over))

    def _describe(self) -> None:
        """Put the manifest into place, or take away the one of before; with it a save is done."""
        place = sidecar.place_of(self.given)
        pending = None if self.folder is None else self.folder / sidecar.PENDING_NAME
        try:
            if self._manifest is None:
                place.unlink(missing_ok=True)
            elif pending is None:
                sidecar.write(self.given, self._manifest)
            elif pending.exists():  # else an interrupt came right after it was moved
                sidecar.settle(pending, place)
        except OSError as error:
            # Beside the checkpoint readers and the next save look for one that was not moved.
            beside = self.folder is not None and self.folder.parent == self.target.parent
            left = pending is not None and pending.is_file()
            self._waits = self._manifest is not None and beside and left
            if self._waits:
                self._warnings.append(f"saved; its manifest waits in {pending} ({error})")
                with contextlib.suppress(OSError):
                    place.unlink(missing_ok=True)
            else:
                self._warnings.append(f"saved, but not recorded: {error}")
                place.unlink(missing_ok=True)
                self._manifest = None
        self._described = True
        self.recorded = self._manifest is not None

    def _retire(self, checkpoint: Path, superseded: set[str]) -> None:
        """Clear away what belonged to the pair of before; the new one is complete without it."""
        try:
            if self.folder is not None and checkpoint.suffix == ".json":
                shards.retire(self.target, superseded, self.folder)
            companion.retire(self.given if self.folder is None else self.target, self._manifest)
        except OSError as error:
            self._warnings.append(f"saved, but older parts could not be cleared away: {error}")

    def _flush(self) -> None:
        try:
            durable.sync(self.target.parent)
        except OSError as error:
            self._warnings.append(f"saved, but a power failure may undo it: {error}")

    def _warn(self) -> None:
        """Once nothing is left to do: whoever turns warnings into errors loses nothing."""
        while self._warnings:
            warnings.warn(f"{self.given}: {self._warnings.pop()}", UserWarning, stacklevel=4)

    def close(self) -> None:
        """Clear the staging folder away; finish a commit that was interrupted half-way."""
        if self.folder is None:
            return
        self._complete(self.folder)
        if self._claim is not None:  # an interrupt from here on leaves it to the next save
            self._claim.release()
        for name in ("new", "old") if self._waits else ("",):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _complete(self, folder: Path) -> None:
        """What an interrupt kept a commit from: it is undone or finished."""
        if self._committing is None or self._described:
            return
        with contextlib.suppress(OSError):
            target = self._last(self.target)
            if (folder / "old").exists() and not target.exists():
                (folder / "old").rename(target)
            if durable.identity(target) == self._committing:
                self._describe()
