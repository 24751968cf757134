"""The hint of a KG105 settles it: following hint after hint ends without one that is in doubt."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kerasguard as kg

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras


def part(inner: int, outer: int) -> Any:
    """A model within a model."""
    return keras.Sequential(
        [keras.Input((4,)), chain(inner), *(keras.layers.Dense(4) for _ in range(outer))]
    )


def chain(layers: int) -> Any:
    return keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(4) for _ in range(layers))])


def shared(inner: int, outer: int) -> Any:
    """The first layer of the part is also one of the whole."""
    layers = [keras.layers.Dense(4) for _ in range(inner)]
    entry = keras.Input((4,))
    x = entry
    for layer in layers:
        x = layer(x)
    inputs = keras.Input((4,))
    y = layers[0](keras.Model(entry, x, name="part")(inputs))
    for _ in range(outer):
        y = keras.layers.Dense(4)(y)
    return keras.Model(inputs, y)


@pytest.mark.parametrize("make", [part, shared])
@pytest.mark.parametrize(
    ("saved", "wanted"), [((2, 2), (2, 1)), ((2, 1), (2, 2)), ((3, 1), (2, 1))]
)
def test_following_every_hint_leaves_nothing_in_doubt(
    make: Callable[..., Any], saved: tuple[int, int], wanted: tuple[int, int], tmp_path: Path
) -> None:
    make(*saved).save_weights(tmp_path / "m.weights.h5")
    keras.utils.clear_session()
    model, renames = make(*wanted), dict[str, str]()
    for _ in range(len(model.weights)):
        plan = kg.plan(tmp_path / "m.weights.h5", model, renames=renames)
        doubts = [finding for finding in plan.unresolved if finding.code == "KG105"]
        if not doubts:
            break
        hint = re.search(r'renames=\{"(.+)": "(.+)"\} decides it', doubts[0].message)
        assert hint is not None, doubts[0].message
        old, new = hint.groups()
        assert old not in renames, f"{old} was given to {renames[old]} already, now to {new}"
        assert new not in renames.values()
        renames[old] = new
    assert renames
    assert not doubts
    missing = sum(wanted) - sum(saved)
    assert len([f for f in plan.unresolved if f.code == "KG101"]) == 2 * max(missing, 0)
