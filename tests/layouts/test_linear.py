"""What is asked of every layer does not look at all layers again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kerasguard.layouts.pairing import model_groups
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec


class Counting(dict[str, LayerRecord]):
    """A dict that counts how often somebody goes through all of it."""

    passes = 0

    def __iter__(self) -> Iterator[str]:
        self.passes += 1
        return super().__iter__()


@pytest.mark.parametrize("flat", [False, True])
def test_the_layers_are_gone_through_as_often_however_many_there_are(flat: bool) -> None:
    passes = []
    for count in (2, 50):
        keys = [f"layers/dense_{n}" for n in range(count)]
        layers = Counting({key: LayerRecord(key, key[7:], "Dense") for key in keys})
        records = [
            TensorRecord(f"{key}/vars/0", TensorSpec((2, 2), "float32"), layer=key) for key in keys
        ]
        assert len(model_groups(Table.of(records, layers=layers), flat=flat)) == count
        passes.append(layers.passes)
    assert passes[0] == passes[1]
