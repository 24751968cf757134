"""What one save sends to MLflow, and how it is kept on the disk until it has arrived.

A parcel is written to the outbox before anything is asked of a server and removed once everything
of it is there, so neither an outage nor a killed process loses one. Sending twice does no harm:
every name is decided by the content, and the run's tags are left alone where they tell of a later
save.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kerasguard.errors import ArgumentError, ManifestError
from kerasguard.manifest import Manifest
from kerasguard.storage.companion import located
from kerasguard.storage.variables import OUTBOX

__all__ = ["Parcel", "absent_store", "absolute_store", "check_outbox", "kept_in", "outbox_folder"]

_SCHEMA = "kerasguard/outbox/1"
_ENDING = ".parcel.json"
_SQLITE = "sqlite:///"


def outbox_folder() -> Path:
    """Where parcels wait: `KERASGUARD_OUTBOX`, else a folder of the user's state."""
    chosen = os.environ.get(OUTBOX)
    if chosen:
        return Path(chosen).absolute()
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "kerasguard" / "outbox"


def check_outbox() -> None:
    """See that parcels can wait where the environment says.

    Raises:
        ArgumentError: something lies there that is no folder.
    """
    folder = outbox_folder()
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(
            f"{folder}: manifests wait for MLflow in a folder, and this is none; name another "
            f"one as {OUTBOX} in the environment"
        )


def _tell_of_no_folder() -> None:
    try:
        check_outbox()
    except ArgumentError as error:
        warnings.warn(f"no manifest is kept until it has arrived: {error}", stacklevel=2)


@dataclass(frozen=True)
class Parcel:
    """A manifest and the run that was active when it was written, which may end meanwhile.

    Args:
        tracking_uri: of the server or store; a path in it is absolute.
        run_id: the run.
        model_id: of the logged model that the checkpoint lies in, or None.
        path: of the checkpoint, absolute; it may be gone when the parcel is sent.
        manifest: what the checkpoint holds.
        saved_at: UTC, `2026-01-31T12:00:00.000000Z`; sorts by time.
        kept: the parcel's file in the outbox; None where it could not be written.
    """

    tracking_uri: str
    run_id: str
    model_id: str | None
    path: Path
    manifest: Manifest
    saved_at: str
    kept: Path | None = None

    @staticmethod
    def of(tracking_uri: str, run_id: str, model_id: str | None, event: Any) -> Parcel:
        """Of a save just now; written to the outbox if that can be written to."""
        # Made absolute now: a relative path in it would follow a later chdir.
        path, saved_at = event.path.absolute(), _now()
        parcel = Parcel(
            absolute_store(tracking_uri), run_id, model_id, path, event.manifest, saved_at
        )
        try:
            return parcel._keep(outbox_folder())
        except OSError:
            with contextlib.suppress(OSError):
                _tell_of_no_folder()
            return parcel  # the process can still send it, and says so if it cannot

    @property
    def companion(self) -> Path | None:
        """The companion's file, beside the checkpoint or as the outbox holds it."""
        record = self.manifest.companion
        if record is None:
            return None
        places = [located(self.path, record.name)]
        if self.kept is not None:
            places.append(_folder_of(self.kept) / Path(record.name).name)
        return next((place for place in places if place.is_file()), None)

    def _keep(self, folder: Path) -> Parcel:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stamp = "".join(c for c in self.saved_at if c.isdigit())
        kept = folder / f"{stamp}-{os.urandom(4).hex()}{_ENDING}"
        content = {
            "schema": _SCHEMA,
            "tracking_uri": self.tracking_uri,
            "run_id": self.run_id,
            "model_id": self.model_id,
            "path": str(self.path),
            "saved_at": self.saved_at,
            "manifest": self.manifest.to_dict(),
        }
        if (companion := self.companion) is not None:
            _folder_of(kept).mkdir(mode=0o700)
            _copy(companion, _folder_of(kept) / companion.name)
        draft = kept.with_suffix(".draft")
        # It may hold a password: an address can.
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file)
        draft.rename(kept)
        return replace(self, kept=kept)

    def discard(self) -> None:
        """Remove it from the outbox: everything of it has arrived, or never can."""
        if self.kept is not None:
            self.kept.unlink(missing_ok=True)
            shutil.rmtree(_folder_of(self.kept), ignore_errors=True)


def kept_in(folder: Path) -> Iterator[Parcel]:
    """The parcels in an outbox, oldest first; what cannot be read as one is passed over."""
    for place in sorted(folder.glob(f"*{_ENDING}")):
        # Another process may have sent and removed it since it was listed.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, ManifestError):
            content = json.loads(place.read_text("utf-8"))
            if content.pop("schema") == _SCHEMA:
                content["manifest"] = Manifest.from_dict(content["manifest"])
                yield Parcel(**{**content, "path": Path(content["path"]), "kept": place})


def absolute_store(uri: str) -> str:
    """The address of a store with its path made absolute: the sender may work elsewhere."""
    rest = uri.removeprefix(_SQLITE)
    if rest != uri:
        return f"{_SQLITE}{Path(rest).absolute()}" if rest and not rest.startswith("/") else uri
    bare = uri and ":" not in uri and uri not in ("databricks", "uc")
    return str(Path(uri).absolute()) if bare else uri


def absent_store(uri: str) -> bool:
    """Whether a local database is not there; asking MLflow would create it, with nothing in it."""
    place = absolute_store(uri).removeprefix(_SQLITE)
    return uri.startswith(_SQLITE) and bool(place) and not Path(place).exists()


def _folder_of(kept: Path) -> Path:
    return kept.with_name(kept.name.removesuffix(_ENDING))


def _copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)  # a companion is replaced, never written to
    except OSError:
        shutil.copyfile(source, target)


def _now() -> str:
    seconds, micro = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{micro:06}Z"
