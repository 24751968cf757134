"""Layers that are quantised by the policy of the model around them, as in packages' backbones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard

keras = pytest.importorskip("keras")
pytestmark = [
    pytest.mark.keras,
    # Keras warns of every layer that it leaves as it is.
    pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize`:UserWarning"),
]


@keras.saving.register_keras_serializable("kerasguard_tests")
class Backbone(keras.Model):  # type: ignore[misc,name-defined]
    """A model whose config holds its layers' policies in a map."""

    def __init__(self, dtype: Any = None, **options: Any) -> None:
        ids = keras.Input((3,), dtype="int32")
        told = keras.layers.Embedding(7, 4, name="embedding", dtype=dtype)(ids)
        told = keras.layers.EinsumDense("abc,cd->abd", (3, 5), name="mixing", dtype=dtype)(told)
        super().__init__(ids, keras.layers.Dense(2, name="head", dtype=dtype)(told), **options)

    def get_config(self) -> dict[str, Any]:
        policies = keras.dtype_policies.DTypePolicyMap("float32")
        for layer in self.layers:
            if getattr(layer, "quantization_mode", None):
                policies[layer.path] = layer.dtype_policy
        return {"dtype": keras.saving.serialize_keras_object(policies), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Backbone:
        policy = keras.saving.deserialize_keras_object(config["dtype"])
        return cls(dtype=policy, name=config["name"])


@pytest.mark.parametrize("manifest", ["auto", pytest.param("ignore", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["m.keras", pytest.param("folder", marks=pytest.mark.slow)])
def test_a_quantised_backbone_loads_whole_without_a_finding(
    tmp_path: Path, name: str, manifest: Any
) -> None:
    model = Backbone()
    for weight in model.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    model.quantize("int8")
    ids = np.array([[1, 2, 6]])
    with kerasguard.patched(log_to_mlflow=False):
        keras.saving.save_model(model, tmp_path / name, zipped=name != "folder")
    done = kerasguard.restore(tmp_path / name, manifest=manifest)
    for ours, theirs in zip(done.model.weights, model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    np.testing.assert_array_equal(np.asarray(done.model(ids)), np.asarray(model(ids)))
    assert done.report.plan is not None
    assert [f.code for f in done.report.plan.findings if f.severity.name != "INFO"] == []
