"""Which stored layer is which: the code of the reader is not the code of the writer."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import pytest
from class_judge import Judge, fresh, predicts, recorded, seq

layers = keras.layers
pytestmark = pytest.mark.keras


def branches(order: Sequence[str]) -> Any:
    """Two branches that are subtracted; the same model whichever is made first."""
    i = keras.Input((4,))
    made = {name: layers.Dense(4, name=name)(i) for name in order}
    return keras.Model(i, layers.Subtract()([made["query"], made["key"]]))


def chain(*names: str) -> Any:
    return keras.Sequential([keras.Input((4,)), *[layers.Dense(4, name=n) for n in names]])


def saved(model: Any, folder: Path, name: str = "m.weights.h5") -> tuple[Path, Path]:
    """The same weights with and without a manifest."""
    path = recorded(model, folder / name)
    bare = folder / f"alone.{name}"
    shutil.copy(path, bare)
    return path, bare


def test_v3_ordinal_shift(judge: Judge, tmp_path: Path, x: Any) -> None:
    wider = fresh(chain, "a", "new", "b")
    kernel = wider.get_layer("b").kernel.numpy()

    def right(model: Any) -> bool:
        return bool((model.get_layer("b").kernel.numpy() == kernel).all())

    path, bare = saved(wider, tmp_path)
    judge.recorded(path, fresh(chain, "a", "b", seed=9), right=right)
    judge.alone(bare, fresh(chain, "a", "b", seed=9), right=right)
    # The reader has a layer more, which the file cannot have: it is told, and nothing is shifted.
    path, bare = saved(fresh(chain, "a", "b"), tmp_path, "n.weights.h5")
    judge.recorded(path, wider, instead="refused")
    judge.alone(bare, wider, instead="refused")


def test_v3_reordered_branches(judge: Judge, tmp_path: Path, x: Any) -> None:
    model = fresh(branches, ["query", "key"])
    right = predicts(x, model(x))
    path, bare = saved(model, tmp_path)
    judge.recorded(path, fresh(branches, ["key", "query"], seed=9), right=right)
    judge.alone(bare, fresh(branches, ["key", "query"], seed=9), right=right)


def test_v3_extra_groups_ignored(judge: Judge, tmp_path: Path) -> None:
    path, bare = saved(fresh(chain, "a", "b", "c"), tmp_path)
    judge.recorded(path, fresh(chain, "a", "b", seed=9))
    judge.alone(bare, fresh(chain, "a", "b", seed=9))


def legacy(model: Any, folder: Path) -> tuple[Path, Path]:
    """A legacy file of the model, with and without a manifest."""
    path = recorded(model, folder / "m.h5")
    shutil.copy(path, folder / "alone.h5")
    return path, folder / "alone.h5"


@pytest.mark.filterwarnings("ignore:.*HDF5 file")
def test_h5_topological_order(judge: Judge, golden: Any, tmp_path: Path, x: Any) -> None:
    model = fresh(branches, ["query", "key"])
    right = predicts(x, model(x))
    path, bare = legacy(model, tmp_path)
    judge.recorded(path, fresh(branches, ["key", "query"], seed=9), right=right)
    judge.alone(bare, fresh(branches, ["key", "query"], seed=9), right=right)
    case = golden("named")
    kernels = [chain("key", "query"), chain("query", "key")]

    def by_name(model: Any) -> bool:
        other = keras.Sequential(
            [keras.Input((4,)), model.get_layer("query"), model.get_layer("key")]
        )
        return bool(case.right(other))

    for model in kernels:
        judge.alone(case.path("_weights.h5"), model, right=by_name)


@pytest.mark.filterwarnings("ignore:.*HDF5 file")
def test_h5_by_name_none(judge: Judge, golden: Any, tmp_path: Path, x: Any) -> None:
    def drifted() -> Any:
        for _ in range(5):
            layers.Dense(1)
        return seq(layers.Dense(4), layers.Dense(3))

    model = fresh(lambda: seq(layers.Dense(4), layers.Dense(3)))
    right = predicts(x, model(x))
    path, bare = legacy(model, tmp_path)
    judge.recorded(path, fresh(drifted), right=right)
    judge.alone(bare, fresh(drifted), right=right)
    case = golden("dense_3")

    def three() -> Any:
        layers.Dense(1)
        return seq(*[layers.Dense(4) for _ in range(3)])

    judge.alone(case.path("_weights.h5"), fresh(three), right=case.right)


@pytest.mark.filterwarnings("ignore:.*HDF5 file")
def test_h5_by_name_shift(judge: Judge, golden: Any, tmp_path: Path, x: Any) -> None:
    def same(before: int) -> Any:
        for _ in range(before):
            layers.Dense(1)
        return seq(*[layers.Dense(4) for _ in range(3)])

    model = fresh(same, 0)
    right = predicts(x, model(x))
    path, bare = legacy(model, tmp_path)
    judge.recorded(path, fresh(same, 1, seed=9), right=right)
    judge.alone(bare, fresh(same, 1, seed=9), right=right)
    case = golden("dense_3")
    judge.alone(case.path("_weights.h5"), fresh(same, 1), right=case.right)


def test_h5_by_name_on_v3_file(judge: Judge, tmp_path: Path, x: Any) -> None:
    _under_another_suffix(judge, tmp_path, x)


def test_v3_renamed_h5(judge: Judge, tmp_path: Path, x: Any) -> None:
    _under_another_suffix(judge, tmp_path, x)


def _under_another_suffix(judge: Judge, folder: Path, x: Any) -> None:
    model = fresh(chain, "a", "b")
    right = predicts(x, model(x))
    path, bare = saved(model, folder)
    renamed = folder / "renamed.h5"
    path.rename(renamed)
    Path(f"{path}.manifest.json").rename(f"{renamed}.manifest.json")
    judge.recorded(renamed, fresh(chain, "a", "b", seed=9), right=right)
    bare = bare.rename(folder / "bare.h5")
    judge.alone(bare, fresh(chain, "a", "b", seed=9), right=right)


def test_bn_center_scale_flip(judge: Judge, tmp_path: Path) -> None:
    def build(**options: Any) -> Any:
        return keras.Sequential([keras.Input((4,)), layers.BatchNormalization(**options)])

    path, _ = saved(fresh(build, center=False), tmp_path)
    judge.recorded(path, fresh(build, scale=False, seed=9))
    # A .keras file holds the config, which tells gamma from beta without a manifest too.
    fresh(build, center=False).save(tmp_path / "m.keras")
    judge.alone(tmp_path / "m.keras", fresh(build, scale=False), instead="refused KG101")


class ByKey(keras.Model):  # type: ignore[misc]
    """Sublayers in a dict."""

    def __init__(self, order: Sequence[str], named: bool = False) -> None:
        super().__init__()
        self.parts = {k: layers.Dense(4, name=k if named else None) for k in order}

    def call(self, x: Any) -> Any:
        return self.parts["query"](x) - self.parts["key"](x)


def by_key(order: Sequence[str], named: bool = False) -> Any:
    model = ByKey(order, named)
    model.build((None, 4))
    return model


@pytest.mark.filterwarnings("ignore:.*does not have a `build")
def test_dict_container_order(judge: Judge, tmp_path: Path, x: Any) -> None:
    model = fresh(by_key, ["query", "key"])
    right = predicts(x, model(x))
    path, _ = saved(model, tmp_path)
    judge.recorded(path, fresh(by_key, ["key", "query"], seed=9), right=right)
    judge.recorded(path, fresh(by_key, ["query", "key"], seed=9), right=right, instead="right")
    named = fresh(by_key, ["query", "key"], named=True)
    right = predicts(x, named(x))
    _, bare = saved(named, tmp_path, "named.weights.h5")
    other = fresh(by_key, ["key", "query"], named=True, seed=9)
    judge.alone(bare, other, right=right, instead="right KG104")


class Affine(layers.Layer):  # type: ignore[misc,name-defined]
    """Two variables of one shape, made in either order."""

    def __init__(self, order: Sequence[str]) -> None:
        super().__init__()
        self.order = order

    def build(self, shape: Any) -> None:
        for name in self.order:
            setattr(self, name, self.add_weight(shape=(4,), name=name))

    def call(self, x: Any) -> Any:
        return x * self.scale + self.shift


def test_custom_layer_var_order(judge: Judge, tmp_path: Path, x: Any) -> None:
    def build(*order: str) -> Any:
        return keras.Sequential([keras.Input((4,)), Affine(order)])

    model = fresh(build, "scale", "shift")
    right = predicts(x, model(x))
    path, _ = saved(model, tmp_path)
    judge.recorded(path, fresh(build, "shift", "scale", seed=9), right=right)


def test_layer_count_mismatch(judge: Judge, golden: Any, tmp_path: Path) -> None:
    two = lambda: seq(layers.Dense(4), layers.Dense(4))  # noqa: E731
    judge.alone(golden("dense_3").path("_weights.h5"), fresh(two))
    model = fresh(lambda: seq(*[layers.Dense(4) for _ in range(3)]))
    path, _ = saved(model, tmp_path)
    judge.recorded(path, fresh(two))


def test_weight_count_mismatch(judge: Judge, golden: Any, tmp_path: Path) -> None:
    path = tmp_path / "nobias.h5"
    shutil.copy(golden("dense_2").path("_weights.h5"), path)
    with h5py.File(path, "r+") as file:
        group = file["dense"]
        names = [n for n in group.attrs["weight_names"] if "bias" not in str(n)]
        assert len(names) == 1
        group.attrs["weight_names"] = names
    judge.alone(path, fresh(lambda: seq(layers.Dense(4), layers.Dense(4))))
    without = lambda use: seq(layers.Dense(4, use_bias=use), layers.Dense(4))  # noqa: E731
    path, _ = saved(fresh(without, False), tmp_path)
    judge.recorded(path, fresh(without, True), instead="refused KG105")
