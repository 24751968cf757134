"""Tables whose tensors lie in parts, as tf_keras writes variables of parameter servers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import DictSource
from hypothesis import given
from hypothesis import strategies as st

from kerasguard.loader.shards import Joined, in_parts, joined
from kerasguard.manifest import Manifest
from kerasguard.tensors import Shard, Table, TensorRecord, TensorSpec
from kerasguard.tensors.elements import digest

LENGTHS = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=4)


def cut(layer: str, lengths: list[list[int]]) -> tuple[Table, dict[str, np.ndarray], list[str]]:
    """A layer's tensors, each in parts of such lengths: the table, the parts, the whole digests."""
    generator = np.random.default_rng(len(lengths))
    records: list[TensorRecord] = []
    arrays: dict[str, np.ndarray] = {}
    wholes: list[str] = []
    for number, parts in enumerate(lengths):
        values = [generator.normal(size=(n, 2)).astype("float32") for n in parts]
        whole = digest(np.concatenate(values))
        wholes.append(whole)
        for index, value in enumerate(values):
            key = f"{layer}/vars/{len(records)}"
            shard = Shard(index, len(parts), whole) if len(parts) > 1 else None
            records.append(
                TensorRecord(
                    key, TensorSpec(value.shape, "float32"), name=f"v{number}", layer=layer,
                    digest=digest(value), nonfinite=0, shard=shard,
                )
            )  # fmt: skip
            arrays[key] = value
    return Table.of(records), arrays, wholes


@given(LENGTHS)
def test_whole_tensors_are_numbered_as_if_nobody_had_cut_them(lengths: list[list[int]]) -> None:
    table, arrays, wholes = cut("layers/dense", lengths)
    found = joined(table)
    assert list(found.tensors) == [f"layers/dense/vars/{n}" for n in range(len(lengths))]
    assert [r.digest for r in found.tensors.values()] == wholes
    assert [r.name for r in found.tensors.values()] == [f"v{n}" for n in range(len(lengths))]
    assert joined(found) == found
    checkpoint = Joined(DictSource(arrays), table)
    for record in found.tensors.values():
        assert digest(checkpoint.read(record.own_key)) == record.digest


def test_slots_name_the_weight_as_a_whole() -> None:
    table, _, _ = cut("layers/dense", [[2, 2], [3, 1], [1]])
    slots = [
        TensorRecord(f"optimizer/vars/{n}", TensorSpec((4, 2), "float32"), slot_of=f"{key}")
        for n, key in enumerate(("layers/dense/vars/2", "layers/dense/vars/4"))
    ]
    both = replace(table, tensors={**table.tensors, **{s.key: s for s in slots}})
    found = joined(both).tensors
    assert found["optimizer/vars/0"].slot_of == "layers/dense/vars/1"
    assert found["optimizer/vars/1"].slot_of == "layers/dense/vars/2"


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_parts_of_which_one_is_missing_are_left_alone(gone: int) -> None:
    table, _, _ = cut("layers/dense", [[2, 2, 2]])
    left = {k: r for n, (k, r) in enumerate(table.tensors.items()) if n != gone}
    found = joined(replace(table, tensors=left)).tensors
    assert [r.spec.shape for r in found.values()] == [(2, 2), (2, 2)]


def test_a_manifest_holds_the_parts() -> None:
    table, _, _ = cut("layers/dense", [[2, 2], [1]])
    manifest = Manifest("keras_zip", (), table)
    again = Manifest.from_json(manifest.to_json())
    assert again.table == table
    assert in_parts(again)
    assert not in_parts(replace(manifest, table=joined(table)))
    assert not in_parts(None)


def test_a_manifest_with_an_impossible_part_is_refused() -> None:
    table, _, _ = cut("layers/dense", [[2, 2]])
    text = Manifest("keras_zip", (), table).to_json().replace('"index":1', '"index":2')
    with pytest.raises(Exception, match="number 2 of 2"):
        Manifest.from_json(text)
