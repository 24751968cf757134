"""Files of one format under the name of another, and formats that Keras 3 does not read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import pytest
from class_judge import Judge, fresh, predicts, randomised, recorded, seq

import kerasguard as kg

layers = keras.layers
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:.*HDF5 file")]


def three() -> Any:
    return seq(*[layers.Dense(4) for _ in range(3)])


def test_savedmodel_dir(judge: Judge, golden: Any) -> None:
    case = golden("dense_3")
    judge.alone(case.path("_savedmodel"), right=case.right)
    judge.alone(case.path("_savedmodel"), fresh(three), right=case.right)


def test_tf_checkpoint_prefix(judge: Judge, golden: Any) -> None:
    case = golden("dense_3")
    judge.alone(case.path("_ckpt"), fresh(three), right=case.right)


def test_tf_checkpoint_h5_suffix(judge: Judge, golden: Any, tmp_path: Path) -> None:
    case = golden("dense_3")
    for ending in (".index", ".data-00000-of-00001"):
        shutil.copy(case.path(f"_ckpt{ending}"), tmp_path / f"weights_valid_0278.h5{ending}")
    judge.alone(tmp_path / "weights_valid_0278.h5", fresh(three), right=case.right)


def test_tf_checkpoint_restore(judge: Judge, golden: Any) -> None:
    def net() -> Any:
        model = seq(*[layers.Dense(4, activation="tanh") for _ in range(2)], layers.Dense(1))
        model.compile("adam", "mean_squared_error")
        return model

    case = golden("adam")
    judge.alone(case.path("_ckpt"), fresh(net), right=case.right)
    judge.alone(case.path("_tracked"), fresh(net), right=case.right)  # Checkpoint(model=model)


def test_keras_suffix_h5_content(judge: Judge, golden: Any, tmp_path: Path) -> None:
    case = golden("dense_3", "tf2.12.1")
    judge.alone(case.path(".keras"), right=case.right)
    case = golden("dense_3")
    shutil.copy(case.path(".h5"), tmp_path / "m.keras")
    judge.alone(tmp_path / "m.keras", right=case.right)
    shutil.copy(case.path(".keras"), tmp_path / "m.h5")
    judge.alone(tmp_path / "m.h5", right=case.right)


def test_legacy_named_weights_h5(judge: Judge, golden: Any) -> None:
    case = golden("named_weights")
    judge.alone(case.path(".weights.h5"), fresh(lambda: seq(layers.Dense(4))), right=case.right)


def test_v3_tf212_paths(judge: Judge, golden: Any) -> None:
    for writer in ("tf2.12.1", "tf2.15.1"):
        case = golden("dense_3", writer)
        judge.alone(case.path(".weights.h5"), fresh(three), right=case.right)


def test_weights_only_load_model(judge: Judge, golden: Any, tmp_path: Path, x: Any) -> None:
    judge.alone(golden("dense_3").path("_weights.h5"))
    model = fresh(three)
    right = predicts(x, model(x))
    judge.recorded(recorded(model, tmp_path / "m.weights.h5"), right=right)


def test_h5_subclassed(judge: Judge, tmp_path: Path, x: Any) -> None:
    class Plain(keras.Model):  # type: ignore[misc]
        def __init__(self, units: int) -> None:
            super().__init__()
            self.d = layers.Dense(units)

        def call(self, x: Any) -> Any:
            return self.d(x)

    model = Plain(2)
    model(x)
    with kg.patched(), pytest.raises(NotImplementedError):
        model.save(tmp_path / "m.h5")
    assert not list(tmp_path.iterdir())
    with pytest.raises(NotImplementedError):
        model.save(tmp_path / "left.h5")
    if (tmp_path / "left.h5").exists():
        judge.alone(tmp_path / "left.h5")
    judge.met("alone")
    # Its weights can be saved, and need no config.
    path = recorded(randomised(model), tmp_path / "m.weights.h5")
    other = Plain(2)
    other(x)
    judge.recorded(path, other, right=predicts(x, model(x)), instead="right")


def test_v3_path_missing(judge: Judge, tmp_path: Path, x: Any) -> None:
    """A backbone in a model of its own, an attribute and a class with another name."""

    def flat() -> Any:
        return seq(layers.Dense(5, name="a"), layers.Dense(3, name="b"), layers.Dense(2, name="c"))

    def wrapped() -> Any:
        inner = keras.Sequential(
            [keras.Input((4,)), layers.Dense(5, name="a"), layers.Dense(3, name="b")], name="base"
        )
        return keras.Sequential([keras.Input((4,)), inner, layers.Dense(2, name="c")])

    for made, read in ((flat, wrapped), (wrapped, flat)):
        model = fresh(made)
        right = predicts(x, model(x))
        path = recorded(model, tmp_path / f"{made.__name__}.weights.h5")
        bare = Path(shutil.copy(path, tmp_path / f"alone.{made.__name__}.weights.h5"))
        judge.recorded(path, fresh(read, seed=9), right=right)
        judge.alone(bare, fresh(read, seed=9), right=right)
    for first, second in ((Attributes("one"), Attributes("two")), (_of(Old), _of(New))):
        first(x), second(x)
        model, other = randomised(first), randomised(second, 9)
        right = predicts(x, model(x))
        path = recorded(model, tmp_path / "n.weights.h5")
        bare = Path(shutil.copy(path, tmp_path / "alone.n.weights.h5"))
        renames = None
        if isinstance(first, keras.Sequential):  # another class may compute something else
            judge.recorded(path, other, instead="refused KG105")
            renames = {"old": "new"}
        judge.recorded(path, other, right=right, renames=renames)
        judge.alone(bare, other, right=right, renames=renames)


class Attributes(keras.Model):  # type: ignore[misc]
    """Two layers of different shapes, under attributes of one name or the other."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix
        setattr(self, f"{prefix}_first", layers.Dense(5))
        setattr(self, f"{prefix}_last", layers.Dense(2))

    def call(self, x: Any) -> Any:
        return getattr(self, f"{self.prefix}_last")(getattr(self, f"{self.prefix}_first")(x))


class Old(layers.Dense):  # type: ignore[misc,name-defined]
    """A layer's class before it was renamed."""


class New(layers.Dense):  # type: ignore[misc,name-defined]
    """And after."""


def _of(kind: type) -> Any:
    return keras.Sequential([keras.Input((4,)), kind(5), layers.Dense(2)])


def test_k3_keras_in_k2(judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _in_keras_2("m.keras", judge, tmp_path, monkeypatch)


def test_k3_h5_in_k2(judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _in_keras_2("m.h5", judge, tmp_path, monkeypatch)


def _in_keras_2(name: str, judge: Judge, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kerasguard restores into Keras 3 only, and says so before anything else happens."""
    path = recorded(three(), folder / name)
    bare = Path(shutil.copy(path, folder / f"alone.{name}"))
    monkeypatch.setattr(keras, "__version__", "2.15.0")
    judge.recorded(path)
    judge.alone(bare)
