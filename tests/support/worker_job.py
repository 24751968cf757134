"""One of two workers of TensorFlow's `MultiWorkerMirroredStrategy`: trains, saves, loads.

    worker_job.py FOLDER PART RANK

Prints a JSON line per case. A worker that got an error stays alive: were it gone, the other would
be freed by the heartbeat and prove nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.python.eager import context

import kerasguard as kg
from kerasguard.errors import WorkersError

RUNS = 3
X = np.linspace(-1, 1, 64, dtype="float32").reshape(16, 4)
Y = X[:, :1] * 2


def net(batch: bool = True) -> Any:
    layers = tf_keras.layers
    inputs = tf_keras.Input((4,))
    hidden = layers.Dense(8, activation="relu", name="hidden")(inputs)
    if batch:
        hidden = layers.BatchNormalization(name="norm")(hidden)
    model = tf_keras.Model(inputs, layers.Dense(1, name="head")(hidden), name="net")
    model.compile(tf_keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    return model


def local(variable: Any) -> np.ndarray:
    """What this worker holds of a variable, asked of nobody else."""
    return np.array(parts_of(variable)[0].numpy())


def parts_of(variable: Any) -> Any:
    inner = variable.value if isinstance(variable, keras.Variable) else variable
    return getattr(inner, "values", None) or (inner,)


def variables(model: Any) -> list[Any]:
    return [*model.weights, *model.optimizer.variables]


def digest(model: Any) -> str:
    found = hashlib.sha256()
    for variable in variables(model):
        found.update(local(variable).tobytes())
    return found.hexdigest()[:16]


def disturb(model: Any, number: int) -> None:
    """Values that no checkpoint holds."""
    for variable in variables(model):
        for part in parts_of(variable):
            part.assign(tf.fill(part.shape, tf.cast(number, part.dtype)))


class Job:
    def __init__(self, folder: Path, rank: int) -> None:
        self.folder, self.rank, self.meetings = folder, rank, 0
        self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        self.own = folder / f"worker{rank}"
        self.own.mkdir()

    def meet(self) -> None:
        self.meetings += 1
        context.context().wait_at_barrier(f"test/{self.meetings}", 100_000)

    def tell(self, case: str, **told: Any) -> None:
        print(json.dumps({"case": case, **told}), flush=True)

    def train(self) -> Any:
        """`fit` with the callback beside Keras' own, and with a path of its own."""
        with self.strategy.scope():
            model = net()
        run = self.folder / "run"
        callbacks = [
            tf_keras.callbacks.ModelCheckpoint(str(run / "{epoch}.keras")),
            kg.WeightManifestCallback(run / "{epoch}.weights.h5", save_weights_only=True),
        ]
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
        model.fit(data, epochs=2, verbose=0, callbacks=callbacks)
        with kg.patched():
            model.save(run / "direct.keras")  # the same path on both workers
        self.meet()
        for name in ("2.keras", "2.weights.h5", "direct.keras"):
            self.load_from(run / name, "exact", model)
        with kg.patched():
            model.save(run / "direct.keras")
        self.meet()
        self.record(run / "direct.keras", model)
        return model

    def record(self, shared: Path, model: Any) -> None:
        """On every worker: a path that all of them have, and a file of its own."""
        own = self.own / "own.keras"
        shutil.copy(shared, own)
        for path in (shared, own):
            recorded = kg.record(path, model)
            self.meet()
            beside = kg.Manifest.from_json(Path(f"{path}.manifest.json").read_text("utf-8"))
            mine = recorded.checkpoint_id == beside.checkpoint_id
            self.tell(f"recorded {path.name}", mine=mine, **beside.environment)

    def prepare(self, model: Any) -> None:
        """A copy for each worker; the second worker's may be damaged, or another checkpoint."""
        source, other = self.folder / "run" / "2.keras", self.folder / "run" / "1.keras"
        for case in ("good", "missing", "bare", "damaged", "cut", "other"):
            place = self.own / case / "m.keras"
            place.parent.mkdir()
            for end in ("", ".manifest.json"):
                one = other if case == "other" and self.rank else source
                shutil.copy(f"{one}{end}", f"{place}{end}")
            if not self.rank:
                continue
            if case in ("missing", "bare"):
                place.unlink()
            if case == "bare":
                Path(f"{place}.manifest.json").unlink()
            content = bytearray() if not place.exists() else bytearray(place.read_bytes())
            if case == "damaged":
                manifest = kg.Manifest.from_json(Path(f"{place}.manifest.json").read_text("utf-8"))
                extent = manifest.table.tensors["layers/dense/vars/0"].extent
                assert extent is not None
                content[extent.offset] ^= 4
                place.write_bytes(content)
            if case == "cut":
                place.write_bytes(content[: len(content) // 2])

    def load(self, case: str, repair: Any, model: Any = None, **options: Any) -> None:
        self.load_from(self.own / case / "m.keras", repair, model, **options)

    def load_from(self, path: Path, repair: Any, model: Any = None, **options: Any) -> None:
        if model is not None:
            disturb(model, self.rank + 2)
        before = None if model is None else digest(model)
        self.meet()
        start = time.monotonic()
        try:
            restored = kg.restore(path, model, repair=repair, learning_rate="stored", **options)
        except WorkersError as error:
            after = None if model is None else digest(model)
            told = {"reasons": error.reasons, "same": before == after}
        else:
            report = restored.report
            told = {
                "digest": digest(restored.model),
                "codes": [f.code for f in report.findings],
                "proven": report.proven == len(report.outcomes) > 0,
                "keras": type(restored.model).__module__.partition(".")[0],
            }
        case = f"{path.parent.name}/{path.name} {repair}"
        self.tell(case, seconds=round(time.monotonic() - start, 2), **told)
        self.meet()

    def keras3(self) -> None:
        """A model of Keras 3, which `fit` does not run here and custom loops do."""
        run = self.folder / "three"
        with self.strategy.scope():
            model = three()
        disturb(model, 7)
        if not self.rank:  # the chief saves alone
            run.mkdir()
            with kg.patched(strict=True):
                model.save(run / "m.keras")
        self.meet()
        for case in ("good", "missing"):
            place = self.own / f"three-{case}" / "m.keras"
            place.parent.mkdir()
            for end in ("", ".manifest.json"):
                shutil.copy(run / f"m.keras{end}", f"{place}{end}")
            if self.rank and case == "missing":
                place.unlink()
        for case in ("three-good", "three-missing"):
            self.load(case, "exact", model)
            self.load(case, "exact", strategy=self.strategy)
            with self.strategy.scope():
                self.load(case, "exact")
        self.load("three-missing", "off", strategy=self.strategy)
        self.load("three-good", "exact", strategy=self.strategy, skip=["head"])
        self.one_cannot_build(run)

    def one_cannot_build(self, run: Path) -> None:
        """The last case: the other worker is in a collective that has to be ended."""
        rank = self.rank

        class Odd(keras.layers.Layer):  # type: ignore[misc]
            def __init__(self, **options: Any) -> None:
                super().__init__(**options)
                if rank and loading:
                    raise ValueError("only here")

            def call(self, x: Any) -> Any:
                return x

        loading = False
        if not rank:
            layers = [keras.layers.Dense(2), Odd(), keras.layers.Dense(2)]
            with kg.patched(strict=True):
                keras.Sequential([keras.Input((4,)), *layers]).save(run / "odd.keras")
        self.meet()
        loading = True
        options = {"strategy": self.strategy, "custom_objects": {"Odd": Odd}}
        self.load_from(run / "odd.keras", "exact", **options)


def three() -> Any:
    layers = keras.layers
    parts = [layers.Dense(8, name="hidden"), layers.BatchNormalization(), layers.Dropout(0.1)]
    model = keras.Sequential([keras.Input((4,)), *parts, layers.Dense(1, name="head")])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def main(folder: Path, part: str, rank: int) -> None:
    job = Job(folder, rank)
    if part == "keras3":
        job.keras3()
        return
    model = job.train()
    assert kg.replica_differences(model) == {}
    if rank:
        parts_of(model.get_layer("head").kernel)[0].assign_add([[1.0]] * 8)
    told = kg.replica_differences(model)
    assert told == {"head/kernel": "differs between workers"}, told
    job.prepare(model)
    job.meet()
    job.load("good", "exact", model)
    for _ in range(RUNS):
        for case in ("missing", "bare", "damaged", "cut", "other"):
            job.load(case, "off", model)
        job.load("other", "exact", model)
        for case in ("missing", "bare", "damaged", "cut"):
            job.load(case, "exact", model)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
