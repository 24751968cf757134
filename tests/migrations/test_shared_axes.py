"""Axes that Keras 1.2 did not write and that the stored slopes tell."""

from __future__ import annotations

from typing import Any

import pytest

from kerasguard.migrations import drawn
from kerasguard.migrations.shared_axes import MIGRATION
from kerasguard.planning.findings import Finding
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec


def architecture(**more: Any) -> dict[str, Any]:
    layer = {"class_name": "PReLU", "config": {"name": "prelu_1", **more}}
    return {"class_name": "Sequential", "config": [layer]}


def slopes(*shape: int, name: str = "prelu_1_alphas:0") -> Table:
    record = TensorRecord(f"prelu_1/{name}", TensorSpec(shape, "float32"), name, layer="prelu_1")
    return Table({record.key: record}, {"prelu_1": LayerRecord("prelu_1", "prelu_1")})


@pytest.mark.parametrize(("shape", "axes"), [((1, 1, 3), [1, 2]), ((1, 6, 1), [1, 3])])
def test_axes_with_one_slope_are_shared(shape: tuple[int, ...], axes: list[int]) -> None:
    found, findings = with_shared_axes(architecture(), slopes(*shape))
    assert found["config"][0]["config"]["shared_axes"] == axes
    assert [f.code for f in findings] == ["KG448"]


def test_nothing_is_told_where_every_place_has_a_slope_or_the_config_says_so_itself() -> None:
    for config, table in (
        (architecture(), slopes(7, 6, 3)),
        (architecture(), slopes(1, 1, 3, name="srelu_1_a_left:0")),
        (architecture(shared_axes=None), slopes(1, 1, 3)),
    ):
        assert with_shared_axes(config, table) == (config, ())


def with_shared_axes(architecture: Any, table: Table) -> tuple[Any, tuple[Finding, ...]]:
    """The architecture after this migration alone, and what it found."""
    blueprint = drawn(architecture, {}, stored=table)
    MIGRATION.run(blueprint)
    return blueprint.architecture, tuple(blueprint.findings)
