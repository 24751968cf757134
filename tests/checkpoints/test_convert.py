"""Every format that is read becomes each that is written, and comes back to the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import unpacked

import kerasguard as kg
from kerasguard.errors import OutputError
from kerasguard.formats.targets import TARGETS

pytestmark = pytest.mark.keras

ENDINGS = [target.suffix for target in TARGETS]


def build() -> Any:
    import keras

    inputs = keras.Input((4,), name="inputs")
    hidden = keras.layers.Dense(3, name="hidden")(inputs)
    hidden = keras.layers.Dropout(0.5, seed=1)(hidden)
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="in")], name="inner")
    outputs = keras.layers.BatchNormalization(name="norm")(inner(hidden))
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(outputs), name="made")


@pytest.fixture(scope="module")
def model() -> Any:
    model = build()
    model.compile("adam", "mse")
    model.fit(np.ones((2, 4)), np.ones((2, 2)), verbose=0)
    return model


def weights(model: Any) -> list[tuple[str, tuple[int, ...], bytes]]:
    import keras

    arrays = [np.asarray(keras.ops.convert_to_numpy(v.value)) for v in model.weights]
    return [(a.dtype.name, a.shape, a.tobytes()) for a in arrays]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_model_comes_back_from_each_kind_of_file(model: Any, tmp_path: Path, ending: str) -> None:
    with kg.patched():
        model.save(tmp_path / "m.keras")
    out = tmp_path / f"out{ending}"
    report = kg.convert(tmp_path / "m.keras", out)
    assert report.written is not None
    assert report.written.checkpoint_id == kg.inspect(out).checkpoint_id
    assert kg.verify(out).ok
    assert weights(kg.load(out)) == weights(model)  # the manifest has the architecture
    kg.repair(out, tmp_path / "back.keras")
    assert weights(kg.load(tmp_path / "back.keras")) == weights(model)
    bare = kg.load(out, config=model.to_json(), manifest="ignore")
    assert weights(bare) == weights(model)
    lost = any("optimizer's state" in what for what in report.written.lacks)
    assert lost == (ending == ".safetensors")
    assert any("architecture" in what for what in report.written.lacks) == (
        ending in (".weights.h5", ".safetensors")
    )


Writer = Callable[[Any, Path], Path]
SOURCES: dict[str, Writer] = {
    "folder": lambda m, d: m.save(d / "folder", zipped=False) or d / "folder",
    "shards": lambda m, d: (
        m.save_weights(d / "s.weights.json", max_shard_size=4e-7) or d / "s.weights.json"
    ),
    "h5": lambda m, d: m.save(d / "m.h5") or d / "m.h5",
    "export": lambda m, d: m.export(d / "export", verbose=False) or d / "export",
    "checkpoint": lambda m, d: Path(_checkpoint(m, d)),
}


def _checkpoint(model: Any, folder: Path) -> str:
    import tensorflow as tf

    return str(tf.train.Checkpoint(model=model).write(str(folder / "ckpt")))


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_every_format_becomes_each_that_is_written(model: Any, tmp_path: Path, source: str) -> None:
    path = SOURCES[source](model, tmp_path)
    for ending in ENDINGS:
        out = tmp_path / f"out{ending}"
        kg.convert(path, out, config=model.to_json())
        assert weights(kg.load(out)) == weights(model), ending


@pytest.mark.parametrize(("kind", "ending"), [("ckpt", ".safetensors"), ("weights", ".h5")])
def test_what_an_old_keras_wrote_becomes_todays(tmp_path: Path, kind: str, ending: str) -> None:
    folder = unpacked("tf2.4.4", tmp_path)
    path = folder / {"ckpt": "ckpt/mlp", "weights": "mlp_weights.h5"}[kind]
    whole = kg.load(folder / "mlp.h5")
    kg.convert(path, tmp_path / f"out{ending}", config=whole.to_json())
    assert weights(kg.load(tmp_path / f"out{ending}")) == weights(whole)


def test_arrays_become_a_file(model: Any, tmp_path: Path) -> None:
    arrays = {v.path: v.numpy() for v in model.weights}
    kg.convert(arrays, tmp_path / "a.weights.h5", config=json.loads(model.to_json()))
    other = build()
    other.load_weights(tmp_path / "a.weights.h5")  # Keras alone
    assert weights(other) == weights(model)


DTYPES = ("bfloat16", "float16", "float64", "int8", "uint8", "int64", "bool")


def _odd() -> Any:
    """A model with variables of every dtype, without elements, and without axes."""
    import keras

    @keras.saving.register_keras_serializable("kerasguard_tests")
    class Odd(keras.layers.Layer):  # type: ignore[misc]
        def build(self, _: object) -> None:
            for dtype in DTYPES:
                self.add_weight(shape=(2, 3), dtype=dtype, name=dtype, trainable=False).assign(
                    (np.arange(6).reshape(2, 3) % 3).astype("float32")
                )
            self.add_weight(shape=(0, 3), name="empty")
            self.add_weight(shape=(), name="scalar").assign(0.1)

        def call(self, x: Any) -> Any:
            return x

    inputs = keras.Input((4,))
    words = keras.Input((1,), dtype="string")
    found = keras.layers.StringLookup(vocabulary=["a", "ç"], name="words")(words)
    embedded = keras.layers.Embedding(3, 2)(found)
    return keras.Model([inputs, words], [Odd()(inputs), embedded])


@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".safetensors"])
def test_dtypes_vocabularies_scalars_and_empty_tensors_come_back(
    tmp_path: Path, ending: str
) -> None:
    model = _odd()
    model.save(tmp_path / "m.keras")
    report = kg.convert(tmp_path / "m.keras", tmp_path / f"out{ending}")
    again = kg.load(tmp_path / f"out{ending}")
    assert weights(again) == weights(model)
    assert again.get_layer("words").get_vocabulary() == ["[UNK]", "a", "ç"]
    assert report.written is not None
    kept = [what for what in report.written.lacks if "asset" in what]
    assert kept == ([] if ending == ".keras" else ["1 asset, which is in its manifest"])


def test_what_a_kind_of_file_cannot_hold_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    import keras

    _odd().save(tmp_path / "m.keras")
    with pytest.raises(kg.KerasguardError, match="not repaired, Keras alone could not load"):
        kg.convert(tmp_path / "m.keras", tmp_path / "out.h5")  # its bfloat16
    inputs = keras.Input((2,))
    parts = [keras.layers.Dense(2, name="same")(inputs)]
    parts += [keras.Sequential([keras.layers.Dense(2, name="d")], name="s")(inputs)]
    model = keras.Model(inputs, parts)
    model.layers[-1].layers[0].kernel._path = model.layers[1].kernel.path
    arrays = tmp_path / "w.weights.h5"
    model.save_weights(arrays)
    with pytest.raises(OutputError, match="belong to several variables, such as same/kernel"):
        kg.convert(arrays, tmp_path / "out.safetensors", model)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.keras", "w.weights.h5"]


def test_an_existing_file_is_not_written_over(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "m.keras")
    (tmp_path / "out.safetensors").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists and is not overwritten"):
        kg.convert(tmp_path / "m.keras", tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_bytes() == b"mine"
    with pytest.raises(OutputError, match="not on this machine"):
        kg.convert(tmp_path / "m.keras", "s3://b/out.keras")


def test_the_command_line_converts(model: Any, tmp_path: Path) -> None:
    from kerasguard.cli import main

    model.save_weights(tmp_path / "w.weights.h5")
    (tmp_path / "model.json").write_text(model.to_json())
    told = ["convert", f"{tmp_path}/w.weights.h5", f"{tmp_path}/w.safetensors"]
    assert main([*told, "--config", f"{tmp_path}/model.json", "--quiet"]) == 0
    assert weights(kg.load(tmp_path / "w.safetensors")) == weights(model)
