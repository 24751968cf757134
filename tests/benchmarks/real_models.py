"""Unmodified models through every format and back: each must come back as it was, silently.

python tests/benchmarks/real_models.py [NAME ...] [--suite examples|applications|hub] [--process]

All of `keras.applications` take two hours; what is only a longer or wider edition of another
network goes through `.keras` and `.weights.h5` alone.

Every model is saved as `.keras`, `.weights.h5`, `.h5`, shards and a folder, recorded, and loaded
as a whole and into fresh code whose names have drifted, with its manifest and without;
`--process` does the loading in a new process. A cell is right where every weight and the
predictions are bit for bit what was saved and no finding is above info; else the table says what
is wrong, and what stock Keras does.
"""

from __future__ import annotations

import argparse
import pickle
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "nets"))

import keras
import numpy as np

import kerasguard as kg
from kerasguard.planning.findings import Severity

Make = Callable[[], tuple[Any, Any]]
# The `.h5` comes last: saving one takes the optimizer out of the model's config (Keras 3.15.1).
FORMATS = {
    "keras": "m.keras",
    "weights": "m.weights.h5",
    "shards": "m.weights.json",
    "folder": "m",
    "h5": "m.h5",
}


@dataclass(frozen=True)
class Cell:
    """One load of one file."""

    model: str
    format: str
    way: str
    manifest: str
    verdict: str
    detail: str = ""


# The smallest input that each network takes without its top.
APPLICATIONS = {
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "VGG16": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "Xception": 71,
    "InceptionV3": 75,
    "DenseNet121": 32,
    "ConvNeXtTiny": 32,
    "NASNetMobile": 32,
    "InceptionResNetV2": 75,
}
# The same code with more repeats or wider layers.
EDITIONS = {
    "MobileNetV3Large": 32,
    "EfficientNetB1": 32,
    "EfficientNetB2": 32,
    "EfficientNetB3": 32,
    "EfficientNetV2B1": 32,
    "EfficientNetV2B2": 32,
    "EfficientNetV2B3": 32,
    "VGG19": 32,
    "DenseNet169": 32,
    "DenseNet201": 32,
    "ResNet101": 32,
    "ResNet101V2": 32,
    "ResNet152": 32,
    "ResNet152V2": 32,
    "ConvNeXtSmall": 32,
    "ConvNeXtBase": 32,
    "EfficientNetB4": 32,
    "EfficientNetB5": 32,
    "EfficientNetB6": 32,
    "EfficientNetB7": 32,
    "EfficientNetV2S": 32,
    "EfficientNetV2M": 32,
    "EfficientNetV2L": 32,
    "ConvNeXtLarge": 32,
    "ConvNeXtXLarge": 32,
    "NASNetLarge": 32,
}


def application(kind: str, size: int) -> tuple[Any, Any]:
    """A network of `keras.applications` without its top, with random weights."""
    make = getattr(keras.applications, kind)
    model = make(weights=None, include_top=False, input_shape=(size, size, 3))
    return model, np.random.default_rng(3).random((1, size, size, 3)).astype("float32")


def suite(name: str) -> dict[str, Make]:
    """The programs of a suite by name."""
    if name == "examples":
        from example_programs import PROGRAMS

        return dict(PROGRAMS)
    if name == "applications":
        sizes = {**APPLICATIONS, **EDITIONS}
        return {kind: partial(application, kind, size) for kind, size in sizes.items()}
    from hub_programs import PROGRAMS as HUB

    return dict(HUB)


