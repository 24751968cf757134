"""Checkpoints of models that are spread over eight devices, onto other meshes; needs JAX alone.

    mesh_job.py FOLDER files|strategy|orbax|golden...

Prints `N of M` per part; the exit status tells whether every cell is bit-exact.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import jax
import keras
import numpy as np

import kerasguard as kg
from kerasguard.errors import ModelError

SAVED = ("none", "data", "2x4")
RESTORED = ("none", "data", "2x4", "1x8", "4x2 rows")
FORMATS = (".keras", ".weights.h5", ".h5")
KINDS = ("functional", "sequential", "subclassed")


@keras.saving.register_keras_serializable("mesh")
class Net(keras.Model):  # type: ignore[misc]
    """Whose layers lie in attributes and a list, with names that Keras makes up."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.inner = keras.layers.Dense(16, activation="relu")
        self.norm = keras.layers.BatchNormalization()
        self.drop = keras.layers.Dropout(0.1)
        self.parts = [keras.layers.Dense(16), keras.layers.Dense(16)]

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = self.drop(self.norm(self.inner(x)), training=training)
        return self.parts[1](self.parts[0](x))


def distribution(layout: str) -> Any:
    """None, every device the whole model, or kernels cut over the devices of a mesh."""
    if layout == "none":
        return None
    if layout == "data":
        return keras.distribution.DataParallel(devices=keras.distribution.list_devices())
    sizes = tuple(int(n) for n in layout[:3].split("x"))
    mesh = keras.distribution.DeviceMesh(sizes, ("batch", "model"))
    table = keras.distribution.LayoutMap(mesh)
    rows = layout.endswith("rows")
    table[".*kernel"] = ("model", None) if rows else (None, "model")
    return keras.distribution.ModelParallel(layout_map=table, batch_dim_name="batch")


def net(kind: str) -> Any:
    """Built and compiled under the distribution that is active."""
    layers = keras.layers
    if kind == "functional":
        inputs = keras.Input((8,))
        hidden = layers.Dense(16, activation="relu", name="inner")(inputs)
        hidden = layers.Dropout(0.1)(layers.BatchNormalization(name="norm")(hidden))
        model = keras.Model(inputs, layers.Dense(16, name="head")(hidden), name="net")
    elif kind == "sequential":
        parts = [layers.Dense(16), layers.BatchNormalization(), layers.Dropout(0.1)]
        model = keras.Sequential([*parts, layers.Dense(16)], name="net")
        model.build((None, 8))
    else:
        model = Net(name="net")
        model(np.zeros((1, 8), "float32"))
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def filled(model: Any) -> Any:
    """With values that nobody else has, as after a training."""
    generator = np.random.default_rng(len(model.weights))
    for variable in (*model.weights, *model.optimizer.variables):
        if variable.dtype.startswith("float"):
            variable.assign(generator.uniform(0.1, 1, variable.shape).astype(variable.dtype))
        else:
            variable.assign(np.full(variable.shape, generator.integers(1, 99), variable.dtype))
    return model


def state(model: Any) -> list[np.ndarray]:
    """Everything that a `.keras` file holds of it."""
    weights = [v for v in model.weights if "seed" not in v.path]
    return [np.asarray(v) for v in (*weights, *model.optimizer.variables)]


def seeds(model: Any) -> list[np.ndarray]:
    return [np.asarray(v) for v in model.weights if "seed" in v.path]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


def laid_out(model: Any) -> list[str]:
    """How each variable lies on the devices."""
    variables = (*model.weights, *model.optimizer.variables)
    return [f"{v.value.sharding} {len(v.value.sharding.device_set)}" for v in variables]


def under(layout: str) -> None:
    keras.distribution.set_distribution(distribution(layout))


