"""`kerasguard scan`: many checkpoints over several processes, told as they are found."""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from kerasguard.cli.choices import UsageError
from kerasguard.cli.commands import DIFFERS, OK, REFUSED, UNREADABLE
from kerasguard.cli.console import Output
from kerasguard.cli.sarif import sarif
from kerasguard.storage.remote import is_remote

if TYPE_CHECKING:
    from kerasguard.checkpoints.scan import Found

__all__ = ["scan"]

# The first that is there decides; they are listed first, too.
_CODES = (
    ("hostile", REFUSED),
    ("refused", REFUSED),
    ("unreadable", UNREADABLE),
    ("differs", DIFFERS),
)


def scan(options: argparse.Namespace, out: Output) -> int:
    """List the checkpoints below a folder."""
    from kerasguard.checkpoints import scan as scanning

    _check(options)
    rows: list[Found] = []
    states: Counter[str] = Counter()
    skip = _listed(options.resume) if options.resume else frozenset()
    with _executor(options.processes) as executor:
        for found in scanning.scan(
            options.folder, verify=not options.quick, skip=skip, executor=executor
        ):
            states[found.state] += 1
            out.counter(", ".join(f"{n} {state}" for state, n in states.items()))
            if options.only in (None, found.state):
                if options.jsonl:
                    out.json_line(found.to_dict())
                else:
                    rows.append(found)
    out.counter("")
    if options.sarif:
        out.text(json.dumps(sarif(rows), indent=2))
    elif not options.jsonl:
        _show(rows, states, options.folder, out)
        if not is_remote(options.folder):
            _remark_on_leftovers(options.folder, out)
    return _code(states)


def _check(options: argparse.Namespace) -> None:
    """Refuse options of which one would take the other back."""
    if options.sarif and (options.json or options.jsonl):
        raise UsageError("--sarif is a document of its own; leave out --json and --jsonl")
    if options.json and options.jsonl:
        raise UsageError("--json is one document and --jsonl many; leave out one of them")
    if options.quick and options.only in ("intact", "differs"):
        raise UsageError(f"--quick compares nothing, so nothing is {options.only}; leave it out")


def _code(states: Counter[str]) -> int:
    return next((code for state, code in _CODES if states[state]), OK)


def _show(rows: list[Found], states: Counter[str], folder: str, out: Output) -> None:
    code = _code(states)
    listed = [found.to_dict() for found in rows]
    out.document(code, folder=folder, states=dict(states), checkpoints=listed)
    told = ", ".join(f"{n} {state}" for state, n in states.most_common()) or "no checkpoint"
    out.line(f"{folder}: {told}")
    rank = {state: place for place, (state, _) in enumerate(_CODES)}
    rows = sorted(rows, key=lambda found: rank.get(found.state, len(rank)))
    out.table(
        ("checkpoint", "format", "state", "why"),
        [(f.path, f.format, f.state, f.detail or "; ".join(f.needs[:2])) for f in rows],
    )


def _remark_on_leftovers(folder: str, out: Output) -> None:
    from kerasguard.checkpoints.tidy import tidy

    left = tidy(folder)
    if left:
        one = len(left) == 1
        told = "1 file" if one else f"{len(left)} files"
        what = (
            f"{told} of kerasguard's {'belongs' if one else 'belong'} to no checkpoint, such as "
            f"{left[0].path}"
        )
        out.remark(f"{what}; to list, pair or remove them: kerasguard tidy {folder}")


@contextlib.contextmanager
def _executor(processes: int | None) -> Iterator[Executor | None]:
    """As many processes as there are CPUs to use; none where one is enough."""
    if processes is not None and processes < 1:
        raise UsageError(f"--processes {processes}: must be 1 or more")
    count = processes or len(os.sched_getaffinity(0))
    if count == 1:
        yield None
        return
    # Nothing of this process is needed there, and a fork would copy its threads' locks.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _listed(place: str) -> frozenset[str]:
    """The paths in a file of earlier runs with `--jsonl`; of one that was killed, half a line."""
    try:
        written = Path(place).read_bytes()
    except FileNotFoundError:
        return frozenset()  # the first time
    except OSError as error:
        raise UsageError(f"--resume {place}: {error.strerror or error}") from error
    lines = written.splitlines()
    found = set()
    for number, line in enumerate(lines, 1):
        if line and not line.startswith(b"{"):
            raise UsageError(f"--resume {place}: line {number} is not what scan --jsonl prints")
        with contextlib.suppress(ValueError, TypeError, KeyError):
            found.add(json.loads(line)["path"])
    if lines and not written.endswith(b"\n"):
        sys.stdout.write("\n")  # what follows may be appended to that file
    return frozenset(found)
