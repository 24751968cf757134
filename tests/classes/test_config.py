"""Architectures that Keras 3 does not read, or reads as something else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from class_judge import Judge, fresh, predicts, recorded, seq

layers = keras.layers
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:.*HDF5 file")]


def from_files(judge: Judge, case: Any, *endings: str, **options: Any) -> None:
    """A golden case's whole-model files load right."""
    for ending in endings:
        judge.alone(case.path(ending), right=case.right, **options)


def both(judge: Judge, model: Any, folder: Path, right: Any) -> None:
    """A model saved as legacy HDF5 by today's Keras loads right, recorded or not."""
    path = recorded(model, folder / "m.h5")
    bare = Path(shutil.copy(path, folder / "alone.h5"))
    judge.recorded(path, right=right, instead="right")
    judge.alone(bare, right=right, instead="right")


def test_h5_axis_list_dropped(judge: Judge, golden: Any, tmp_path: Path) -> None:
    for name in ("softmax", "layernorm", "square", "unitnorm", "none"):
        case = golden(f"axis_{name}")
        judge.alone(case.path(".h5"), right=case.right)
    x = np.random.default_rng(3).normal(size=(2, 3, 4)).astype("float32")
    model = seq(layers.Softmax(axis=[1, 2]), shape=(3, 4))
    both(judge, model, tmp_path, predicts(x, model(x)))


def test_hard_sigmoid_semantics(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("hard_sigmoid"), ".h5", ".keras")
    from_files(judge, golden("hard_sigmoid", "tf2.12.1"), ".h5", ".keras")
    # Weights alone do not tell the activation, the version in the file tells that it may differ.
    model = seq(
        layers.LSTM(4, recurrent_activation="hard_sigmoid"),
        layers.Dense(4, "hard_sigmoid"),
        shape=(5, 3),
    )
    judge.alone(golden("hard_sigmoid").path("_weights.h5"), model, instead="reported KG206")


def test_default_changed_convlstm(judge: Judge, golden: Any, tmp_path: Path) -> None:
    build = lambda **kw: seq(layers.ConvLSTM2D(2, 2, **kw), shape=(3, 5, 5, 1))  # noqa: E731
    case = golden("convlstm")
    judge.alone(case.path("_weights.h5"), fresh(build))
    judge.alone(case.path(".h5"), right=case.right, instead="right KG409")
    x = case.arrays["x0"]
    model = fresh(build, recurrent_activation="hard_sigmoid")
    path = recorded(model, tmp_path / "m.weights.h5")
    judge.recorded(path, fresh(build), instead="reported KG107")
    judge.recorded(path, right=predicts(x, model(x)))  # the manifest has the config


def test_nested_normalization_not_finalized(judge: Judge, golden: Any, tmp_path: Path) -> None:
    from_files(judge, golden("nested_normalization"), ".h5")
    from_files(judge, golden("nested_normalization", "tf2.12.1"), ".h5")
    x = np.random.default_rng(3).normal(size=(9, 4)).astype("float32") * 5 + 10

    def build(data: Any) -> Any:
        norm = layers.Normalization()
        norm.adapt(data)
        i = keras.Input((4,))
        return keras.Model(i, keras.Sequential([keras.Input((4,)), norm], name="inner")(i))

    model = build(x)
    both(judge, model, tmp_path, predicts(x, model(x)))
    judge.alone(tmp_path / "alone.h5", build(x * 0), right=predicts(x, model(x)))


def test_rnn_time_major(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("lstm"), ".h5", ".keras")
    from_files(judge, golden("lstm", "tf2.12.1"), ".h5")


def test_depthwise_groups(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("depthwise"), ".h5", ".keras")


def test_separable_groups(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("separable"), ".h5", ".keras")


def test_convtranspose_groups(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("convtranspose"), ".h5", ".keras")


def test_nested_node_index(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("nested_functional"), ".h5", ".keras")


def test_bn_axis_list_keras_zip(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("batchnorm"), ".h5", ".keras")
    from_files(judge, golden("batchnorm", "tf2.12.1"), ".h5")


def test_first_layer_batch_input_shape(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("embedding"), ".h5", ".keras")
    judge.alone(golden("textvectorization").path(".keras"), right=_vectorised, instead="right")


def _vectorised(model: Any) -> bool:
    return bool(model.layers[-1].get_vocabulary() == ["", "[UNK]", "c", "b", "d", "a"])


def test_functional_module_path(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("functional"), ".keras")


def test_mha_query_shape(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("mha"), ".h5")
    from_files(judge, golden("mha"), ".keras", instead="right")


def test_attention_score_mode(judge: Judge, golden: Any, tmp_path: Path) -> None:
    from_files(judge, golden("attention"), ".h5", ".keras", instead="right")
    rng = np.random.default_rng(3)
    a, b = (rng.normal(size=(2, n, 4)).astype("float32") for n in (3, 5))

    def build() -> Any:
        q, v = keras.Input((3, 4)), keras.Input((5, 4))
        return keras.Model([q, v], layers.Attention(use_scale=True)([q, v]))

    model = fresh(build)
    both(judge, model, tmp_path, predicts([a, b], model([a, b])))


def test_discretization_trainable(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("discretization_given"), ".h5", ".keras")
    # Keras 2 kept what it had adapted to as a weight, and computed the boundaries from it.
    from_files(judge, golden("discretization"), ".h5")


def test_wrapper_inner_class_no_module(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("wrapped", "tf2.12.1"), ".h5", ".keras", instead="right")
    from_files(judge, golden("wrapped"), ".h5", ".keras", instead="right")


def test_removed_layers(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("thresholded"), ".h5", ".keras", instead="right KG418")
    from_files(judge, golden("locally"), ".h5", instead="right KG426")


def test_tfoplambda(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("operations"), ".h5", ".keras")


def test_slash_in_name(judge: Judge, golden: Any) -> None:
    from_files(judge, golden("slash"), ".h5")


def test_duplicate_names(judge: Judge, golden: Any) -> None:
    case = golden("duplicates")
    from_files(judge, case, ".keras")
    model = seq(layers.Dense(4), layers.Dense(4))
    judge.alone(case.path(".weights.h5"), model, right=case.right, instead="right")
