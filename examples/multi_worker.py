"""Two workers train a model of tf_keras; one loses its copy of the checkpoint, and both load it.

Needs `pip install 'kerasguard[tensorflow]' tf_keras`; both workers are processes on this machine.

    python examples/multi_worker.py [FOLDER]
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

WORKERS, SECONDS = 2, 240


def start(folder: Path) -> int:
    """What a cluster manager does elsewhere: a process per worker, and `TF_CONFIG` for each."""
    sockets = [socket.socket() for _ in range(WORKERS)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    processes = []
    for index in range(WORKERS):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        environment = {**os.environ, "TF_CONFIG": config, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, __file__, str(folder)]
        processes.append(subprocess.Popen(command, env=environment))  # noqa: S603  # this program
    try:
        return max(process.wait(SECONDS) for process in processes)
    finally:
        for process in processes:
            process.kill()


def work(folder: Path) -> None:
    """What a training script does; every worker runs the same one."""
    import numpy as np
    import tensorflow as tf
    import tf_keras

    import kerasguard as kg
    from kerasguard.errors import WorkersError

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    rank = strategy.cluster_resolver.task_id
    told = print if rank == 0 else lambda _: None

    with strategy.scope():
        layers = tf_keras.layers
        parts = [layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dense(2)]
        model = tf_keras.Sequential([tf_keras.Input((4,)), *parts])
        model.compile("adam", "mse")

    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, x[:, :2])).batch(16)
    model.fit(
        data, epochs=2, verbose=0, callbacks=[kg.WeightManifestCallback(folder / "run.keras")]
    )
    told(f"saved by {WORKERS} workers: {sorted(p.name for p in folder.iterdir())}")

    # Each worker has a copy on a disk of its own, and the second one's was cut short.
    strategy.reduce("SUM", strategy.run(lambda: tf.constant(1.0)), axis=None)  # all are here
    own = folder / f"disk{rank}" / "run.keras"
    own.parent.mkdir()
    for end in ("", ".manifest.json"):
        shutil.copy(f"{folder / 'run.keras'}{end}", f"{own}{end}")
    if rank == 1:
        own.write_bytes(own.read_bytes()[:1000])

    try:
        kg.load(own, model, repair="off")
    except WorkersError as error:
        told(f"without repair, on both: {error}")

    report = kg.restore(own, model).report
    told(report)
    told(f"copies that differ: {kg.replica_differences(model)}")


def main(folder: Path) -> int:
    if "TF_CONFIG" not in os.environ:
        return start(folder)
    work(folder)
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1])))
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(Path(temporary)))
