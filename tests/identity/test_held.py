from __future__ import annotations

from typing import Any

import pytest

from kerasguard.identity.held import held_alone, held_differences
from kerasguard.identity.reduced import around
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec, Use


def table(**places: tuple[str, str]) -> Table:
    """Layers by place, `parts_0` for `parts[0]`, each as class and digest; a Dense has weights."""
    layers, tensors = {}, {}
    for place, (kind, digest) in places.items():
        name, _, item = place.partition("_")
        held = (f"{name}[{item}]",) if item else (name,)
        layers[place] = LayerRecord(place, place, kind, digest, use=Use(held=held))
        if kind == "Dense":
            record = TensorRecord(f"{place}/vars/0", TensorSpec((2,), "float32"), layer=place)
            tensors[record.key] = record
    return Table(tensors, layers)


DENSE, RELU, TANH = ("Dense", "a"), ("ReLU", "b"), ("Activation", "c")
SAVED = {"parts_0": DENSE, "parts_1": RELU, "parts_2": DENSE}
OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "moved": ({"parts_0": DENSE, "parts_1": DENSE, "parts_2": RELU}, "the layers in parts are"),
    "replaced": ({**SAVED, "parts_1": TANH}, "Activation"),
    "changed": ({**SAVED, "parts_1": ("ReLU", "z")}, "configured differently than"),
    "dropped": ({"parts_0": DENSE, "parts_1": DENSE}, "but were Dense, ReLU, Dense"),
    "another attribute": ({**SAVED, "bend": TANH}, "holds Activation, which the saved model"),
}
ALIKE: dict[str, dict[str, Any]] = {
    "the same": SAVED,
    "a dropout more": {**SAVED, "parts_3": ("Dropout", "d")},
    "another layer with weights, which others tell": {**SAVED, "parts_3": DENSE},
    "nothing known": {},
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_held_in_another_way_is_told(case: str) -> None:
    places, message = OTHERS[case]
    (told,) = held_differences(table(**places), table(**SAVED))
    assert message in told


@pytest.mark.parametrize("case", ALIKE)
def test_what_changes_nothing_is_not_told(case: str) -> None:
    assert list(held_differences(table(**ALIKE[case]), table(**SAVED))) == []
    assert list(held_differences(table(**SAVED), table(**ALIKE[case]))) == []


def test_an_attribute_may_have_another_name() -> None:
    before, now = {**SAVED, "bend": TANH}, {**SAVED, "curve": TANH}
    assert list(held_differences(table(**now), table(**before))) == []


def test_a_dict_is_compared_by_its_keys() -> None:
    before = {"parts_x": DENSE, "parts_y": RELU}
    assert list(held_differences(table(parts_y=RELU, parts_x=DENSE), table(**before))) == []
    assert list(held_differences(table(parts_x=DENSE, parts_y=TANH), table(**before)))


def test_a_place_that_a_graph_tells_too_is_not_compared() -> None:
    held = LayerRecord("a", "a", "ReLU", "b", use=Use(held=("a",)))
    assert held_alone(held)
    assert not held_alone(LayerRecord("a", "a", "ReLU", "b"))
    assert not held_alone(LayerRecord("a", "a", "ReLU", "b", (), use=Use(held=("a",))))
    assert not held_alone(LayerRecord("a", "a", "ReLU", "b", use=Use(held=("a",), graph=())))


def test_a_tensor_belongs_to_all_layers_around_it() -> None:
    record = TensorRecord("a/b/vars/0", TensorSpec((2,), "float32"), layer="a/b")
    assert list(around(record.layer)) == ["a", "a/b"]
