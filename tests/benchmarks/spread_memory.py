"""How much memory a load takes under a strategy of four replicas, and onto a mesh of eight devices.

    python tests/benchmarks/spread_memory.py mirrored       needs TensorFlow
    python tests/benchmarks/spread_memory.py mesh           needs JAX

Each figure is of a fresh process: the peak above what it held before the load, so that a model
which `load` builds is in it, and one that was passed is not (`low`: passed, `memory="low"`). It is
given as a multiple of the checkpoint's size, once with the largest tensor taken off. Goals: 1.3
times the size and one tensor under `MirroredStrategy` of four, one tensor above the model on a mesh
whose devices each hold an eighth of every kernel. Devices are virtual: what they hold is memory of
this process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SUFFIXES = (".keras", ".weights.h5", ".h5")
WIDTHS = (2048,) * 12 + (4096, 4096)
LARGEST = 4 * 4096 * 4096


def net() -> Any:
    """300 MB in 14 kernels; the largest has 67 MB."""
    import keras

    return keras.Sequential([keras.Input((2048,)), *(keras.layers.Dense(n) for n in WIDTHS)])


def home(kind: str) -> Any:
    """What the model is created on."""
    if kind == "mesh":
        import keras

        mesh = keras.distribution.DeviceMesh((1, 8), ("batch", "model"))
        table = keras.distribution.LayoutMap(mesh)
        table[".*kernel"] = (None, "model")
        return keras.distribution.ModelParallel(layout_map=table, batch_dim_name="batch")
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(4)])


def start(kind: str) -> None:
    """The devices, before anything is computed."""
    if kind == "mesh":
        os.environ["KERAS_BACKEND"] = "jax"
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
    else:
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * 4
        tf.config.set_logical_device_configuration(cpu, logical)


def save(folder: Path) -> None:
    """A recorded checkpoint of each format."""
    import kerasguard

    with kerasguard.patched():
        model = net()
        for suffix in SUFFIXES:
            path = folder / f"m{suffix}"
            model.save_weights(path) if "weights" in suffix else model.save(path)


def report_peak(kind: str, path: Path, way: str) -> None:
    """Print the peak of one load, in bytes."""
    import kerasguard

    strategy = home(kind)
    model = None
    if way in ("given", "low"):
        with strategy.scope():
            model = net()
    else:
        with strategy.scope():
            import keras

            keras.Sequential([keras.Input((2,)), keras.layers.Dense(8)])
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far does not count
    if way == "stock":
        import keras

        with strategy.scope():
            model = keras.saving.load_model(path)
    else:
        memory_for: Any = "low" if way == "low" else "full"
        model = kerasguard.load(path, model, strategy=strategy, memory=memory_for)
    print(memory("VmHWM") - before)
    del model


def memory(field: str) -> int:
    """Bytes, as Linux tells."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def fresh(*arguments: str) -> str:
    """What this program prints in a process of its own."""
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    return done.stdout


def main(kind: str) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        fresh(kind, "save", folder)
        print(f"{kind}: {'file':14}{'way':>8}{'peak':>8}{'- largest':>11}", flush=True)
        for suffix in SUFFIXES:
            path = Path(folder, f"m{suffix}")
            ways = ("given", "low") if "weights" in suffix else ("stock", "built", "given", "low")
            for way in ways:
                found = int(fresh(kind, "peak", str(path), way).split()[-1])
                size = path.stat().st_size
                less = (found - LARGEST) / size
                print(f"{kind}: {suffix:14}{way:>8}{found / size:7.2f}x{less:10.2f}x", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    kind, task = sys.argv[1], sys.argv[2:]
    if not task:
        main(kind)
        sys.exit()
    start(kind)
    if task[0] == "save":
        save(Path(task[1]))
    else:
        report_peak(kind, Path(task[1]), task[2])
