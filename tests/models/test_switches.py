"""What was frozen when a model was saved is frozen in the model that is built from the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_zoo import MARKS

keras = pytest.importorskip("keras")
import kerasguard as kg  # noqa: E402
from kerasguard.manifest import Manifest  # noqa: E402

pytestmark = [  # TensorFlow follows no variable that was made while its layer was frozen
    *MARKS,
    pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning"),
]
X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
ONE_OF_EACH = (
    "nothing",
    "a layer",
    "what its constructor freezes is thawed",
    "a layer without variables to train",
    "one variable",
    "a part of which one layer is thawed",
    "a list",
)


@keras.saving.register_keras_serializable("switches")
class Net(keras.Model):  # type: ignore[misc,name-defined]
    """Says nothing of what is frozen in it."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        layers = keras.layers
        norm = layers.BatchNormalization(center=False, scale=False)
        self.body = keras.Sequential([layers.Dense(4), norm, layers.Dense(4)])
        self.blocks = [layers.Dense(4), layers.Dense(4)]
        self.teacher = layers.Dense(4)
        self.teacher.trainable = False

    def call(self, x: Any, training: Any = None) -> Any:
        x = self.body(x, training=training)
        for block in self.blocks:
            x = block(x)
        return self.teacher(x)


def net(frozen: str) -> Any:
    model = Net()
    model(X)
    if frozen == "a layer":
        model.body.layers[0].trainable = False
    elif frozen == "what its constructor freezes is thawed":
        model.teacher.trainable = True
    elif frozen == "a layer without variables to train":
        model.body.layers[1].trainable = False
    elif frozen == "one variable":
        model.body.layers[2].bias.trainable = False
    elif frozen == "a part of which one layer is thawed":
        model.body.trainable = False
        model.body.layers[0].trainable = True
    elif frozen == "a list":
        for block in model.blocks:
            block.trainable = False
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", run_eagerly=True)
    return model


def switched(model: Any) -> list[tuple[bool, list[bool]]]:
    layers = [model.body, *model.body.layers, *model.blocks, model.teacher]
    return [(layer.trainable, [v.trainable for v in layer.weights]) for layer in layers]


def trained(model: Any) -> list[bytes]:
    model.fit(X, X, epochs=1, shuffle=False, verbose=0)
    return [np.asarray(v).tobytes() for v in (*model.weights, *model.optimizer.variables)]


@pytest.mark.parametrize("frozen", ONE_OF_EACH)
@pytest.mark.parametrize("name", ["m.keras", "folder"])
def test_a_model_trains_what_it_trained_when_it_was_saved(
    tmp_path: Path, name: str, frozen: str
) -> None:
    model = net(frozen)
    trained(model)
    with kg.patched():
        keras.saving.save_model(model, tmp_path / name, zipped=name != "folder")
    restored = kg.restore(tmp_path / name)
    assert switched(restored.model) == switched(model)
    assert [f for f in restored.report.findings if f.severity.value != "info"] == []
    assert trained(restored.model) == trained(model)


def test_an_older_manifest_tells_it_by_variable(tmp_path: Path) -> None:
    model, path = net("a layer"), tmp_path / "m.keras"
    with kg.patched():
        model.save(path)
    sidecar = tmp_path / "m.keras.manifest.json"
    data = json.loads(sidecar.read_text())
    assert [entry.pop("trainable", None) for entry in data["layers"]].count(False) == 2
    data.pop("digest", None)
    sidecar.write_text(Manifest.from_dict(data).to_json())
    assert switched(kg.load(path)) == switched(model)


def test_a_model_of_the_callers_keeps_its_own_switches(tmp_path: Path) -> None:
    with kg.patched():
        net("a layer").save_weights(tmp_path / "m.weights.h5")
    model = net("a list")
    before = switched(model)
    kg.load(tmp_path / "m.weights.h5", model)
    assert switched(model) == before
