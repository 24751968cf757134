"""Every checkpoint below a folder: what it is, whether it was recorded, whether it is intact."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Container, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from kerasguard.arguments import check_flag, check_path
from kerasguard.blueprint.references import Doubt
from kerasguard.checkpoints import inspect
from kerasguard.checkpoints.remote_places import remote_places
from kerasguard.errors import ArgumentError, KerasguardError
from kerasguard.formats import candidates, met, recognised
from kerasguard.loader.sources import files_of
from kerasguard.report import counted
from kerasguard.storage import durable, sidecar
from kerasguard.storage.remote import fetched, is_remote, local_path

__all__ = ["Found", "places", "scan"]

_CHUNK, _AHEAD = 16, 32
State = Literal["hostile", "refused", "intact", "differs", "unrecorded", "recorded", "unreadable"]

# By state, the worst first: what a config names that puts its file there.
_REFUSED: tuple[tuple[State, tuple[str, ...]], ...] = (
    ("hostile", ("hostile",)),
    ("refused", ("bytecode", "program", "path")),
)


@dataclass(frozen=True, slots=True)
class Found:
    """One checkpoint.

    Args:
        path: of the checkpoint, below the folder or address that was scanned.
        format: `keras_zip`, ...
        state: `hostile` where it names what would act on the machine; `refused` where it holds
            bytecode, a program or the path of a file; else `intact` (as recorded), `differs`,
            `unrecorded`, `unreadable`, or `recorded` where a manifest is there and nothing was
            compared with it.
        detail: how many places differ, or why it cannot be read or is refused.
        doubts: all that its config names and that is not loaded because a file says so.
    """

    path: str
    format: str
    state: State
    detail: str = ""
    doubts: tuple[Doubt, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Classes and functions that loading takes from the caller, each with its reason."""
        return tuple(dict.fromkeys(doubt.message for doubt in self.doubts if doubt.supplied))

    def to_dict(self) -> dict[str, Any]:
        """JSON form; `needs` and `doubts` where there are some."""
        data = {**asdict(self), "needs": list(self.needs)}
        data["doubts"] = list(data["doubts"])
        return {k: v for k, v in data.items() if v or k not in ("needs", "doubts")}


def scan(
    folder: str | os.PathLike[str],
    *,
    verify: bool = True,
    skip: Container[str] = frozenset(),
    executor: Executor | None = None,
) -> Iterator[Found]:
    """Find checkpoints by their content; imports no framework.

    Args:
        folder: to look in, and in everything below; symbolic links are not followed. At an address
            (`s3://...`) only files that begin like a checkpoint are downloaded, one checkpoint at a
            time, and removed afterwards.
        verify: read every byte of those that have a manifest; else only report that there is one.
        skip: paths, as in `Found.path`, to leave out; one that is not there says nothing.
        executor: looks at the checkpoints, a few at a time: of processes, or of a cluster that
            sees the same files (`dask.distributed.Client().get_executor()`); default: this thread.

    Returns:
        Each checkpoint in the order of its path, as it is found, whichever process examined it.

    Raises:
        ArgumentError: an argument is not understood.
        NotADirectoryError: `folder` is none.
        MissingPackageError: no installed package handles the address.
    """
    check_path("folder", folder)
    check_flag("verify", verify)
    skip = _spelt(skip)
    if executor is not None and not isinstance(executor, Executor):
        raise ArgumentError(f"executor={executor!r:.80} is no concurrent.futures.Executor")
    where = _places(folder, skip)
    if executor is not None:
        return _shared_out(where, executor, verify=verify)
    return (found for place in where for found in _look_at([place], verify))


def _spelt(skip: object) -> Container[str]:
    """Paths to leave out as `Found.path` spells them; what only answers for one is asked."""
    if isinstance(skip, (str, bytes)) or not isinstance(skip, Container):
        raise ArgumentError(f"skip={skip!r:.80} is not a set of paths; pass skip={{path, ...}}")
    if not isinstance(skip, Collection):
        return skip
    for one in skip:
        check_path("skip", one)
    given = {os.fspath(one) for one in skip}
    return given | {str(Path(one)) for one in given if not is_remote(one)}