def files(folder: Path) -> Iterator[tuple[str, bool]]:
    """Three formats, saved under three layouts, under five layouts: built and given."""
    for saved in SAVED:
        under(saved)
        model = filled(net("functional"))
        wanted = state(model)
        for suffix in FORMATS:
            path = folder / f"{saved}{suffix}"
            with kg.patched():
                model.save_weights(path) if "weights" in suffix else model.save(path)
            for restored in RESTORED:
                under(restored)
                fresh = laid_out(net("functional"))
                for given in (net("functional"), None):
                    found = kg.load(path, given, learning_rate="stored")
                    fits = laid_out(found) == fresh
                    label = f"{path.name} onto {restored}, {'built' if given is None else 'given'}"
                    yield label, same(state(found), wanted) and fits
            under(saved)


def strategy(folder: Path) -> Iterator[tuple[str, bool]]:
    """The same with no distribution active and `strategy=`, and what does not fit."""
    for saved in SAVED:
        under(saved)
        wanted = state(filled(net("functional")))
        for suffix in FORMATS:
            path = folder / f"{saved}{suffix}"
            for restored in RESTORED[1:]:
                under("none")
                wish = distribution(restored)
                with wish.scope():
                    fresh, model = laid_out(net("functional")), net("functional")
                for given in (model, None):
                    found = kg.load(path, given, learning_rate="stored", strategy=wish)
                    fits = laid_out(found) == fresh and keras.distribution.distribution() is None
                    label = f"{path.name} by strategy= onto {restored}"
                    yield label, same(state(found), wanted) and fits
    for home, wish in (("2x4", "1x8"), ("none", "2x4"), ("data", "2x4"), ("2x4", "2x4 rows")):
        lives = distribution(home)
        with contextlib.nullcontext() if lives is None else lives.scope():
            model = net("functional")
        try:
            kg.load(folder / "none.keras", model, strategy=distribution(wish))
        except ModelError as error:
            yield f"{home} into {wish}", "a built model cannot be moved" in str(error)
        else:
            yield f"{home} into {wish} is not refused", False


def orbax(folder: Path) -> Iterator[tuple[str, bool]]:
    """Steps of Keras' callback, of three kinds of model, onto five layouts."""
    for kind in KINDS:
        for saved in SAVED:
            under(saved)
            model = filled(net(kind))
            root = folder / f"{kind} {saved}"
            saving = keras.callbacks.OrbaxCheckpoint(root, max_to_keep=1)
            saving.set_model(model)
            with kg.patched():
                saving.on_epoch_end(0)
                saving.on_epoch_end(1)
            saving.on_train_end()
            assert sorted(p.name for p in root.iterdir()) == ["1", "1.manifest.json"]
            wanted, dropped = state(model), seeds(model)
            np.savez(folder / f"{kind} {saved}.npz", *wanted, *dropped)
            for restored in RESTORED:
                under(restored)
                keras.backend.clear_session()
                fresh = laid_out(net(kind))
                for given in (net(kind), None):
                    found = kg.restore(root / "1", given, learning_rate="stored")
                    proven = all(o.proven for o in found.report.outcomes)
                    exact = same([*state(found.model), *seeds(found.model)], [*wanted, *dropped])
                    label = f"{root.name} onto {restored}, {'built' if given is None else 'given'}"
                    yield label, exact and proven and laid_out(found.model) == fresh


def one(folder: Path) -> Iterator[tuple[str, bool]]:
    """What `orbax` left, on a machine with a single device, recorded and not."""
    assert len(jax.devices()) == 1
    for kind in KINDS:
        for saved in SAVED:
            stored = np.load(folder / f"{kind} {saved}.npz")
            wanted = [stored[f"arr_{i}"] for i in range(len(stored.files))]
            for policy in ("auto", "ignore"):
                model = kg.load(folder / f"{kind} {saved}" / "1", manifest=policy)
                found = [*state(model), *seeds(model)]
                yield f"{kind} {saved} onto one device, manifest={policy}", same(found, wanted)


def main(folder: Path, *parts: str) -> int:
    bad = []
    for part in parts:
        cells = []
        for label, fine in globals()[part](folder):
            cells.append(fine)
            if not fine:
                bad.append(label)
        print(f"{part}: {sum(cells)} of {len(cells)}", flush=True)
    print("\n".join(bad))
    return int(bool(bad))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
