"""How long a load takes and how much memory, stock Keras against kerasguard.

    python tests/benchmarks/load.py                    all models, five rounds
    python tests/benchmarks/load.py resnet50 --rounds 9
    python tests/benchmarks/load.py resnet50 --profile  where the time goes

Times are medians over rounds, the two loaders taking turns in one process; wall and processor
time. Memory is the peak above what the process held after its imports, in a process of its own
per loader, as a multiple of the checkpoint's size. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

GOALS = {"resnet50": 0.40, "transformer": 0.30, "resnet50_adam": 0.60, "dense300": 0.15}
"""Wall time as a part of what stock Keras takes."""


def resnet50() -> Any:
    """The 320 tensors and 102 MB of ResNet50."""
    import keras

    return keras.applications.ResNet50(weights=None)


def resnet50_adam() -> Any:
    """ResNet50 compiled, with an optimizer that has state."""
    model = resnet50()
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def transformer() -> Any:
    """Twelve blocks of stock layers, 433 MB."""
    import keras

    layers, width = keras.layers, 768
    tokens = keras.Input((64,), dtype="int32")
    x = layers.Embedding(30_000, width)(tokens)
    for _ in range(12):
        y = layers.MultiHeadAttention(12, width // 12, dropout=0.1)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, layers.Dropout(0.1)(y)]))
        y = layers.Dense(width)(layers.Dense(4 * width, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, y]))
    return keras.Model(tokens, layers.Dense(2)(x))


def dense300() -> Any:
    """A Sequential of 300 small layers."""
    import keras

    return keras.Sequential([keras.Input((16,)), *(keras.layers.Dense(16) for _ in range(300))])


MODELS: dict[str, Callable[[], Any]] = {
    function.__name__: function for function in (resnet50, transformer, resnet50_adam, dense300)
}


def stock(path: Path) -> Any:
    """As a user of Keras would."""
    import keras

    return keras.saving.load_model(path)


def guarded(path: Path) -> Any:
    """As a user of kerasguard would: every byte compared with the manifest."""
    import kerasguard

    return kerasguard.load(path)


LOADERS = {"stock": stock, "kerasguard": guarded}


def prepare(name: str, folder: Path) -> Path:
    """The model's checkpoint and manifest."""
    import kerasguard

    path = folder / f"{name}.keras"
    model = MODELS[name]()
    model.save(path)
    kerasguard.record(path, model)
    return path


def measure(path: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """Median wall and processor time by loader, in seconds."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in LOADERS}
    for turn in range(rounds + 1):
        for name, load in LOADERS.items():
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            load(path)
            if turn:  # the first warms up
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: (statistics.median(t[0] for t in found), statistics.median(t[1] for t in found))
        for name, found in times.items()
    }


def peak(path: Path, loader: str) -> float:
    """Peak memory above that after the imports, as a multiple of the file; own process."""
    argument = json.dumps([str(path), loader])
    done = subprocess.run(
        [sys.executable, __file__, "--peak", argument],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return float(done.stdout.split()[-1])


def report_peak(path: Path, loader: str) -> None:
    """The part of `peak` that runs in the process of its own."""
    import keras  # noqa: F401  not part of the measurement
    import tensorflow as tf

    import kerasguard  # noqa: F401

    tf.constant(0)
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far does not count
    model = LOADERS[loader](path)
    print((memory("VmHWM") - before) / path.stat().st_size)
    del model


def memory(field: str) -> int:
    """Bytes, as Linux tells."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.peak:
        path, loader = json.loads(options.peak)
        report_peak(Path(path), loader)
        return
    sys.setrecursionlimit(10_000)  # stock Keras needs it for a Sequential of many layers
    print(
        f"{'model':14}{'stock':>9}{'guard':>9}{'wall':>7}{'cpu':>7}{'goal':>7}  peak stock, guard"
    )
    for name in options.models or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            path = prepare(name, Path(folder))
            if options.profile:
                profile(path)
                continue
            found = measure(path, options.rounds)
            (wall, cpu), (own_wall, own_cpu) = found["stock"], found["kerasguard"]
            peaks = [peak(path, loader) for loader in LOADERS]
            print(
                f"{name:14}{wall:8.3f}s{own_wall:8.3f}s{own_wall / wall:7.2f}{own_cpu / cpu:7.2f}"
                f"{GOALS[name]:7.2f}  {peaks[0]:.2f}x, {peaks[1]:.2f}x",
                flush=True,
            )


def profile(path: Path) -> None:
    """Where kerasguard's time goes, the second time it loads the file."""
    guarded(path)
    gc.collect()
    profiler = cProfile.Profile()
    profiler.enable()
    guarded(path)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("cumtime").print_stats(70)


if __name__ == "__main__":
    main()