def _places(folder: str | os.PathLike[str], skip: Container[str]) -> Iterator[Path | str]:
    """Where to look: paths or addresses of what may be a checkpoint."""
    if is_remote(folder):
        url = str(folder).rstrip("/")
        files = files_of(url)
        if not files.names(url):
            raise NotADirectoryError(f"{url}: it cannot be listed; name a folder")
        return remote_places(url, files, skip)
    root = local_path(folder)
    if not durable.is_folder(root):
        raise NotADirectoryError(f"{folder}: no such folder; name one to look for checkpoints in")
    return (place for place, _ in places(root, skip))


def _shared_out(
    where: Iterator[Path | str], executor: Executor, *, verify: bool
) -> Iterator[Found]:
    # So many at a time that asking costs nothing, and so few in advance that memory stays flat.
    waiting: deque[Future[list[Found]]] = deque()
    try:
        while chunk := list(islice(where, _CHUNK)):
            waiting.append(executor.submit(_look_at, chunk, verify))
            if len(waiting) >= _AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def places(root: Path, skip: Container[str] = frozenset()) -> Iterator[tuple[Path, bool]]:
    """Where a checkpoint may lie below `root`; no file's content is looked at.

    Args:
        root: a folder; symbolic links in it are not followed, nor folders that are hidden.
        skip: paths that are left out, with what is below them.

    Returns:
        Each place in the order of its path, and whether it is known to be a checkpoint: a folder
        that is one as a whole.
    """
    for here, folders, names in os.walk(root):
        place = Path(here)
        if here in skip:
            folders.clear()
            continue
        kind = recognised(place)
        if kind is not None and kind.traits.folder:
            folders.clear()
            yield place, True
            continue
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in candidates(names):
            if str(place / name) not in skip:
                yield place / name, False


def _look_at(where: Sequence[Path | str], verify: bool) -> list[Found]:
    found: list[Found] = []
    for place in where:
        if isinstance(place, str):
            found += _elsewhere(place, verify=verify)
        elif kind := met(place):
            found.append(_found(place, kind.name, verify=verify))
    return found


def _elsewhere(url: str, *, verify: bool) -> Iterator[Found]:
    """What lies at an address, as its copy here is; nothing where it is not a checkpoint."""
    try:
        with fetched(url, files_of(url)) as copy:
            kind = met(copy)
            if kind is not None:
                found = _found(copy, kind.name, verify=verify)
                detail = found.detail.replace(str(copy), url)
                yield replace(found, path=url, detail=detail)
    except (KerasguardError, OSError) as error:
        yield Found(url, "", "unreadable", str(error))


def _found(place: Path, kind: str, *, verify: bool) -> Found:
    try:
        doubts = inspect.doubts(place)
    except (KerasguardError, OSError):
        doubts = ()  # why it cannot be read is said below
    for state, reasons in _REFUSED:
        told = [f"{d.owner}: {d.message}" for d in doubts if d.reason in reasons]
        if told:
            return Found(str(place), kind, state, "; ".join(told[:3]), doubts)
    return replace(_compared(place, kind, verify=verify), doubts=doubts)


def _compared(place: Path, kind: str, *, verify: bool) -> Found:
    try:
        if sidecar.read(place) is None:
            inspect.inspect(place)  # that it can be read is part of the answer
            return Found(str(place), kind, "unrecorded")
        if not verify:
            return Found(str(place), kind, "recorded")
        report = inspect.verify(place)
    except (KerasguardError, OSError) as error:
        return Found(str(place), kind, "unreadable", str(error))
    if report.ok:
        return Found(str(place), kind, "intact")
    return Found(str(place), kind, "differs", f"in {counted(len(report.unresolved), 'place')}")
