"""Optimizers are known by where the model holds them; what is proven was read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("the models train by a GradientTape", allow_module_level=True)
from keras_zoo import MARKS  # noqa: E402  needs keras
from resume_models import KINDS, OPTIMIZERS, X, Y, states  # noqa: E402

import kerasguard as kg  # noqa: E402
from kerasguard.models import variables  # noqa: E402
from kerasguard.models.optimizer_configs import give_back  # noqa: E402

pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore:`compile.*was not called:UserWarning")]


def trained(kind: str, optimizer: str = "adam") -> Any:
    model = KINDS[kind](OPTIMIZERS[optimizer])
    model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    return model


def recorded(model: Any, path: Path) -> Path:
    with kg.patched():
        (model.save_weights if ".weights." in path.name else model.save)(path)
    return path


def assert_same_slots(one: Any, other: Any) -> None:
    for mine, its in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine, its)


def severe(report: Any) -> list[str]:
    return [str(f) for f in report.findings if f.severity.value != "info"]


@pytest.mark.parametrize("corrupted", ["kernel", "momentum"])
def test_a_corrupted_assignment_is_caught_and_taken_back(
    corrupted: str, tmp_path: Path, monkeypatch: Any
) -> None:
    path = recorded(trained("plain"), tmp_path / "m.weights.h5")
    other = trained("plain", "adam")
    before, write = states(other), variables.write

    def wrong(variable: Any, array: Any, *_: Any) -> None:
        write(variable, array + 1 if variable.name.endswith(corrupted) else array)

    monkeypatch.setattr(variables, "write", wrong)
    with pytest.raises(kg.KerasguardError, match="holds different bytes"):
        kg.load(path, other)
    assert states(other) == before


def test_only_what_was_read_back_is_proven(tmp_path: Path) -> None:
    model = trained("own variables")
    path = recorded(model, tmp_path / "m.keras")
    report = kg.restore(path).report
    assert report.proven == len(report.outcomes)
    load = type(model.layers[0]).load_own_variables

    def rounding(self: Any, store: Any) -> None:
        load(self, {k: np.asarray(v).astype("float16").astype("float32") for k, v in store.items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model.layers[0]), "load_own_variables", rounding)
        report = kg.restore(path).report
    left = {o.target for o in report.outcomes if o.proven is None}
    assert left == {f"layers/{n}/vars/{v}" for n in ("twice", "twice_1") for v in ("twice", "rest")}


def test_a_save_as_hdf5_leaves_the_compile_arguments_as_they_were(tmp_path: Path) -> None:
    model = trained("plain")
    recorded(model, tmp_path / "m.h5")
    path = recorded(model, tmp_path / "m.keras")
    again = keras.saving.load_model(path)
    assert again.optimizer.get_config()["beta_1"] == pytest.approx(0.8)


def test_an_optimizer_that_keras_lost_comes_back_with_its_settings(tmp_path: Path) -> None:
    model = trained("plain")
    model.save(tmp_path / "m.h5")  # takes the optimizer out of the compile arguments
    path = recorded(model, tmp_path / "m.keras")
    restored = kg.restore(path)
    assert not severe(restored.report)
    assert restored.model.optimizer.get_config()["beta_1"] == pytest.approx(0.8)
    assert [b for _, b in states(restored.model)] == [b for _, b in states(model)]


def test_settings_that_nobody_recorded_are_named(tmp_path: Path) -> None:
    model = trained("plain")
    model.save(tmp_path / "m.h5")
    model.save(tmp_path / "m.keras")
    restored = kg.restore(tmp_path / "m.keras")
    if "optimizer" in model.get_compile_config():  # Keras 3.16 does not take it out any more
        assert not severe(restored.report)
        assert restored.model.optimizer.beta_1 == pytest.approx(0.8)
    else:
        (told,) = severe(restored.report)
        assert "beta_1" in told
    assert type(restored.model.optimizer).__name__ == "Adam"
    assert int(restored.model.optimizer.iterations) == 2


def test_what_trains_only_now_starts_fresh_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = recorded(trained("frozen"), tmp_path / "m.weights.h5")
    model = KINDS["frozen"](OPTIMIZERS["adam"])
    model.layers[1].trainable = True
    model.compile(keras.optimizers.Adam(0.03), "mse")
    restored = kg.restore(path, model)
    (told,) = severe(restored.report)
    assert "4 of its tensors start fresh" in told
    slots = [v for v in model.optimizer.variables if "momentum" in v.name]
    assert [bool(np.any(np.asarray(v))) for v in slots] == [True, True, False, False] + [True] * 4


def test_lora_of_another_rank_keeps_the_state_of_everything_else(tmp_path: Path) -> None:
    path = recorded(trained("lora"), tmp_path / "m.weights.h5")
    model = keras.Sequential([keras.Input((6,)), *(keras.layers.Dense(n) for n in (6, 6, 3))])
    for layer in model.layers[:2]:
        layer.enable_lora(3)
    model.compile(keras.optimizers.Adam(0.03), "mse")
    restored = kg.restore(path, model)
    (told,) = [line for line in severe(restored.report) if line.startswith("KG108")]
    assert "lora_kernel_a" in told
    assert "a different shape" in told
    kept = [v for v in model.optimizer.variables if "bias_momentum" in v.name]
    assert all(np.any(np.asarray(v)) for v in kept)


@pytest.mark.parametrize("attribute", ["call", "train_step", "_layers"])
def test_a_recorded_optimizer_takes_the_place_of_nothing_else(attribute: str) -> None:
    model = trained("plain")
    config = keras.optimizers.serialize(keras.optimizers.SGD())
    place = {"path": "other", "holder": "", "attribute": attribute, "entry": None}
    before = getattr(model, attribute)
    given = give_back(model, {"others": [{**place, "config": config}]}, {})
    assert given.unknown == ("other",)
    assert getattr(model, attribute) == before


def test_a_recorded_config_imports_nothing() -> None:
    model = trained("plain")
    config = {
        "module": "antigravity",
        "class_name": "Adam",
        "config": {},
        "registered_name": "Adam",
    }
    given = give_back(model, {"class": "Adam", "config": config}, {})
    assert given.unknown == ("optimizer",)


def test_optimizers_that_a_format_does_not_hold_come_back_or_are_named(tmp_path: Path) -> None:
    model = trained("several")
    path = recorded(model, tmp_path / "m.h5")
    fresh = KINDS["several"](OPTIMIZERS["adam"])
    assert severe(kg.restore(path, fresh).report) == []
    assert [value for _, value in states(fresh)] == [value for _, value in states(model)]
    for companion in tmp_path.glob("*.companion-*"):
        companion.unlink()
    told = severe(kg.restore(path, KINDS["several"](OPTIMIZERS["adam"])).report)
    assert {"alone", "rest/adam", "by_name/adam"} <= {
        line.split(":")[0].split()[-1] for line in told if line.startswith("KG108")
    }


def tuned(quantised: str = "") -> Any:
    """A model of which LoRA trains one layer, and the other one is frozen."""
    model = keras.Sequential(
        [keras.Input((X.shape[1],)), keras.layers.Dense(6, name="a"), keras.layers.Dense(1)]
    )
    if quantised:
        model.quantize(quantised)
    model.layers[0].enable_lora(2)
    model.layers[1].trainable = False
    model.compile("adam", "mean_squared_error")
    return model


@pytest.mark.filterwarnings("ignore:Layer InputLayer", "ignore:invalid value encountered in cast")
@pytest.mark.parametrize("quantised", ["", "int8"])
@pytest.mark.parametrize("manifest", ["auto", "ignore"])
def test_a_legacy_file_holds_the_slots_of_lora(
    quantised: str, manifest: Any, tmp_path: Path
) -> None:
    model = tuned(quantised)
    model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    path = recorded(model, tmp_path / "m.h5")
    for target in (None, tuned(quantised)):
        done = kg.restore(path, target, manifest=manifest)
        assert not severe(done.report)
        assert_same_slots(done.model, model)


@pytest.mark.filterwarnings("ignore:Layer InputLayer", "ignore:invalid value encountered in cast")
@pytest.mark.parametrize(("quantised", "rounded"), [("", False), ("int8", True)])
def test_factors_of_lora_that_were_merged_are_named(
    quantised: str, rounded: bool, tmp_path: Path
) -> None:
    model = tuned(quantised)
    model.fit(X, Y, epochs=1, shuffle=False, verbose=0)
    path = recorded(model, tmp_path / "m.keras")
    told = [str(f) for f in kg.plan(path, manifest="ignore").findings if "LoRA" in f.message]
    assert len(told) == 1
    assert "a/lora_kernel_a, a/lora_kernel_b" in told[0]
    assert ("rounded" in told[0]) is rounded
    assert not [f for f in kg.plan(path).findings if "LoRA" in f.message]


def test_colons_in_names_keep_a_legacy_files_slots(tmp_path: Path) -> None:
    """JAX and PyTorch train such layers; TensorFlow only builds them."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="a:b")])
    model.compile("adam", "mean_squared_error")
    model.optimizer.build(model.trainable_variables)
    for number, variable in enumerate(model.optimizer.variables):
        variable.assign(np.full(variable.shape, number, variable.dtype))
    path = recorded(model, tmp_path / "m.h5")
    for manifest in ("auto", "ignore"):
        done = kg.restore(path, manifest=manifest)
        assert not severe(done.report)
        assert_same_slots(done.model, model)
