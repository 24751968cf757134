"""A network of 2019, trained with TensorFlow 1.12, predicts in Keras 3 what it predicted then.

The weights of Deep-Orientation's `beyer_mod_relu` (TUI-NICR/deep-orientation, BSD-3-Clause) lie in
a TensorFlow checkpoint whose name looks like an HDF5 file. The network below is written anew:
channels last, and with names of its own. Which stored tensor belongs where is for kerasguard to
prove.

    python examples/deep_orientation.py checkpoint/weights_valid_0268.hdf5

The labelled depth patches are looked for in `../patches` and `../labels` beside the checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

import kerasguard

Image = npt.NDArray[np.generic]

HEIGHT, WIDTH = 126, 48
MEAN, DEVIATION = 3264.19940802, 984.19405027


def beyer_mod_relu() -> keras.Model:
    """Depth patch in, biternion (cosine and sine of the upper body's orientation) out."""
    x = depth = keras.Input((HEIGHT, WIDTH, 1), name="depth")
    for block, (channels, padding, count, pool) in enumerate(
        ((24, "same", 3, (3, 2)), (48, "same", 3, (3, 2)), (64, "valid", 2, (2, 2)))
    ):
        for step in range(count):
            name = f"block{block}_{step}"
            x = layers.Conv2D(channels, 3, padding=padding, use_bias=False, name=f"{name}_conv")(x)
            x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_norm")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(pool, name=f"block{block}_pool")(x)
    # Keras' Flatten has always moved the channels to the end first, whatever their format was,
    # so the dense kernels that channels-first training left behind fit as they are.
    x = layers.Dropout(0.2, name="features_dropout")(layers.Flatten(name="features")(x))
    x = layers.Dense(512, activation="relu", name="hidden")(x)
    x = layers.Dense(2, name="vector")(layers.Dropout(0.5, name="hidden_dropout")(x))
    return keras.Model(depth, layers.UnitNormalization(name="biternion")(x), name="orientation")


def read_pgm(path: Path) -> Image:
    """A binary PGM of 8 or 16 bits."""
    data = path.read_bytes()
    header = re.match(rb"P5\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+(\d+)\s", data)
    if header is None:
        raise ValueError(f"{path}: no binary PGM")
    width, height, largest = map(int, header.groups())
    dtype = ">u2" if largest > 255 else "u1"
    return np.frombuffer(data, dtype, width * height, header.end()).reshape(height, width)


def read_png(path: Path) -> Image:
    """The first channel of a PNG."""
    import tensorflow as tf

    return np.asarray(tf.io.decode_png(path.read_bytes(), channels=1))[..., 0]


def resize(image: Image) -> Image:
    """To the network's input size, as OpenCV's INTER_NEAREST did when the network was trained."""
    rows, columns = (
        np.minimum(np.floor(np.arange(new) * (1 / (new / old))), old - 1).astype(int)
        for new, old in zip((HEIGHT, WIDTH), image.shape, strict=True)
    )
    return image[rows][:, columns]


def patches(data: Path) -> Iterator[tuple[Image, float]]:
    """Network inputs with their true angles in degrees."""
    for label in sorted((data / "labels").glob("*.json")):
        depth = resize(read_pgm(data / "patches" / f"{label.stem}_Depth.pgm"))
        mask = resize(read_png(data / "patches" / f"{label.stem}_Mask.png")) > 0
        scaled = np.where(mask, (depth.astype("float32") - MEAN) / DEVIATION, 0)
        yield scaled.astype("float32")[..., np.newaxis], json.loads(label.read_text())["Degree"]


def angular_errors(model: keras.Model, data: Path) -> Image:
    """Absolute error of every patch, in degrees."""
    inputs, truth = zip(*patches(data), strict=True)
    cosine, sine = model.predict(np.stack(inputs), verbose=0).T
    difference = np.degrees(np.arctan2(sine, cosine)) - np.array(truth)
    return np.abs((difference + 180) % 360 - 180)


def stock(model: keras.Model, path: Path) -> str:
    """What Keras itself says to the same file."""
    try:
        model.load_weights(path)
    except Exception as error:  # noqa: BLE001  whatever it is, it is what is shown
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return "loaded"


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Load, print the plan and the error; returns what was printed."""
    parser = argparse.ArgumentParser(description="Deep-Orientation in Keras 3")
    parser.add_argument("path", type=Path, help="the checkpoint's prefix")
    parser.add_argument("--data", type=Path, help="folder of patches/ and labels/")
    told = parser.parse_args(arguments)
    data = told.data or told.path.parent.parent
    model = beyer_mod_relu()
    said = stock(beyer_mod_relu(), told.path)
    print(f"keras.Model.load_weights: {said}")
    untrained = angular_errors(model, data)
    print(f"untrained:  mean absolute angular error {untrained.mean():.4f} degrees")
    print(kerasguard.plan(told.path, model=model))
    kerasguard.load(told.path, model=model)
    errors = angular_errors(model, data)
    print(
        f"kerasguard: mean absolute angular error {errors.mean():.4f} degrees, "
        f"largest {errors.max():.3f}, over {len(errors)} patches"
    )
    return {"stock": said, "mean": float(errors.mean()), "largest": float(errors.max())}


if __name__ == "__main__":
    main()
