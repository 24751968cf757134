"""A backbone into a new task: the head is left out, the rest is proven, and stays what it was.

Needs TensorFlow and nothing else: `python examples/transfer_learning.py [FOLDER]`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kerasguard as kg

RANDOM = np.random.default_rng(0)
PATTERNS = RANDOM.normal(size=(6, 12, 12, 1))


def images(classes: int, number: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Pictures that each show one of a few patterns, and which one."""
    labels = RANDOM.integers(classes, size=number)
    noise = RANDOM.normal(scale=0.5, size=(number, 12, 12, 1))
    return (PATTERNS[labels] + noise).astype("float32"), labels


def network(classes: int) -> keras.Model:
    """A backbone, and a head for so many classes."""
    backbone = keras.Sequential(
        [
            keras.layers.Conv2D(8, 3, activation="relu", name="edges"),
            keras.layers.Conv2D(16, 3, activation="relu", name="parts"),
            keras.layers.GlobalAveragePooling2D(name="pool"),
        ],
        name="backbone",
    )
    inputs = keras.Input((12, 12, 1), name="image")
    outputs = keras.layers.Dense(classes, activation="softmax", name="head")(backbone(inputs))
    return keras.Model(inputs, outputs)


def fit(model: keras.Model, template: Path, classes: int, epochs: int) -> float:
    """Train, with a recorded checkpoint for each epoch; returns the accuracy at the end."""
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    saved = keras.callbacks.ModelCheckpoint(str(template))
    told = model.fit(
        *images(classes), epochs=epochs, verbose=0, callbacks=[saved, kg.WeightManifestCallback()]
    )
    return told.history["accuracy"][-1]


def main(folder: Path) -> None:
    for run in ("six", "three"):
        (folder / run).mkdir()
    old = folder / "six" / "05.keras"
    accuracy = fit(network(6), folder / "six" / "{epoch:02d}.keras", 6, 5)
    print(f"six:         accuracy {accuracy:.2f}")

    # Everything but the head, which has another shape: without `skip` this is refused.
    model = network(3)
    try:
        kg.load(old, model=model)
    except kg.UnrepairableError as error:
        print(f"refused:     {str(error).splitlines()[1].strip()}")
    restored = kg.restore(old, model=model, skip=["head"])
    print(f"restored:    {restored.report.verdict}")
    print(f"left fresh:  {', '.join(restored.report.plan.skipped)}")

    # Train the head alone, then look: the backbone has not moved, bit for bit.
    model.get_layer("backbone").trainable = False
    accuracy = fit(model, folder / "three" / "{epoch:02d}.keras", 3, 5)
    print(f"three:       accuracy {accuracy:.2f} with the old backbone")
    drift = kg.drift(folder / "three")
    print(f"never moved: {', '.join(drift.still)}")
    changes = [c.name for c in kg.compare(old, folder / "three" / "05.keras") if c.kind == "values"]
    moved = [name for name in changes if name.startswith("backbone/")]
    print(f"changed:     {', '.join(moved) or 'nothing of the backbone'}")

    # The backbone alone, for whoever needs it next.
    alone = folder / "backbone.weights.h5"
    with kg.patched():
        model.get_layer("backbone").save_weights(alone)
    kg.load(alone, model=network(4), only=["backbone"])
    print(f"kept:        {alone.name}, {kg.verify(alone).verdict}")


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
