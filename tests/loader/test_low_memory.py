"""`memory="low"`: verified in one pass, assigned in a second, and what that cannot promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasguard.tensors.elements import Array

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras

import kerasguard as kg  # noqa: E402
from kerasguard.errors import ArgumentError, CorruptCheckpointError, RestoreError  # noqa: E402
from kerasguard.loader.reading import Reading  # noqa: E402
from kerasguard.models import assign, variables  # noqa: E402


@pytest.fixture
def model() -> Any:
    layers = [keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((5,)), *layers])
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(np.ones((4, 5)), np.ones((4, 3)), verbose=0)
    return model


@pytest.fixture
def path(model: Any, tmp_path: Path) -> Path:
    path = tmp_path / "m.keras"
    with kg.patched(strict=True, log_to_mlflow=False):
        model.save(path)
    for variable in model.variables:
        variable.assign(keras.ops.zeros_like(variable))
    return path


def held(model: Any) -> list[Any]:
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def values(model: Any) -> list[Any]:
    return [np.array(v) for v in held(model)]


def same(model: Any, before: list[Any]) -> bool:
    return all(map(np.array_equal, values(model), before))


def test_it_restores_what_a_load_restores(model: Any, path: Path) -> None:
    report = kg.restore(path, model, memory="low").report
    low = values(model)
    full = kg.restore(path, model).report
    assert same(model, low)
    assert report.outcomes == full.outcomes
    assert 'memory="low"' in report.text
    assert full.caveat == ""


def test_damage_is_found_before_anything_is_assigned(model: Any, path: Path) -> None:
    manifest = kg.inspect(path)
    extent = list(manifest.table.tensors.values())[-1].extent
    assert extent is not None
    with path.open("r+b") as file:
        file.seek(extent.offset)
        file.write(b"\x7f\x7f\x7f")
    before = values(model)
    with pytest.raises(kg.UnrepairableError, match="The model was not changed"):
        kg.load(path, model, memory="low")
    assert same(model, before)


def test_no_two_tensors_are_held_at_a_time(
    model: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, written, order = Reading.value, variables.write, list[str]()

    def value(reading: Reading, key: str) -> Array:
        order.append("read")
        return read(reading, key)

    def write(*args: Any) -> None:
        order.append("write")
        written(*args)

    monkeypatch.setattr(Reading, "value", value)
    monkeypatch.setattr(variables, "write", write)
    kg.load(path, model, memory="low", learning_rate="stored")
    start = order.index("write") - 1
    assert order[start:] == ["read", "write"] * order.count("write")


def _change_while_assigning(monkeypatch: pytest.MonkeyPatch, path: Path, after: int) -> None:
    """Somebody writes to the file once `after` variables are assigned."""
    extents = [r.extent for r in kg.inspect(path).table.tensors.values() if r.extent is not None]
    written, count = variables.write, list[int]()

    def write(*args: Any) -> None:
        written(*args)
        count.append(1)
        if len(count) == after:
            with path.open("r+b") as file:
                for extent in extents:
                    file.seek(extent.offset)
                    file.write(bytes([0x7F] * extent.length))

    monkeypatch.setattr(variables, "write", write)


def test_what_changed_between_the_passes_is_never_assigned(
    model: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = values(model)
    _change_while_assigning(monkeypatch, path, after=3)
    with pytest.raises(CorruptCheckpointError, match="changed while"):
        kg.load(path, model, memory="low")
    assert same(model, before)  # so small that all old values were kept


def test_where_the_old_values_were_not_kept_the_error_says_what_the_model_holds(
    model: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kg.load(path, model)
    stored = values(model)
    for variable in held(model):
        variable.assign(keras.ops.full_like(variable, 7))
    before = values(model)
    monkeypatch.setattr(assign, "_ROOM", 0)
    _change_while_assigning(monkeypatch, path, after=3)
    with pytest.raises(RestoreError, match="earlier values of 3 of the variables"):
        kg.load(path, model, memory="low")
    now = values(model)
    new = [not np.array_equal(a, b) for a, b in zip(now, before, strict=True)]
    assert sum(new) == 3
    assert all(
        np.array_equal(a, b) for a, b, is_new in zip(now, stored, new, strict=True) if is_new
    )


def test_anything_else_is_refused(path: Path) -> None:
    with pytest.raises(ArgumentError, match="'full', 'low'"):
        kg.load(path, memory="lo")  # type: ignore[arg-type]
