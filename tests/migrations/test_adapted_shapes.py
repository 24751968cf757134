"""Input shapes that only the weights of an adapted layer tell."""

from __future__ import annotations

from typing import Any

import pytest

from kerasguard.migrations import drawn
from kerasguard.migrations.adapted_shapes import MIGRATION
from kerasguard.planning.findings import Finding
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec


def layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": name, **config}}


def sequential(shape: list[int | None], name: str = "m", **config: Any) -> dict[str, Any]:
    first = layer("InputLayer", "i", batch_input_shape=shape)
    norm = layer("Normalization", "norm", batch_input_shape=shape, **{"axis": [-1], **config})
    return layer("Sequential", name, layers=[first, norm])


def stored(
    shape: tuple[int, ...], name: str = "norm", key: str = "layers/x/vars/0", variable: str = ""
) -> Table:
    record = TensorRecord(key, TensorSpec(shape, "float32"), variable=variable, layer="layers/x")
    return Table({key: record}, {"layers/x": LayerRecord("layers/x", name)})


def closed(architecture: dict[str, Any], table: Table) -> list[int | None]:
    changed, _ = with_sizes(architecture, table)
    shape: list[int | None] = changed["config"]["layers"][0]["config"]["batch_input_shape"]
    return shape


def test_an_open_input_gets_the_size_of_the_stored_mean() -> None:
    old = sequential([None, None])
    new, findings = with_sizes(old, stored((4,)))
    assert closed(old, stored((4,))) == [None, 4]
    assert [(f.code, f.key) for f in findings] == [("KG447", "norm")]
    assert old == sequential([None, None])
    assert new["config"]["layers"][1] == old["config"]["layers"][1]


def test_a_mean_over_several_axes_closes_each_of_them() -> None:
    old = sequential([None, None, None, None], axis=[1, -1])
    assert closed(old, stored((3, 5))) == [None, 3, None, 5]


def test_a_model_without_an_input_layer_is_closed_at_its_first_layer() -> None:
    norm = layer("Normalization", "norm", batch_input_shape=[None, None], axis=-1)
    assert closed(layer("Sequential", "m", layers=[norm]), stored((4,))) == [None, 4]


def test_a_mean_in_the_row_of_the_model_around_is_found_there() -> None:
    outer = layer("Sequential", "top", layers=[sequential([None, None], "inner")])
    changed, _ = with_sizes(outer, stored((4,), "inner", "x/mean:0", "mean"))
    inner = changed["config"]["layers"][0]
    assert inner["config"]["layers"][0]["config"]["batch_input_shape"] == [None, 4]


@pytest.mark.parametrize(
    ("architecture", "table"),
    [
        (sequential([None, 4]), stored((4,))),
        (sequential([None, None], mean=[1.0]), stored((4,))),
        (sequential([None, None], axis=None), stored((4,))),
        (sequential([None, None], axis=[7]), stored((4,))),
        (sequential([None, None]), stored((4, 2))),
        (sequential([None, None]), stored((4,), "other")),
        (sequential([None, None]), stored((4,), key="layers/x/vars/1")),
        (layer("Sequential", "m", layers=["no layer"]), stored((4,))),
        (layer("Sequential", "m", layers=[]), stored((4,))),
    ],
)
def test_what_is_closed_or_not_told_stays_as_it_is(
    architecture: dict[str, Any], table: Table
) -> None:
    assert with_sizes(architecture, table) == (architecture, ())


def with_sizes(architecture: Any, table: Table) -> tuple[Any, tuple[Finding, ...]]:
    """The architecture after this migration alone, and what it found."""
    blueprint = drawn(architecture, {}, stored=table)
    MIGRATION.run(blueprint)
    return blueprint.architecture, tuple(blueprint.findings)
