"""Large models, ways side by side: processor time, wall time and peak memory of fresh processes.

    python tests/benchmarks/large.py load               a load into a model of 1 GiB, and its peers
    python tests/benchmarks/large.py load --gib 3
    python tests/benchmarks/large.py whole              a whole `.keras` file
    python tests/benchmarks/large.py save               a recorded save beside stock's
    python tests/benchmarks/large.py plan verify

Every figure is the median over processes of their own, which take turns (A B A B); each does its
one thing once, after imports and the building of the model. Memory is what the process held at
most beyond what it held before. "stock" is Keras' own way and the unit of the ratios. The last two
columns say what a way promises: whether it verifies, and whether a failure leaves all as it was. A
load that leaves all as it was holds the new values beside the old ones, so the last row of `load`
is its least cost on the machine: on a virtual one it can be most of it.
Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

WIDTH, MEBIBYTE = 4096, 1 << 20


def model(gib: float) -> Any:
    """Dense layers of 64 MiB each, with names, by which peers assign."""
    import keras

    layers = [keras.layers.Dense(WIDTH, use_bias=False, name=f"d{i}") for i in range(int(gib * 16))]
    return keras.Sequential([keras.Input((WIDTH,)), *layers], name="m")


def prepare(folder: Path, gib: float, jobs: list[str]) -> None:
    """Write the files that the ways read; the values are random, so nothing can be compressed."""
    import keras
    import numpy as np

    import kerasguard

    made = model(gib)
    dice = np.random.default_rng(0)
    for variable in made.variables:
        variable.assign(dice.standard_normal(variable.shape, "float32"))
    with kerasguard.patched(strict=True, log_to_mlflow=False):
        made.save_weights(folder / "m.weights.h5")
        if "whole" in jobs:
            made.save(folder / "m.keras")
    if "load" in jobs:
        with_peer(lambda: _prepare_peers(folder, made, keras))


def with_peer(work: Callable[[], None]) -> None:
    """Do it, or say which package is missing."""
    try:
        work()
    except ImportError as error:
        print(f"left out: {error.name} is not installed", file=sys.stderr)


def _prepare_peers(folder: Path, made: Any, keras: Any) -> None:
    import tensorflow as tf

    tf.train.Checkpoint(made).write(str(folder / "ckpt"))
    from safetensors.numpy import save_file

    save_file({v.path: keras.ops.convert_to_numpy(v) for v in made.variables}, folder / "m.st")
    import orbax.checkpoint as ocp

    tree = {v.path.replace("/", "."): keras.ops.convert_to_numpy(v) for v in made.variables}
    ocp.PyTreeCheckpointer().save(folder / "orbax", tree)


def _guard(folder: Path, gib: float, **options: Any) -> Callable[[], Any]:
    import kerasguard

    into = model(gib)
    return lambda: kerasguard.load(folder / "m.weights.h5", into, **options)


def _stock(folder: Path, gib: float) -> Callable[[], Any]:
    into = model(gib)
    return lambda: into.load_weights(folder / "m.weights.h5")


def _safetensors(folder: Path, gib: float) -> Callable[[], Any]:
    from safetensors.numpy import load_file

    into = model(gib)

    def load() -> None:
        stored = load_file(folder / "m.st")
        for variable in into.variables:
            variable.assign(stored[variable.path])

    return load


def _checkpoint(folder: Path, gib: float) -> Callable[[], Any]:
    import tensorflow as tf

    into = model(gib)
    return lambda: tf.train.Checkpoint(into).read(str(folder / "ckpt")).assert_consumed()


def _orbax(folder: Path, gib: float) -> Callable[[], Any]:
    import orbax.checkpoint as ocp

    into = model(gib)

    def load() -> None:
        stored = ocp.PyTreeCheckpointer().restore(folder / "orbax")
        for variable in into.variables:
            variable.assign(stored[variable.path.replace("/", ".")])

    return load


def _memory(_: Path, gib: float) -> Callable[[], Any]:
    """What the system takes to give memory for the weights, in 64 MiB at a time, all written to."""
    import numpy as np

    from kerasguard.storage.arena import aligned

    piece = np.ones(MEBIBYTE, np.uint8)

    def take() -> Any:
        blocks = [aligned(4 * WIDTH * WIDTH) for _ in range(round(gib * 1024 / 64))]
        for block in blocks:
            block.reshape(-1, MEBIBYTE)[:] = piece
        return blocks

    return take


def _stock_whole(folder: Path, _: float) -> Callable[[], Any]:
    import keras

    return lambda: keras.saving.load_model(folder / "m.keras")


def _guard_whole(folder: Path, _: float) -> Callable[[], Any]:
    import kerasguard

    return lambda: kerasguard.load(folder / "m.keras")


def _plan(folder: Path, gib: float) -> Callable[[], Any]:
    import kerasguard

    into = model(gib)
    return lambda: kerasguard.plan(folder / "m.weights.h5", into)


def _verify(folder: Path, _: float, **options: Any) -> Callable[[], Any]:
    import kerasguard

    return lambda: kerasguard.verify(folder / "m.weights.h5", **options)


def _read(folder: Path, _: float, algorithm: str) -> Callable[[], Any]:
    import hashlib

    import xxhash

    def read() -> None:
        state = xxhash.xxh3_128() if algorithm == "xxh3" else hashlib.sha256()
        buffer = bytearray(MEBIBYTE)
        with (folder / "m.weights.h5").open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                state.update(memoryview(buffer)[:count])

    return read


def _stock_save(folder: Path, gib: float) -> Callable[[], Any]:
    made = model(gib)
    made.save_weights(folder / "a.weights.h5")

    def save() -> None:  # as a save that loses nothing has to: a new file beside the last one
        made.save_weights(folder / "b.weights.h5")
        (folder / "b.weights.h5").replace(folder / "a.weights.h5")

    return save


def _guard_save(folder: Path, gib: float, **options: Any) -> Callable[[], Any]:
    import kerasguard

    made = model(gib)
    kerasguard.patch(strict=True, log_to_mlflow=False, **options)
    made.save_weights(folder / "a.weights.h5")
    return lambda: made.save_weights(folder / "a.weights.h5")


def _background_save(folder: Path, gib: float) -> Callable[[], Any]:
    """What the caller waits for; the first save, which gets the memory, is over."""
    import kerasguard
    from kerasguard.recorder import patching

    made = model(gib)
    kerasguard.patch(strict=True, log_to_mlflow=False, background=True)
    made.save_weights(folder / "a.weights.h5")
    worker = patching._state.everything.background  # type: ignore[union-attr]
    worker.wait()  # type: ignore[union-attr]
    return lambda: made.save_weights(folder / "a.weights.h5")


NO, YES = "no", "yes"
WAYS: dict[str, dict[str, tuple[Callable[..., Any], dict[str, Any], str, str]]] = {
    "load": {
        "stock": (_stock, {}, NO, NO),
        "kerasguard": (_guard, {}, YES, YES),
        'kerasguard, memory="low"': (_guard, {"memory": "low"}, YES, "verified first"),
        "safetensors + assign": (_safetensors, {}, NO, NO),
        "tf.train.Checkpoint": (_checkpoint, {}, "crc32c", NO),
        "Orbax + assign": (_orbax, {}, NO, NO),
        "so much memory alone": (_memory, {}, "-", "-"),
    },
    "whole": {
        "stock": (_stock_whole, {}, "crc32", "new model"),
        "kerasguard": (_guard_whole, {}, YES, "new model"),
    },
    "plan": {"stock": (_stock, {}, NO, NO), "kerasguard": (_plan, {}, YES, YES)},
    "verify": {
        "stock": (_read, {"algorithm": "xxh3"}, "reads and xxh3", "-"),
        "kerasguard": (_verify, {}, YES, "-"),
        "SHA-256 alone": (_read, {"algorithm": "sha256"}, "reads and SHA-256", "-"),
        "kerasguard, SHA-256": (_verify, {"sha256": True}, YES, "-"),
    },
    "save": {
        "stock": (_stock_save, {}, NO, YES),
        "kerasguard": (_guard_save, {}, YES, YES),
        "kerasguard, sha256=False": (_guard_save, {"sha256": False}, YES, YES),
        "kerasguard, background": (_background_save, {}, YES, YES),
    },
}
"""By job and way: what makes the call that is measured, and what the way promises."""


def one(job: str, way: str, folder: Path, gib: float) -> dict[str, float]:
    """Do one thing in this process and measure it."""
    warnings.simplefilter("ignore")
    make, options, _, _ = WAYS[job][way]
    warm_up()
    call = make(folder, gib, **options)
    gc.collect()
    with _Peak() as peak:
        before, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        kept = call()
        wall = time.perf_counter() - wall
        after = resource.getrusage(resource.RUSAGE_SELF)
    del kept
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "wall": wall, "memory": peak.grown / MEBIBYTE}


def warm_up() -> None:
    """Everything that is imported when it is first used, on both sides."""
    import keras

    import kerasguard

    tiny = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.keras"
        with kerasguard.patched(log_to_mlflow=False):
            tiny.save(path)
        tiny.load_weights(path)
        kerasguard.load(path, tiny)
        kerasguard.load(path)
        kerasguard.verify(path)


class _Peak:
    """What the process held at most beyond what it held at first; looks 200 times a second."""

    def __enter__(self) -> _Peak:
        self._first = self._most = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.005):
            self._most = max(self._most, self._now())

    @staticmethod
    def _now() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def grown(self) -> int:
        return self._most - self._first


def measured(job: str, folder: Path, gib: float, rounds: int) -> None:
    """Print a row per way."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS[job]}
    for _ in range(rounds):
        for way, rows in found.items():
            command = [sys.executable, __file__, "--one", job, way, str(folder), str(gib)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                rows.append(json.loads(done.stdout.splitlines()[-1]))
    stock = {k: statistics.median(r[k] for r in found["stock"]) for k in ("cpu", "wall")}
    print(f"{job}, {gib:g} GiB{'':28}cpu   wall  x cpu x wall  memory  verifies / all or nothing")
    for way, rows in found.items():
        if not rows:
            print(f"  {way:32} not installed")
            continue
        cpu, wall, memory = (statistics.median(r[k] for r in rows) for k in rows[0])
        print(
            f"  {way:32}{cpu:6.2f}s{wall:6.2f}s{cpu / stock['cpu']:7.2f}{wall / stock['wall']:7.2f}"
            f"{memory:7.0f}M  {' / '.join(WAYS[job][way][2:])}",
            flush=True,
        )


def main() -> None:
    """Print a table per job."""
    if sys.argv[1:2] == ["--one"]:
        job, way, folder, gib = sys.argv[2:]
        print(json.dumps(one(job, way, Path(folder), float(gib))), flush=True)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="*", choices=[*WAYS, []], default=[*WAYS])
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to write the files; by default in memory")
    options = parser.parse_args()
    place = options.folder or ("/dev/shm" if Path("/dev/shm").is_dir() else None)
    for job in options.jobs:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            making = [sys.executable, "-c", _PREPARE.format(str(Path(__file__).parent), folder)]
            subprocess.run([*making, str(options.gib), job], check=True)
            measured(job, Path(folder), options.gib, options.rounds)


_PREPARE = """
import sys
sys.path.insert(0, {0!r})
from pathlib import Path
import large
large.prepare(Path({1!r}), float(sys.argv[1]), sys.argv[2:])
"""

if __name__ == "__main__":
    main()
