"""What workers have saved, in a process of its own: onto nothing, and onto two replicas.

    worker_files.py FILE...

Prints `NAME PLACE: EQUAL of ALL` per load: how many tensors are those of the file.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from worker_job import net, parts_of, variables

import kerasguard as kg


def main(*paths: str) -> None:
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    mirrored = tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"])
    for path in map(Path, paths):
        for place in ("none", "Mirrored 2", "Keras 3"):
            scope: Any = mirrored.scope() if place == "Mirrored 2" else warnings.catch_warnings()
            with scope:
                given = None if place == "Keras 3" else net()
                if given is None and "weights" in path.name:
                    continue
                restored = kg.restore(path, given, learning_rate="stored")
            assert given is None or isinstance(restored.model, tf_keras.Model)
            equal = sum(o.proven is True for o in restored.report.outcomes)
            print(f"{path.name} {place}: {equal} of {len(restored.report.outcomes)}")
            for variable in variables(restored.model):
                first, *others = parts_of(variable)
                assert all(np.array_equal(first, other) for other in others), variable.name


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
