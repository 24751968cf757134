"""A checkpoint's files on their way from a worker that has verified them to one that needs them.

They go in pieces through the channel of the workers, a few at a time, so that neither side holds
them in memory; every wait has a limit. What arrives is verified like any other checkpoint.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from kerasguard.errors import CheckpointError
from kerasguard.formats import parts_of
from kerasguard.loader.peers import Peers
from kerasguard.loader.reading import Reading
from kerasguard.storage import companion, sidecar

__all__ = ["give", "take"]

_PIECE = 1 << 20
_ON_THEIR_WAY = 8
"""Pieces that were told and not yet taken."""
_FAILED = "!"
"""Begins what is told in the place of a piece, or of having taken one; no base64 begins so."""


def give(peers: Peers, reading: Reading, takers: Sequence[int]) -> None:
    """Hand over the files of a checkpoint that was verified, with manifest and companion.

    Raises:
        CheckpointError: a taker does not go on.
        OSError: a file cannot be read any more; the takers are told.
    """
    assert reading.recorded_as is not None, "only what was verified against one is handed over"
    place, channel = reading.path, peers.channel
    files = _files(reading)
    manifest = reading.recorded_as.to_json().encode()
    listing = {name: path.stat().st_size for name, path in files.items()}
    told = {"name": place.name, "files": listing, "manifest": len(manifest)}
    channel.put(f"{peers.room}/files", json.dumps(told))
    count = 0
    try:
        for piece in _pieces(manifest, files.values()):
            if count >= _ON_THEIR_WAY:
                _taken(peers, count - _ON_THEIR_WAY, takers)
            channel.put(f"{peers.room}/piece/{count}", base64.b64encode(piece).decode())
            count += 1
    except OSError as error:
        channel.put(f"{peers.room}/piece/{count}", f"{_FAILED}{error}")
        raise
    for number in range(max(0, count - _ON_THEIR_WAY), count):
        _taken(peers, number, takers)
    channel.drop(f"{peers.room}/files")


def _taken(peers: Peers, number: int, takers: Sequence[int]) -> None:
    """Wait until a piece has arrived everywhere, and forget it."""
    for rank in takers:
        key = f"{peers.room}/taken/{rank}/{number}"
        answer = peers.channel.get(key, peers.seconds)
        if answer is None or answer.startswith(_FAILED):
            reason = peers.silence if answer is None else answer.removeprefix(_FAILED)
            raise CheckpointError(peers.name, f"worker {rank} stopped accepting it: {reason}")
        peers.channel.drop(key)
    peers.channel.drop(f"{peers.room}/piece/{number}")


def _pieces(manifest: bytes, files: Iterable[Path]) -> Iterator[bytes]:
    for start in range(0, len(manifest), _PIECE):
        yield manifest[start : start + _PIECE]
    for path in files:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


def _files(reading: Reading) -> Mapping[str, Path]:
    """All files of a checkpoint by their names beside it, the manifest aside."""
    place, manifest = reading.path, reading.recorded_as
    found: dict[str, Path] = {}
    if place.is_dir():
        inside = sorted(path for path in place.rglob("*") if path.is_file())
        found |= {path.relative_to(place.parent).as_posix(): path for path in inside}
    elif place.exists():
        found[place.name] = place
    names = [path.name for path in place.parent.iterdir()]
    found |= {name: place.with_name(name) for name in sorted(parts_of(place.name, names))}
    if manifest is not None and manifest.companion is not None:
        kept = companion.located(place, manifest.companion.name)
        if kept.is_file():
            found[manifest.companion.name] = kept
    return found


def take(peers: Peers, folder: Path) -> Path:
    """Receive what another worker hands over.

    Args:
        peers: the workers.
        folder: where it is put; empty, and nobody else's.

    Returns:
        The checkpoint, with its manifest beside it.

    Raises:
        CheckpointError: nothing more arrives, or it cannot be written.
    """
    text = peers.channel.get(f"{peers.room}/files", peers.seconds)
    if text is None:
        raise CheckpointError(peers.name, f"no bytes arrived from another worker: {peers.silence}")
    told = json.loads(text)
    place = folder / _inside(told["name"])
    arriving = _Arriving(peers)
    manifest = folder / "manifest"
    arriving.into(manifest, told["manifest"])
    for name, size in told["files"].items():
        path = folder / _inside(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        arriving.into(path, size)
    manifest.rename(sidecar.sidecar_path(place))
    return place


class _Arriving:
    """The pieces in their order; no piece holds bytes of two files."""

    def __init__(self, peers: Peers) -> None:
        self._peers, self._next = peers, 0

    def into(self, path: Path, size: int) -> None:
        """Write one file."""
        try:
            with path.open("xb") as file:
                while size > 0:
                    piece = self._piece()
                    file.write(piece)
                    self._answer("taken")
                    size -= len(piece)
        except OSError as error:
            self._answer(f"{_FAILED}{error}")
            raise CheckpointError(
                self._peers.name, f"another worker's bytes cannot be kept here: {error}"
            ) from error

    def _piece(self) -> bytes:
        peers = self._peers
        text = peers.channel.get(f"{peers.room}/piece/{self._next}", peers.seconds)
        if text is None or text.startswith(_FAILED):
            reason = peers.silence if text is None else text.removeprefix(_FAILED)
            raise CheckpointError(peers.name, f"another worker's bytes stopped arriving: {reason}")
        return base64.b64decode(text)

    def _answer(self, text: str) -> None:
        self._peers.channel.put(f"{self._peers.room}/taken/{self._peers.rank}/{self._next}", text)
        self._next += 1


def _inside(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
        raise ValueError(f"{name!r:.80} is not a name inside a folder")
    return name
