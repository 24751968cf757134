"""What a file with weights alone tells of its writer."""

from __future__ import annotations

import pytest

from kerasguard.layouts import changed_defaults, likely_writer, other_function, other_masks
from kerasguard.tensors import LayerRecord, Role, Table, TensorRecord, TensorSpec


def table(name: str = "", role: Role = "weight", class_name: str = "") -> Table:
    key = "layers/conv_lstm2d"
    record = TensorRecord(f"{key}/vars/0", TensorSpec((2,), "float32"), layer=key, role=role)
    return Table({record.key: record}, {key: LayerRecord(key, name, class_name)})


@pytest.mark.parametrize(
    ("stored", "writer", "keras"),
    [
        (table(), {}, "2 or 3"),
        (table(), {"keras": "3.1.0"}, "3.1.0"),
        (table(name="mine"), {}, None),
        (table(role="seed"), {}, None),
    ],
)
def test_a_file_without_version_names_and_seeds_may_be_of_keras_2(
    stored: Table, writer: dict[str, str], keras: str | None
) -> None:
    assert likely_writer(stored, writer).get("keras") == keras


def test_what_keras_2_may_have_computed_otherwise_is_told_then() -> None:
    writer = likely_writer(table(), {})
    model = table(name="mine", class_name="ConvLSTM2D")
    found = [*changed_defaults(model, writer), *other_function(["gate"], writer)]
    found += other_masks(["sum"], writer)
    assert [f.code for f in found] == ["KG206"] * 3
    assert not [*other_masks(["sum"], {"keras": "3.1.0"}), *other_masks([], writer)]
    assert "written by Keras 2 or 3" in str(found[1])
