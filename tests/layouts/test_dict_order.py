"""The order of a dict's layers is doubted where an old file cannot have told it."""

from __future__ import annotations

import pytest

from kerasguard.layouts import unsorted_dicts
from kerasguard.planning.findings import Severity
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec


def table(*layers: LayerRecord) -> Table:
    spec = TensorSpec((2, 2), "float32")
    records = [TensorRecord(f"{r.key}/vars/0", spec, layer=r.key) for r in layers]
    return Table.of(records, layers={r.key: r for r in layers})


def dense(rank: int, attribute: str = "", name: str = "") -> LayerRecord:
    key = "layers/dense" if not rank else f"layers/dense_{rank}"
    return LayerRecord(key, name, "Dense", attribute=attribute)


MODEL = table(dense(0, "parts[b]", "q"), dense(1, "parts[a]", "k"))
FILE = table(dense(0), dense(1))


@pytest.mark.parametrize(
    ("writer", "stored", "severity"),
    [
        ({"keras": "2.12.0"}, FILE, Severity.ERROR),
        ({}, FILE, Severity.WARNING),
        ({"keras": "3.5.0"}, FILE, None),
        ({}, table(dense(0, name="q"), dense(1, name="k")), None),
        ({"keras": "2.12.0"}, table(dense(0, "parts[a]"), dense(1, "parts[b]")), None),
    ],
)
def test_a_dict_out_of_order_is_told_where_the_writer_may_have_sorted_it(
    writer: dict[str, str], stored: Table, severity: Severity | None
) -> None:
    found = list(unsorted_dicts(MODEL, stored, writer))
    assert [f.severity for f in found] == ([] if severity is None else [severity])
    assert all(f.code == "KG113" and "put them in as a, b" in f.message for f in found)


def test_sorted_dicts_and_lists_and_layers_of_their_own_class_are_no_matter() -> None:
    in_order = table(dense(0, "parts[a]"), dense(1, "parts[b]"))
    assert not list(unsorted_dicts(in_order, FILE, {"keras": "2.12.0"}))
    attributes = table(dense(0, "second"), dense(1, "first"))
    assert not list(unsorted_dicts(attributes, FILE, {"keras": "2.12.0"}))
    elsewhere = table(LayerRecord("parts/dense", "", "Dense", attribute="parts[b]"))
    assert not list(unsorted_dicts(elsewhere, FILE, {"keras": "2.12.0"}))
