"""How long loading into a model takes: `model.load_weights` against `kerasguard.load(path, model)`.

    python tests/benchmarks/load_weights.py                  all cases, five rounds
    python tests/benchmarks/load_weights.py resnet50 --rounds 9

Medians, the two taking turns in one process; wall and processor time. kerasguard compares every
byte with the manifest, Keras compares none. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from load import MODELS

CASES = (
    ("resnet50", ".weights.h5", 0.25),
    ("transformer", ".weights.h5", 0.65),
    ("resnet50", ".keras", 0.10),
)
"""Model, file, and wall time as a part of what stock Keras takes."""


def measure(model: Any, path: Path, rounds: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Median (wall, processor) seconds of stock Keras and of kerasguard."""
    import kerasguard

    loaders: tuple[Callable[[], Any], ...] = (
        lambda: model.load_weights(path),
        lambda: kerasguard.load(path, model),
    )
    times: tuple[list[tuple[float, float]], ...] = ([], [])
    for turn in range(rounds + 1):
        for load, found in zip(loaders, times, strict=True):
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            load()
            if turn:  # the first warms up
                found.append((time.perf_counter() - wall, time.process_time() - cpu))
    medians = [
        (statistics.median(t[0] for t in found), statistics.median(t[1] for t in found))
        for found in times
    ]
    return medians[0], medians[1]


def main() -> None:
    """Print the table."""
    import kerasguard

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'model':14}{'file':13}{'stock':>9}{'guard':>9}{'wall':>7}{'cpu':>7}{'goal':>7}")
    for name, suffix, goal in CASES:
        if options.models and name not in options.models:
            continue
        with tempfile.TemporaryDirectory() as folder:
            model = MODELS[name]()
            path = Path(folder) / f"{name}{suffix}"
            (model.save if suffix == ".keras" else model.save_weights)(path)
            kerasguard.record(path, model)
            (wall, cpu), (own_wall, own_cpu) = measure(model, path, options.rounds)
            print(
                f"{name:14}{suffix:13}{wall:8.3f}s{own_wall:8.3f}s{own_wall / wall:7.2f}"
                f"{own_cpu / cpu:7.2f}{goal:7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
