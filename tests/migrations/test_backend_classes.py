"""Optimizers that PyTorch has classes of its own for are those that every backend has."""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.references import doubts
from kerasguard.migrations import migrate

KERAS3 = {"keras": "3.15.1", "config": "keras3"}


def torchs(name: str, **config: Any) -> dict[str, Any]:
    module = f"keras.src.backend.torch.optimizers.torch_{name.lower()}"
    return {
        "module": module,
        "class_name": name,
        "config": {"name": name.lower(), **config},
        "registered_name": name,
    }


def compiled(optimizer: dict[str, Any]) -> dict[str, Any]:
    layer = {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"name": "head", "units": 2},
        "registered_name": None,
    }
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "net", "layers": [layer]},
        "registered_name": None,
        "compile_config": {"optimizer": optimizer, "loss": "mse"},
    }


def test_a_class_of_pytorch_is_named_as_keras_offers_it_also_inside_another() -> None:
    stored = compiled(torchs("AdamW", inner_optimizer=torchs("SGD")))
    new, findings = migrate(stored, KERAS3)
    assert not findings
    outer = new["compile_config"]["optimizer"]
    assert (outer["module"], outer["registered_name"]) == ("keras.optimizers", None)
    assert outer["config"]["inner_optimizer"]["module"] == "keras.optimizers"
    assert new["config"] == stored["config"]


def test_the_stored_config_stays_as_it_is() -> None:
    stored = compiled(torchs("Adam"))
    migrate(stored, KERAS3)
    assert stored == compiled(torchs("Adam"))


def test_the_stored_class_needs_nobody_to_supply_it() -> None:
    assert not list(doubts(compiled(torchs("Adam"))))


def test_other_modules_of_a_backend_are_still_refused() -> None:
    strange = torchs("Adam") | {"module": "keras.src.backend.torch.trainer"}
    _, findings = migrate(compiled(strange), KERAS3)
    assert [f.code for f in findings] == ["KG431"]
