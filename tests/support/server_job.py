"""A cluster of two workers and two parameter servers in this process; tf_keras trains and saves.

    server_job.py FOLDER PARTS

PARTS is 0 for variables that stay whole. Prints `NAME PLACE: EQUAL of ALL` per load.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from worker_processes import free_ports

import kerasguard as kg

X = np.linspace(-1, 1, 64, dtype="float32").reshape(16, 4)
Y = X[:, :1] * 2
FILES = ("2.keras", "2.weights.h5", "tf-2")


def cluster() -> Any:
    """Servers on ports of their own, for as long as the process lives."""
    ports = free_ports(4)
    jobs = {
        "worker": [f"localhost:{port}" for port in ports[:2]],
        "ps": [f"localhost:{port}" for port in ports[2:]],
    }
    spec = tf.train.ClusterSpec(jobs)
    config = tf.compat.v1.ConfigProto()
    config.inter_op_parallelism_threads = 4
    for job, tasks in jobs.items():
        for index in range(len(tasks)):
            tf.distribute.Server(spec, job, index, config=config, protocol="grpc")
    return tf.distribute.cluster_resolver.SimpleClusterResolver(spec, rpc_layer="grpc")


def strategy_of(resolver: Any, parts: int) -> Any:
    cut = tf.distribute.experimental.partitioners.FixedShardsPartitioner(parts) if parts else None
    return tf.distribute.ParameterServerStrategy(resolver, variable_partitioner=cut)


def net() -> Any:
    layers = tf_keras.layers
    inputs = tf_keras.Input((4,))
    hidden = layers.Dense(8, activation="relu", name="hidden")(inputs)
    hidden = layers.BatchNormalization(name="norm")(hidden)
    model = tf_keras.Model(inputs, layers.Dense(1, name="head")(hidden), name="net")
    model.compile(tf_keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


def state(model: Any) -> list[np.ndarray]:
    """Weights and optimizer, every variable as one."""
    found: dict[int, Any] = {}
    for variable in model.weights:
        whole = getattr(variable, "_sharded_container", lambda v=variable: v)()
        found[id(whole)] = whole
    return [np.array(v.numpy()) for v in (*found.values(), *model.optimizer.variables)]


def main(folder: Path, parts: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    resolver = cluster()
    served = strategy_of(resolver, parts)
    with served.scope():
        model = net()
    callbacks = tf_keras.callbacks
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).repeat()
    savers = [
        callbacks.ModelCheckpoint(str(folder / "{epoch}.weights.h5"), save_weights_only=True),
        callbacks.ModelCheckpoint(str(folder / "tf-{epoch}"), save_weights_only=True),
        kg.WeightManifestCallback(folder / "{epoch}.keras", strict=True),
    ]
    model.fit(data, epochs=2, steps_per_epoch=2, verbose=0, callbacks=savers)
    wanted = state(model)
    places = {
        "none": None,
        "Mirrored 2": tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"]),
        "itself": served,
    }
    if parts:
        places["other parts"] = strategy_of(resolver, parts + 1)
    for name in FILES:
        for place, strategy in places.items():
            with tf.distribute.get_strategy().scope() if strategy is None else strategy.scope():
                given = net()
                given.optimizer.build(given.trainable_variables)
            restored = kg.restore(folder / name, given, learning_rate="stored")
            found = state(restored.model)
            equal = sum(a.tobytes() == b.tobytes() for a, b in zip(found, wanted, strict=True))
            proven = all(o.proven for o in restored.report.outcomes)
            assert proven, (name, place, restored.report)
            assert not restored.report.findings, (name, place, restored.report)
            print(f"{name} {place}: {equal} of {len(wanted)}", flush=True)
    built = kg.restore(folder / "2.keras").report
    print(f"2.keras Keras 3: {built.proven} of {len(built.outcomes)}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # the servers never end
