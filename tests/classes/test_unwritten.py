"""Weights that Keras does not write, or does not build before it loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from class_judge import Judge, fresh, predicts, randomised, recorded

layers = keras.layers
pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore:.*does not have a `build\\(\\)` method:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Keras did not write:UserWarning"),
]


@keras.saving.register_keras_serializable("classes")
class LateChildren(keras.Model):  # type: ignore[misc]
    """Its `build` makes no child: only a call does, which a new process has not made."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.d1, self.d2 = layers.Dense(5, activation="tanh"), layers.Dense(2)

    def build(self, shape: Any) -> None:
        self.built = True

    def call(self, x: Any) -> Any:
        return self.d2(self.d1(x))


@keras.saving.register_keras_serializable("classes")
class LateChild(layers.Layer):  # type: ignore[misc,name-defined]
    """The same in a layer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = layers.Dense(4, activation="tanh")

    def build(self, shape: Any) -> None:
        self.built = True

    def call(self, x: Any) -> Any:
        return self.inner(x)


@keras.saving.register_keras_serializable("classes")
class Held(layers.Layer):  # type: ignore[misc,name-defined]
    """Its sublayers lie where its kind says: an attribute of Layer's own, a set, nested lists."""

    def __init__(self, kind: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.chain = ()
        made = [layers.Dense(4, name=f"inner_{i}") for i in range(2)]
        if kind == "_layers":
            self._layers = made
        elif kind == "set":
            self.held = set(made)

    def children(self) -> list[Any]:
        held = self._layers if self.kind == "_layers" else self.held
        return sorted(held, key=lambda layer: layer.name)

    def build(self, shape: Any) -> None:
        for layer in self.children():
            layer.build(shape)
        self.built = True

    def call(self, x: Any) -> Any:
        for layer in self.children():
            x = layer(x)
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind}


def held(kind: str) -> Any:
    return keras.Sequential([keras.Input((4,)), Held(kind), layers.Dense(2)])


def called(model: Any, x: Any) -> Any:
    model(x)
    return randomised(model)


def test_masked_never_built(judge: Judge, tmp_path: Path, x: Any) -> None:
    model = called(LateChildren(), x)
    right = predicts(x, model(x))
    recorded(model, tmp_path / "m.keras")
    recorded(model, tmp_path / "m.weights.h5")
    model.save(tmp_path / "alone.keras")
    judge.recorded(tmp_path / "m.keras", right=right)
    judge.alone(tmp_path / "alone.keras", right=right)
    unbuilt = LateChildren()
    unbuilt.build((None, 4))
    judge.recorded(tmp_path / "m.weights.h5", unbuilt, right=right)


def test_child_never_built(judge: Judge, tmp_path: Path, x: Any) -> None:
    def build() -> Any:
        return keras.Sequential([LateChild(), layers.Dense(2)])

    model = called(build(), x)
    right = predicts(x, model(x))
    recorded(model, tmp_path / "m.keras")
    model.save(tmp_path / "alone.keras")
    judge.recorded(tmp_path / "m.keras", right=right)
    judge.alone(tmp_path / "alone.keras", right=right)


def test_subclass_unbuilt(judge: Judge, tmp_path: Path, x: Any) -> None:
    class Plain(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.d1, self.d2 = layers.Dense(5, activation="tanh"), layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.d2(self.d1(x))

    model = called(Plain(), x)
    right = predicts(x, model(x))
    recorded(model, tmp_path / "m.weights.h5")
    model.save_weights(tmp_path / "alone.weights.h5")
    judge.recorded(tmp_path / "m.weights.h5", Plain(), right=right)
    judge.alone(tmp_path / "alone.weights.h5", Plain(), right=right)


def test_private__layers_attr(judge: Judge, tmp_path: Path, x: Any) -> None:
    _in_a_place_of_its_own("_layers", judge, tmp_path, x)


def test_set_container(judge: Judge, tmp_path: Path, x: Any) -> None:
    _in_a_place_of_its_own("set", judge, tmp_path, x)


def _in_a_place_of_its_own(kind: str, judge: Judge, folder: Path, x: Any) -> None:
    model = fresh(held, kind)
    right = predicts(x, model(x))
    recorded(model, folder / "m.keras")
    recorded(model, folder / "m.weights.h5")
    model.save(folder / "alone.keras")
    judge.recorded(folder / "m.keras", right=right)
    judge.recorded(folder / "m.weights.h5", fresh(held, kind, seed=9), right=right)
    judge.alone(folder / "alone.keras", right=right)


def test_nested_list_in_layer_old_keras(judge: Judge, golden: Any, tmp_path: Path, x: Any) -> None:
    build = lambda: keras.Sequential([keras.Input((4,)), NestedLists()])  # noqa: E731
    for writer in ("tf2.15.1", "keras3.3.3", "keras3.10.0", "keras3.12.0"):
        case = golden("nested_lists", writer)
        model = fresh(build)
        judge.alone(case.path(".keras"), custom_objects={"classes>Nested": NestedLists})
        judge.alone(case.path(".weights.h5"), model)
    for writer in ("keras3.3.3", "keras3.10.0", "keras3.12.0"):
        case = golden("nested_lists_model", writer)
        made = NestedListsModel()
        made(np.zeros((1, 4), "float32"))
        judge.alone(case.path(".weights.h5"), made, right=case.right, instead="right")
    model = fresh(build)
    right = predicts(x, model(x))
    path = recorded(model, tmp_path / "m.weights.h5")
    judge.recorded(path, fresh(build, seed=9), right=right)


class NestedLists(layers.Layer):  # type: ignore[misc,name-defined]
    """Sublayers in a list of lists, which Keras before 3.14 does not write."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blocks = [[layers.Dense(4), layers.Dense(4)], [layers.Dense(4)]]

    def build(self, shape: Any) -> None:
        for layer in [*self.blocks[0], *self.blocks[1]]:
            layer.build(shape)
        self.built = True

    def call(self, x: Any) -> Any:
        return self.blocks[1][0](self.blocks[0][1](self.blocks[0][0](x)))


class NestedListsModel(keras.Model):  # type: ignore[misc]
    """The same in a model, whose list of all layers holds the weights."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blocks = [[layers.Dense(4), layers.Dense(4)], [layers.Dense(4)]]

    def call(self, x: Any) -> Any:
        return self.blocks[1][0](self.blocks[0][1](self.blocks[0][0](x)))
