"""Boundaries that Keras 2 derived from what `adapt` had seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kerasguard.migrations import drawn
from kerasguard.migrations.adapted_boundaries import MIGRATION, boundaries, summaries
from kerasguard.planning.findings import Finding
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec


def architecture(**more: Any) -> dict[str, Any]:
    config = {"name": "bins", "num_bins": 4, "bin_boundaries": None, **more}
    layer = {"class_name": "Discretization", "config": config}
    return {"class_name": "Sequential", "config": {"name": "m", "layers": [layer]}}


def table(*shapes: tuple[int, ...], name: str = "bins") -> Table:
    records = [
        TensorRecord(f"l/d/vars/{n}", TensorSpec(shape, "float32"), layer="l/d")
        for n, shape in enumerate(shapes)
    ]
    return Table({r.key: r for r in records}, {"l/d": LayerRecord("l/d", name, "Discretization")})


def test_bins_hold_equal_shares_of_what_was_seen() -> None:
    values = np.arange(1.0, 101.0)
    summary = np.stack([values, np.ones(100)]).astype("float32")
    np.testing.assert_allclose(boundaries(summary, 4), [25, 50, 75])
    weighted = np.array([[1, 2, 3, 4], [1, 1, 1, 97]], "float32")
    assert boundaries(weighted, 2)[0] == pytest.approx(3 + 47 / 97)


def test_fewer_values_than_bins_are_boundaries_themselves() -> None:
    assert boundaries(np.array([[1, 2, 5], [1, 1, 1]], "float32"), 9) == [1.0, 2.0]


def test_a_layer_without_boundaries_gets_those_of_its_summary() -> None:
    summary = np.stack([np.arange(8.0), np.ones(8)]).astype("float32")
    old = architecture()
    assert summaries(old, table((2, 8))) == {"bins": "l/d/vars/0"}
    new, findings = with_boundaries(old, {"bins": summary})
    config = new["config"]["layers"][0]["config"]
    assert config["bin_boundaries"] == boundaries(summary, 4)
    assert config["num_bins"] is None
    assert [f.code for f in findings] == ["KG446"]
    assert old == architecture()
    assert with_boundaries(old, {"bins": summary[:, ::-1]}) == (old, ())


@pytest.mark.parametrize(
    ("config", "stored"),
    [
        ({"bin_boundaries": [1.0, 2.0]}, table((2, 8))),
        ({"num_bins": None}, table((2, 8))),
        ({}, table((2, 8), (2, 9))),
        ({}, table((3, 8))),
        ({}, table((2, 8), name="other")),
    ],
)
def test_where_nothing_or_more_than_one_summary_fits_the_config_stays(
    config: dict[str, Any], stored: Table
) -> None:
    assert summaries(architecture(**config), stored) == {}


@pytest.mark.keras
def test_they_are_those_of_keras() -> None:
    keras = pytest.importorskip("keras")
    layer = keras.layers.Discretization(num_bins=4)
    layer.adapt(np.random.default_rng(1).normal(size=(99, 1)).astype("float32"))
    np.testing.assert_array_equal(boundaries(layer.summary, 4), layer.bin_boundaries)


def with_boundaries(architecture: Any, summary: dict[str, Any]) -> tuple[Any, tuple[Finding, ...]]:
    """The architecture after this migration alone, and what it found."""
    (array,) = summary.values()
    values = {"l/d/vars/0": array}
    blueprint = drawn(architecture, {}, stored=table((2, 8)), values=values)
    MIGRATION.run(blueprint)
    assert blueprint.taken == ({*values} if blueprint.findings else set())
    return blueprint.architecture, tuple(blueprint.findings)