def made(make: Make, seed: int, drift: int = 0) -> tuple[Any, Any]:
    """A model with weights of its own, whose automatic names have drifted."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    for _ in range(drift):
        for kind in ("Dense", "Sequential", "BatchNormalization", "LayerNormalization"):
            getattr(keras.layers, kind, keras.Sequential)(*([1] if kind == "Dense" else []))
        keras.layers.Conv2D(1, 1), keras.layers.Embedding(1, 1), keras.Input((1,))
    model, inputs = make()
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        value = np.asarray(variable)
        if value.dtype.kind in "fV":
            noise = rng.normal(0, 0.05, value.shape).astype("float32")
            variable.assign((value.astype("float32") + abs(noise)).astype(value.dtype))
        elif value.dtype == np.int8:
            variable.assign(rng.integers(-100, 100, value.shape).astype("int8"))
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    return model, inputs


def truth(model: Any, inputs: Any) -> tuple[list[bytes], list[bytes]]:
    """All weights and the predictions."""
    predicted = keras.tree.flatten(model(inputs, training=False))
    return weights_of(model), [np.asarray(p).tobytes() for p in predicted]


def weights_of(model: Any) -> list[bytes]:
    """All weights layer by layer, each layer's by name.

    A layer that is built quantised lists its own in another order than one quantised later.
    """
    rank = {id(v): n for n, layer in enumerate(model._flatten_layers()) for v in layer.weights}
    ranked = sorted(model.weights, key=lambda v: (rank[id(v)], v.name.rstrip("0123456789")))
    return [np.asarray(v).tobytes() for v in ranked]


def saved(model: Any, folder: Path) -> dict[str, str]:
    """Save in every format; the reasons of those that Keras cannot write."""
    refused = {}
    for name, file in FORMATS.items():
        path = folder / name / file
        if folder.name in EDITIONS and name not in ("keras", "weights"):
            continue
        path.parent.mkdir()
        try:
            if name == "shards":
                model.save_weights(path, max_shard_size=shard_size(model))
            elif name == "weights":
                model.save_weights(path)
            elif name == "folder":
                keras.saving.save_model(model, path, zipped=False)
            else:
                model.save(path)
        except Exception as error:  # noqa: BLE001
            refused[name] = f"{type(error).__name__}: {error}"
    return refused


def shard_size(model: Any) -> float:
    """Gigabytes that give a few shards: Keras refuses less than the largest variable takes."""
    sizes = [np.asarray(v).nbytes for v in model.variables]
    return float(max(*sizes, sum(sizes) / 4, 1e4)) * 1.01 / 2**30


def stock(path: Path, format_: str, way: str, fresh: Any) -> Any:
    """What Keras alone makes of the file."""
    if way == "whole":
        return keras.saving.load_model(path, compile=False)
    file = path / "model.weights.h5" if format_ == "folder" else path
    fresh.load_weights(file)
    return fresh


def checked(name: str, make: Make, folder: Path) -> Iterator[Cell]:
    """Every load of every file of one model."""
    want, predictions, inputs, refused = pickle.loads((folder / "truth").read_bytes())
    for format_, file in FORMATS.items():
        path = folder / format_ / file
        if format_ in refused or not path.parent.exists():
            continue
        for way in ("whole", "fresh"):
            if way == "whole" and format_ in ("weights", "shards"):
                continue
            for manifest in ("auto", "ignore"):
                fresh = made(make, 99, drift=2)[0] if way == "fresh" else None
                verdict, detail = loaded(path, fresh, manifest, want, predictions, inputs)
                if verdict != "right":
                    again, _ = made(make, 99, drift=2)
                    detail += " | stock: " + by_stock(path, format_, way, again, want)
                yield Cell(name, format_, way, manifest, verdict, detail)


def loaded(
    path: Path, fresh: Any, manifest: Any, want: Any, predictions: Any, inputs: Any
) -> tuple[str, str]:
    """The verdict on one load."""
    try:
        done = kg.restore(path, model=fresh, manifest=manifest)
    except kg.KerasguardError as error:
        return "refused", " ".join(str(error).split())[:600]
    except Exception as error:  # noqa: BLE001
        return "crashed", f"{type(error).__name__}: {error}"[:600]
    weights, predicted = truth(done.model, inputs)
    factors = [np.asarray(v) for v in done.model.weights if "lora_" in v.name]
    merged = len(weights) != len(want) or (factors and not np.any(np.concatenate(factors, None)))
    if merged and predicted == predictions:
        return "right", "merged: Keras stores what LoRA learnt in the kernels"
    if weights != want:
        other = sum(a != b for a, b in zip(weights, want, strict=False))
        return "WRONG", f"{other} of {len(want)} weights differ; the model has {len(weights)}"
    if predicted != predictions:
        return "OTHER", "predictions differ"
    loud = [f for f in done.report.findings if f.severity is not Severity.INFO]
    if loud:
        return "alarm", "; ".join(f"{f.code} {f.key} {f.message}"[:160] for f in loud[:4])
    quiet = Counter(f.code for f in done.report.findings)
    return "right", " ".join(f"{c}x{n}" for c, n in quiet.items())


def by_stock(path: Path, format_: str, way: str, fresh: Any, want: Any) -> str:
    """What stock Keras does with it."""
    try:
        model = stock(path, format_, way, fresh)
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}"
    same = weights_of(model) == want
    return "right" if same else "wrong"


def main() -> None:
    """Run the battery and print what is not right."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--suite", default="examples")
    parser.add_argument("--process", action="store_true")
    parser.add_argument("--check", help="a folder that another process has filled")
    parser.add_argument("--notes", action="store_true", help="show findings of severity info")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    programs = suite(options.suite)
    names = options.names or list(programs)
    top = Path(options.check or tempfile.mkdtemp(prefix="kg-real-"))
    count: Counter[str] = Counter()
    for name in names:
        folder = top / name
        if not options.check:
            folder.mkdir()
            try:
                model, inputs = made(programs[name], 1)
                weights, predictions = truth(model, inputs)
                with kg.patched():
                    refused = saved(model, folder)
            except Exception as error:  # noqa: BLE001
                print(f"{name}: not built: {type(error).__name__}: {error}"[:300], flush=True)
                continue
            for format_, reason in refused.items():
                print(f"{name} {format_}: Keras: {reason}"[:200], flush=True)
            (folder / "truth").write_bytes(pickle.dumps((weights, predictions, inputs, refused)))
        if options.process or not (folder / "truth").exists():
            continue
        right = 0
        for cell in checked(name, programs[name], folder):
            count[cell.verdict] += 1
            right += cell.verdict == "right"
            if cell.verdict != "right" or (options.notes and cell.detail):
                print(*(getattr(cell, f) for f in cell.__dataclass_fields__), flush=True)
        print(f"{name}: {right} cells right", flush=True)
        if not options.check:
            shutil.rmtree(folder)
    if options.process:
        command = [sys.executable, __file__, *names, "--suite", options.suite, "--check", str(top)]
        subprocess.run(command, check=True)
    else:
        print(dict(count))


if __name__ == "__main__":
    main()
