"""Two checkpoints are compared by key, else by name, else by bytes."""

from __future__ import annotations

from dataclasses import replace

from tables import Layer, table

from kerasguard.checkpoints.difference import Change, compare
from kerasguard.tensors import Table, TensorSpec

LAYERS = (Layer("body"), Layer("head"))


def changed(which: Table, key: str, **fields: object) -> Table:
    """The table with one record that has other fields."""
    record = replace(which.tensors[key], **fields)  # type: ignore[arg-type]
    return replace(which, tensors={**which.tensors, key: record})


def test_equal_checkpoints_do_not_differ() -> None:
    assert compare(table(LAYERS), table(LAYERS)) == ()


def test_other_values_and_other_shapes_are_told_apart() -> None:
    first = table(LAYERS)
    second = changed(first, "layers/dense/vars/0", digest="xxh3:other")
    second = changed(second, "layers/dense_1/vars/1", spec=TensorSpec((4,), "float64"))
    assert [(c.kind, c.name) for c in compare(first, second)] == [
        ("values", "body/kernel"),
        ("form", "head/bias"),
    ]


def test_an_old_format_with_other_keys_is_compared_by_name() -> None:
    first = table(LAYERS)
    old = [
        replace(r, key=f"old/{r.key}", name=f"{r.name.partition('/')[0]}/{r.name}:0")
        for r in first.tensors.values()
    ]
    assert compare(Table.of(old), first) == ()


def test_what_only_one_of_them_has_is_listed() -> None:
    found = compare(table(LAYERS[:1]), table(LAYERS))
    assert [(c.kind, c.name) for c in found] == [
        ("second only", "head/kernel"),
        ("second only", "head/bias"),
    ]
    assert {c.kind for c in compare(table(LAYERS), table(LAYERS[:1]))} == {"first only"}


def test_a_renamed_layer_is_told_by_its_key_or_by_its_bytes() -> None:
    first = table(LAYERS)
    second = changed(first, "layers/dense/vars/0", name="trunk/kernel")
    assert compare(first, second) == (Change("renamed", "body/kernel", SECOND),)
    moved = [
        replace(r, key=f"elsewhere/{r.key}", name=f"x/{r.name}") for r in first.tensors.values()
    ]
    assert {c.kind for c in compare(first, Table.of(moved))} == {"renamed"}


SECOND = "is trunk/kernel in the second"


def test_a_layer_that_computes_something_else_is_a_difference() -> None:
    found = compare(table(LAYERS), table((LAYERS[0], Layer("head", config="tanh"))))
    assert [(c.kind, c.name) for c in found] == [("layer", "head")]
    found = compare(table(LAYERS), table((LAYERS[0], Layer("head", cls="Mine"))))
    assert [(c.kind, c.what) for c in found] == [
        ("layer", "Dense in the first, Mine in the second")
    ]
