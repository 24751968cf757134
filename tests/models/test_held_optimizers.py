"""Optimizers in objects that are none of Keras' are recorded and come back, as others do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("the models train by a GradientTape", allow_module_level=True)
from keras_zoo import MARKS  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402

pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore:.*HDF5:UserWarning")]
X = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")


class Both:
    """A plain object."""

    def __init__(self) -> None:
        self.actor = keras.optimizers.Adam(0.01)
        self.critic = keras.optimizers.RMSprop(0.02, momentum=0.5)


@dataclasses.dataclass
class Agent:
    """One of a dict's or a list's."""

    optimizer: Any


@keras.saving.register_keras_serializable("held")
class Agents(keras.Model):  # type: ignore[misc,name-defined]
    """Trains two parts, of which one spans two layers, by two optimizers."""

    def __init__(self, held: str = "plain", **more: Any) -> None:
        super().__init__(**more)
        self.held, dense = held, keras.layers.Dense
        self.trunk, self.actor, self.critic = dense(5), dense(3), dense(1)
        if held == "plain":
            self.optimizers = Both()
        else:
            last = Agent(keras.optimizers.SGD(0.01, momentum=0.9))
            self.agents: Any = {"actor": Agent(keras.optimizers.Nadam(0.01)), "rest": [last]}

    def build(self, shape: Any) -> None:
        self.trunk.build(shape)
        self.actor.build((None, 5))
        self.critic.build((None, 5))
        self.built = True

    def call(self, x: Any) -> Any:
        hidden = self.trunk(x)
        return self.actor(hidden), self.critic(hidden)

    def pair(self) -> list[Any]:
        if self.held == "plain":
            return [self.optimizers.actor, self.optimizers.critic]
        return [self.agents["actor"].optimizer, self.agents["rest"][0].optimizer]

    def train_step(self, data: Any) -> Any:
        import tensorflow as tf

        with tf.GradientTape(persistent=True) as tape:
            losses = [keras.ops.mean((out - 1.0) ** 2) for out in self(data[0])]
        acting = self.trunk.trainable_variables + self.actor.trainable_variables
        parts = (acting, self.critic.trainable_variables)
        for optimizer, loss, some in zip(self.pair(), losses, parts, strict=True):
            optimizer.apply(tape.gradient(loss, some), some)
        return {"loss": losses[0]}

    def get_config(self) -> dict[str, Any]:
        return {"held": self.held}


def net(held: str) -> Any:
    model = Agents(held)
    model(X)
    model.compile(run_eagerly=True)
    return model


def trained(model: Any) -> list[bytes]:
    model.run_eagerly = True
    model.fit(X, X, epochs=1, shuffle=False, verbose=0)
    some = [*model.weights, *(v for one in model.pair() for v in one.variables)]
    return [np.asarray(v).tobytes() for v in some]


@pytest.mark.parametrize("held", ["plain", "deep"])
@pytest.mark.parametrize(
    ("name", "fresh"),
    [("m.keras", False), ("m.keras", True), ("m.weights.h5", True), ("m.h5", True)],
)
def test_their_state_comes_back(tmp_path: Path, held: str, name: str, fresh: bool) -> None:
    model = net(held)
    trained(model)
    with kg.patched():
        (model.save_weights if "weights" in name else model.save)(tmp_path / name)
    into = net(held) if fresh else None
    restored = kg.restore(tmp_path / name, into)
    assert [str(f) for f in restored.report.findings if f.severity.value != "info"] == []
    assert trained(restored.model) == trained(model)


def test_what_was_built_elsewhere_is_not_searched_twice() -> None:
    from kerasguard.models.walk import walk

    model = net("plain")
    model.again = model.optimizers.actor  # Keras visits it now
    paths = [v.path for v in walk(model) if "actor" in v.path or "again" in v.path]
    assert paths.count("again") == 1
    assert "optimizers/actor" not in paths
    assert [v.path for v in walk(model)][-1] == "optimizers/critic"


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.h5"])
def test_that_an_unrecorded_file_has_nothing_of_them_is_said(tmp_path: Path, name: str) -> None:
    model = net("plain")
    trained(model)
    (model.save_weights if "weights" in name else model.save)(tmp_path / name)
    report = kg.restore(tmp_path / name, net("plain")).report
    told = {f.key for f in report.findings if f.code == "KG108"}
    assert {"optimizers/actor", "optimizers/critic"} <= told
