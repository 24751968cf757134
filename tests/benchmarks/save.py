"""What recording costs: `model.save` as Keras does it, and under `kerasguard.patch()`.

    python tests/benchmarks/save.py                    ResNet50, nine rounds
    python tests/benchmarks/save.py transformer --rounds 5
    python tests/benchmarks/save.py --fsync            with what the disk takes to be flushed
    python tests/benchmarks/save.py --profile          where the time goes

Medians, the two taking turns (A B A B) in one process. Keras' file is written beside its last one
and then takes its place, as a save must that loses nothing; a recorded one does so by itself. By
default the disk is left out on both sides: nothing is flushed, and files lie in memory where the
system has a folder for that. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import functools
import gc
import os
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from load import MODELS, memory

GOAL = 1.10
SAVES: dict[str, Callable[[Any, Path], None]] = {
    ".keras": lambda model, path: model.save(path),
    ".weights.h5": lambda model, path: model.save_weights(path),
}


def beside(save: Callable[[Path], None], path: Path) -> None:
    """Save under another name, and take the last file's place."""
    other = path.with_name(f"next{path.name}")
    save(other)
    other.replace(path)


def measure(
    save: Callable[[Path], None], path: Path, rounds: int
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Wall and processor time of each round, stock and recorded."""
    import kerasguard

    stock: list[tuple[float, float]] = []
    recorded: list[tuple[float, float]] = []
    for turn in range(rounds + 1):
        for context, times, run in (
            (contextlib.nullcontext(), stock, functools.partial(beside, save)),
            (kerasguard.patched(strict=True, log_to_mlflow=False), recorded, save),
        ):
            with context:
                gc.collect()
                wall, cpu = time.perf_counter(), time.process_time()
                run(path)
                if turn:  # the first warms up
                    times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return stock, recorded


def median(times: list[tuple[float, float]]) -> tuple[float, float]:
    """Of wall and of processor time."""
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times)


def profile(save: Callable[[Path], None], path: Path) -> None:
    """Where a recorded save's time goes."""
    import kerasguard

    with kerasguard.patched(strict=True, log_to_mlflow=False):
        save(path)
        profiler = cProfile.Profile()
        profiler.enable()
        save(path)
        profiler.disable()
    pstats.Stats(profiler).sort_stats("cumtime").print_stats(50)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--fsync", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    sys.setrecursionlimit(10_000)  # stock Keras needs it for a Sequential of many layers
    parent = None
    if not options.fsync:
        parent = "/dev/shm" if Path("/dev/shm").is_dir() else None
        os.fsync = lambda _: None  # type: ignore[assignment]
    print(f"{'save':24}{'stock':>9}{'guard':>9}{'wall':>7}{'cpu':>7}{'goal':>7}  peak memory")
    for name in options.models or ["resnet50"]:
        model = MODELS[name]()
        for suffix, save in SAVES.items():
            with tempfile.TemporaryDirectory(dir=parent) as folder:
                path = Path(folder) / f"model{suffix}"
                call = functools.partial(save, model)
                if options.profile:
                    profile(call, path)
                    continue
                stock, recorded = measure(call, path, options.rounds)
                (wall, cpu), (own_wall, own_cpu) = median(stock), median(recorded)
                print(
                    f"{name + suffix:24}{wall:8.3f}s{own_wall:8.3f}s{own_wall / wall:7.2f}"
                    f"{own_cpu / cpu:7.2f}{GOAL:7.2f}  {memory('VmHWM') >> 20} MiB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
