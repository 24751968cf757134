"""A checkpoint that is opened by several workers: each reads its own, and then they compare."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from kerasguard.errors import CheckpointError, CheckpointNotFoundError, ManifestError, listed
from kerasguard.loader.handing_over import give, take
from kerasguard.loader.peers import Peers
from kerasguard.loader.reading import Reading
from kerasguard.loader.request import Request
from kerasguard.loader.sources import at_hand
from kerasguard.manifest import Manifest
from kerasguard.planning.agreement import State, Statement, Verdict, on_checkpoints
from kerasguard.planning.findings import Finding
from kerasguard.rules.handed_over import handed_over
from kerasguard.storage import sidecar
from kerasguard.storage.remote import is_remote, local_path
from kerasguard.storage.sidecar import ManifestPolicy

__all__ = ["opened", "opened_together"]

_ALIKE = (
    "compile", "digest", "learning_rate", "manifest", "memory", "only", "probe", "repair", "skip",
)  # fmt: skip
"""The options that every worker has to give alike."""


@contextlib.contextmanager
def opened(request: Request) -> Iterator[tuple[Reading, tuple[Finding, ...]]]:
    """The checkpoint that is asked for, open, and what is to be reported of that: nothing."""
    with (
        at_hand(request.path, request.manifest) as (local, found),
        _reading(local, found, request) as reading,
    ):
        yield reading, ()


def _reading(place: Path, manifest: ManifestPolicy | Manifest, request: Request) -> Reading:
    from kerasguard.models import variables

    return Reading(place, manifest, keep=_is_kept(request), memory=variables.memory)


def _is_kept(request: Request) -> bool:
    """Whether what is read is kept in memory until it is assigned.

    A model that is built from the checkpoint takes it over, and nothing is lost with it if reading
    fails; unless its devices copy what they are given, which is then read once more for each.
    """
    from kerasguard.models import placement

    built = request.model is None and request.keep
    return request.in_one_pass and not (built and placement.is_cut_up(request.strategy))


@contextlib.contextmanager
def opened_together(
    request: Request, peers: Peers
) -> Iterator[tuple[Reading, tuple[Finding, ...]]]:
    """The checkpoint, once every worker has one with the same tensors in it.

    Yields:
        The open checkpoint, this worker's own or a copy of another's, and what is to be reported.

    Raises:
        WorkersError: some worker has none; every worker raises it.
    """
    decide = partial(on_checkpoints, repair=request.repair, silence=peers.silence)
    with contextlib.ExitStack() as stack:
        reading, met = None, None
        try:
            reading, _ = stack.enter_context(opened(request))
            mine = _stated(reading, request)
        except Exception as error:  # noqa: BLE001  # whatever it is, the others wait to hear of it
            met, mine = error, _failed(error, request)
        verdict = peers.settle(mine, decide)
        if met is not None and verdict.alike:
            raise met
        if not verdict.alike:  # else the plan says what is wrong with it, on every worker
            peers.check(verdict)
        findings: tuple[Finding, ...] = ()
        if verdict.takers:
            if peers.rank in verdict.takers:
                stack.pop_all().close()
            reading = _exchanged(peers, verdict, request, stack, reading)
            findings = (handed_over(verdict.giver, verdict.takers),)
        assert reading is not None, "a worker without one has raised or taken another's"
        yield reading, findings


def _exchanged(
    peers: Peers,
    verdict: Verdict,
    request: Request,
    stack: contextlib.ExitStack,
    reading: Reading | None,
) -> Reading:
    """Give or take what the verdict says, and compare again; this worker's checkpoint then."""
    with peers.failing("bytes"):
        if peers.rank in verdict.takers:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kerasguard-"))
            place = take(peers, Path(folder))
            reading = stack.enter_context(_reading(place, "require", request))
        elif peers.rank == verdict.giver and reading is not None:
            give(peers, reading, verdict.takers)
        assert reading is not None, "who does not take has verified its own"
        mine = _stated(reading, request)
    decide = partial(on_checkpoints, repair="off", silence=peers.silence)
    peers.check(peers.settle(mine, decide))
    return reading


def _stated(reading: Reading, request: Request) -> Statement:
    """What this worker says of the checkpoint that it has read to its end."""
    table, manifest = reading.finish(), reading.manifest
    found = {key: record.digest for key, record in table.tensors.items()}
    content = hashlib.sha256(json.dumps(reading.architecture(), sort_keys=True).encode())
    for key, digest in sorted(found.items()):
        content.update(f"{key}\0{digest}\n".encode())
    problems = list(reading.problems)
    if manifest is not None:
        recorded = manifest.recorded.items()
        wrong = [record.label for key, record in recorded if found.get(key) != record.digest]
        if wrong:
            problems.append(f"{listed(wrong)}: not as recorded")
    state: State = "damaged" if problems else "unrecorded" if manifest is None else "verified"
    reason = f"{reading.path}: {listed(problems)}" if problems else ""
    return Statement(
        state, _digest(reading.recorded_as), content.hexdigest(), _asked(request), reason
    )


def _failed(error: Exception, request: Request) -> Statement:
    """What this worker says where it cannot read any; which manifest it has counts."""
    state: State = "failed"
    if isinstance(error, CheckpointNotFoundError):
        state = "missing"
    elif isinstance(error, CheckpointError):
        state = "damaged"
    return Statement(state, _digest(_manifest_beside(request)), "", _asked(request), str(error))


def _manifest_beside(request: Request) -> Manifest | None:
    path = request.path
    if request.manifest == "ignore" or not isinstance(path, (str, os.PathLike)):
        return None
    if is_remote(path):
        return None
    with contextlib.suppress(ManifestError, OSError):
        return sidecar.read(local_path(path))
    return None


def _digest(manifest: Manifest | None) -> str:
    return "" if manifest is None else hashlib.sha256(manifest.to_json().encode()).hexdigest()


def _asked(request: Request) -> dict[str, str]:
    """The options as texts that are the same where they mean the same."""
    told = {name: repr(getattr(request, name)) for name in _ALIKE}
    told["allow"] = repr(sorted(request.allowed))
    told["model"] = "built from it" if request.model is None else _shape_of(request.model)
    told["custom_objects"] = repr(sorted(request.custom_objects or {}))
    renames = request.renames
    told["renames"] = "a function" if callable(renames) else repr(renames)
    return told


def _shape_of(model: Any) -> str:
    """Whether it is the same model on each worker, as far as a line can tell."""
    from kerasguard.models.kerases import dtype_name, variables_of

    specs = [(list(map(str, v.shape)), dtype_name(v.dtype)) for v in variables_of(model)]
    return f"{type(model).__name__} {hashlib.sha256(repr(specs).encode()).hexdigest()[:8]}"
