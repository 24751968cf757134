"""Tables."""

from __future__ import annotations

from kerasguard.tensors import Table, TensorRecord, TensorSpec


def test_members_are_grouped_by_layer_in_table_order() -> None:
    spec = TensorSpec((1,), "float32")
    records = [TensorRecord(f"{layer}/{i}", spec, layer=layer) for i in (1, 0) for layer in "ab"]
    groups = Table.of(records).members()
    assert {layer: [r.key for r in group] for layer, group in groups.items()} == {
        "a": ["a/1", "a/0"],
        "b": ["b/1", "b/0"],
    }
