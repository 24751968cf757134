"""How long loading into a model takes: `model.load_weights` against `kerasguard.load(path, model)`.

    python tests/benchmarks/load_weights.py                  all cases, five rounds
    python tests/benchmarks/load_weights.py resnet50 --rounds 9

Medians, the ways taking turns in one process; wall and processor time. kerasguard compares every
byte with the manifest, Keras and safetensors compare none; all three assign by name or position
into the same model. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from load import MODELS

CASES = (
    ("resnet50", ".weights.h5", 0.25),
    ("transformer", ".weights.h5", 0.65),
    ("resnet50", ".keras", 0.10),
)
"""Model, file, and wall time as a part of what stock Keras takes."""


def safetensors_beside(model: Any, path: Path) -> Callable[[], None] | None:
    """A load of the same weights by safetensors, assigned by name; None where it is missing."""
    try:
        from safetensors.numpy import load_file, save_file
    except ImportError:
        return None
    import numpy as np

    place = path.with_suffix(".safetensors")
    save_file({v.path: np.asarray(v) for v in model.variables}, place)

    def load() -> None:
        stored = load_file(place)
        for variable in model.variables:
            variable.assign(stored[variable.path])

    return load


def measure(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median (wall, processor) seconds of each way."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, load in ways.items():
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            load()
            if turn:  # the first warms up
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: (statistics.median(t[0] for t in found), statistics.median(t[1] for t in found))
        for name, found in times.items()
    }


def main() -> None:
    """Print the table."""
    import kerasguard

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'model':12}{'file':12}{'way':22}{'wall':>9}{'cpu':>9}{'x wall':>8}{'x cpu':>7}  goal")
    for name, suffix, goal in CASES:
        if options.models and name not in options.models:
            continue
        with tempfile.TemporaryDirectory() as folder:
            model = MODELS[name]()
            path = Path(folder) / f"{name}{suffix}"
            (model.save if suffix == ".keras" else model.save_weights)(path)
            kerasguard.record(path, model)
            ways: dict[str, Callable[[], Any]] = {
                "stock": partial(model.load_weights, path),
                "kerasguard": partial(kerasguard.load, path, model),
            }
            if peer := safetensors_beside(model, path):
                ways["safetensors + assign"] = peer
            found = measure(ways, options.rounds)
            for way, (wall, cpu) in found.items():
                print(
                    f"{name:12}{suffix:12}{way:22}{wall:8.3f}s{cpu:8.3f}s"
                    f"{wall / found['stock'][0]:8.2f}{cpu / found['stock'][1]:7.2f}{goal:6.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
