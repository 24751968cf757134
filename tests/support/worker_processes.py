"""Processes that work together on this machine: started, waited for, and ended by their ids."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ["free_ports", "run_workers"]

SUPPORT = Path("tests", "support")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def run_workers(
    script: Path,
    arguments: Sequence[object],
    folder: Path,
    seconds: float,
    count: int = 2,
    python: Path | None = None,
) -> list[str]:
    """What so many workers print; the last argument of each is its rank.

    Raises:
        AssertionError: one failed, or was still there when the time was over; all are ended then.
    """
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    command = [python or sys.executable, script, *map(str, arguments)]
    with _started(command, folder, addresses) as workers:
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(one.poll() is None for one in workers):
            if any(one.poll() for one in workers):
                break  # the others wait for one that is gone
            time.sleep(0.1)
        codes = [one.poll() for one in workers]
    told = [(folder / f"worker{rank}.out").read_text("utf-8") for rank in range(count)]
    errors = [(folder / f"worker{rank}.err").read_text("utf-8") for rank in range(count)]
    assert codes == [0] * count, f"{codes}\n" + "\n".join(
        f"--- worker {rank}\n{told[rank]}\n{errors[rank][-3000:]}" for rank in range(count)
    )
    return told


@contextmanager
def _started(
    command: Sequence[str | Path], folder: Path, addresses: Sequence[str]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    repository = Path(__file__).resolve().parents[2]
    workers: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        try:
            for rank in range(len(addresses)):
                task = {"type": "worker", "index": rank}
                streams = [
                    stack.enter_context((folder / f"worker{rank}.{name}").open("wb"))
                    for name in ("out", "err")
                ]
                environment = {
                    **os.environ,
                    "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task}),
                    "PYTHONPATH": os.pathsep.join([str(repository), str(repository / SUPPORT)]),
                    "WORKERS": addresses[0],
                }
                line = [*command, str(rank)]
                out, err = streams
                workers.append(subprocess.Popen(line, env=environment, stdout=out, stderr=err))
            yield workers
        finally:
            for one in workers:
                if one.poll() is None:
                    one.kill()
                one.wait()
