"""Numbers in another type than the model has."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import pytest
from class_judge import Judge, fresh, predicts, recorded

layers = keras.layers
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:.*HDF5 file")]


def dense(dtype: str) -> Any:
    return keras.Sequential([keras.Input((4,)), layers.Dense(4, dtype=dtype)])


def pair(model: Any, folder: Path, name: str = "m.weights.h5") -> tuple[Path, Path]:
    path = recorded(model, folder / name)
    return path, Path(shutil.copy(path, folder / f"alone.{name}"))


def test_float64_downcast(judge: Judge, tmp_path: Path) -> None:
    model = fresh(dense, "float64")
    model.layers[0].bias.assign([16777217.0, 1.0, 2.0, 3.0])
    path, bare = pair(model, tmp_path)
    error = judge.recorded(path, fresh(dense, "float32", seed=9))
    judge.alone(bare, fresh(dense, "float32", seed=9))
    assert "rounds by up to" in str(error)
    judge.recorded(path, fresh(dense, "float32", seed=9), repair="lossy", instead="reported KG202")


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_float16_overflow(judge: Judge, tmp_path: Path) -> None:
    model = fresh(dense, "float32")
    model.layers[0].bias.assign([1e5, 1e-8, 2.0, 3.0])
    path, bare = pair(model, tmp_path)
    error = judge.recorded(path, fresh(dense, "float16", seed=9))
    judge.alone(bare, fresh(dense, "float16", seed=9))
    assert "1 values become infinite" in str(error)
    assert "1 become zero" in str(error)


class Counter(layers.Layer):  # type: ignore[misc,name-defined]
    """A variable whose type the code of the reader has changed."""

    def __init__(self, dtype_of: str) -> None:
        super().__init__()
        self.dtype_of = dtype_of

    def build(self, shape: Any) -> None:
        self.count = self.add_weight(
            shape=(3,), dtype=self.dtype_of, name="count", initializer="zeros", trainable=False
        )

    def call(self, x: Any) -> Any:
        return x


def test_int_truncation(judge: Judge, tmp_path: Path) -> None:
    def build(dtype: str) -> Any:
        return keras.Sequential([keras.Input((4,)), Counter(dtype)])

    model = fresh(build, "float32")
    model.layers[0].count.assign([0.9, 1.5, 2.0])
    path, bare = pair(model, tmp_path)
    judge.recorded(path, fresh(build, "int32"))
    judge.alone(bare, fresh(build, "int32"))


def test_bf16_legacy_h5(judge: Judge, tmp_path: Path, x: Any) -> None:
    model = fresh(dense, "bfloat16")
    right = predicts(x, model(x))
    path, bare = pair(model, tmp_path, "m.h5")
    judge.recorded(path, fresh(dense, "bfloat16", seed=9), right=right)
    judge.alone(bare, fresh(dense, "bfloat16", seed=9), right=right)
    judge.alone(bare, right=right)


def test_bf16_v3_keras2(judge: Judge, golden: Any) -> None:
    for writer in ("tf2.15.1", "keras3.3.3"):
        case = golden("bfloat16", writer)
        judge.alone(case.path(".weights.h5"), fresh(dense, "bfloat16"), right=case.right)


def test_mixed_precision_policy(judge: Judge, golden: Any) -> None:
    case = golden("mixed")
    arrays = case.arrays
    right = predicts(arrays["x0"], arrays["y0"], 1e-2)  # float16 inside
    for ending in (".h5", ".keras"):
        judge.alone(case.path(ending), right=right)


@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize`")
def test_quant_vs_float(judge: Judge, tmp_path: Path, x: Any) -> None:
    def build() -> Any:
        return keras.Sequential([keras.Input((4,)), layers.Dense(8), layers.Dense(2)])

    model = fresh(build)
    quantised = fresh(build)
    quantised.quantize("int8")
    into_int8 = fresh(build, seed=9)
    into_int8.quantize("int8")
    right = predicts(x, quantised(x))
    path, bare = pair(model, tmp_path)
    judge.recorded(path, into_int8, instead="refused KG207")
    judge.alone(bare, into_int8)
    path, bare = pair(quantised, tmp_path, "q.weights.h5")
    judge.alone(bare, fresh(build, seed=9), instead="refused KG207")
    judge.recorded(path, fresh(build, seed=9), instead="refused KG207", repair="guess")
    judge.recorded(path, right=right)  # built from the manifest, in the recorded mode
    judge.recorded(path, into_int8, right=right)
    path, bare = pair(quantised, tmp_path, "q.keras")
    judge.alone(bare, right=right, instead="right")


def test_int4_packing(judge: Judge, golden: Any) -> None:
    case = golden("int4", "keras3.12.0")
    judge.alone(case.path(".keras"))
