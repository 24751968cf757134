"""What the checks of `load` cost, as a part of it: deciding, the manifest, digests, migrations.

    python tests/benchmarks/checks.py                  ResNet50, nine rounds
    python tests/benchmarks/checks.py dense300 --rounds 5

Clocks run around everything that a loader without checks would not do. *Deciding* surveys the
model (its graph, configs, what Keras did not write) and folds the rules over the three tables.
Apart from it: the manifest is read and the bytes around the tensors are compared with it; digests
are made, by other threads; migrations look for what an older Keras wrote. It is processor time, of
all threads for the load and of its own thread for each check: wall time would count other threads
where they happen to get into the way. Parts are taken in each round and the medians are told.
Without the probe.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from load import MODELS, prepare

GOAL = 0.05
"""Of what a load takes, for deciding."""


class Clocks:
    """This thread's processor time by what it was spent on; a clock inside another's stops that."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    def around(self, owner: Any, name: str, what: str) -> None:
        """Put a clock around a function, for good."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            self._switch()
            self._running.append(what)
            try:
                return function(*arguments, **named)
            finally:
                self._switch()
                self._running.pop()

        setattr(owner, name, timed)

    def _switch(self) -> None:
        now = time.thread_time()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


def clocks() -> Clocks:
    """Clocks around every check of a load."""
    from kerasguard.loader import attempt, build_model, prepared, reading
    from kerasguard.models import assets, assign
    from kerasguard.storage import sidecar

    made = Clocks()
    made.around(sidecar, "read", "manifest")
    made.around(reading, "skeleton_differences", "manifest")
    made.around(build_model, "migrate", "migrations")
    made.around(assign, "records_of", "survey")
    made.around(assign, "hidden_state", "survey")
    made.around(assets, "vocabularies", "survey")
    made.around(prepared.Prepared, "diagnose", "rules")
    made.around(prepared.Prepared, "settled", "rules")
    made.around(reading.Reading, "finish", "")  # reads on: waiting for it is not a check
    made.around(attempt, "report_of", "rules")
    return made


def digests(path: Path) -> float:
    """Seconds that the digests of a checkpoint's tensors take."""
    from kerasguard.loader.reading import Reading
    from kerasguard.tensors.elements import digest

    with Reading(path) as found:
        arrays = [found.values((step,))[step.target] for step in _plain(found.finish())]
    start = time.thread_time()
    for array in arrays:
        digest(array)
    return time.thread_time() - start


def _plain(table: Any) -> list[Any]:
    from kerasguard.planning.operations import Step

    return [Step(key, (key,)) for key in table.tensors]


def measure(path: Path, rounds: int) -> tuple[float, dict[str, float]]:
    """Median seconds of a load, and median parts of it by check."""
    import kerasguard

    made = clocks()
    loads: list[float] = []
    parts: dict[str, list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        gc.collect()
        made.seconds.clear()
        start = time.process_time()
        kerasguard.load(path)
        whole = time.process_time() - start
        if turn:  # the first warms up
            loads.append(whole)
            spent = {what: taken for what, taken in made.seconds.items() if what}
            for what, taken in {**spent, "deciding": spent["survey"] + spent["rules"]}.items():
                parts[what].append(taken / whole)
            parts["digests"].append(digests(path) / whole)
    return statistics.median(loads), {what: statistics.median(p) for what, p in parts.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["resnet50"])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(10_000)
    for name in options.models:
        if name not in MODELS:
            parser.error(f"no model {name!r}; there are {', '.join(MODELS)}")
        with tempfile.TemporaryDirectory() as folder:
            whole, parts = measure(prepare(name, Path(folder)), options.rounds)
        told = ", ".join(f"{what} {part:.1%}" for what, part in parts.items())
        print(f"{name}: load {whole:.3f} s of processor time; goal of deciding {GOAL:.0%}: {told}")


if __name__ == "__main__":
    main()
