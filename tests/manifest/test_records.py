"""Files and tensors in a manifest: what is written is read, and what is wrong is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kerasguard.errors import ManifestError
from kerasguard.manifest.nodes import Node
from kerasguard.manifest.records import (
    FileRecord,
    MemberRecord,
    file_from,
    file_to_dict,
    plain,
    tensor_from,
    tensor_to_dict,
)
from kerasguard.tensors import Extent, Shard, TensorRecord, TensorSpec

TENSOR = TensorRecord(
    "k", TensorSpec((2, 3), "int8"), name="head/kernel", trainable=False, digest="xxh3:1",
    nonfinite=0, extent=Extent("w.h5", 8, 6), data=b"abcdef", shard=Shard(1, 2, "xxh3:2"),
    extra={"since": "tomorrow"},
)  # fmt: skip
FILE = FileRecord("m.keras", 9, "0" * 64, "xxh3:3", (MemberRecord("a", 1, 2, {"b": 3}),), {"c": 4})


def test_a_tensor_is_read_as_it_was_written() -> None:
    assert tensor_from(Node(tensor_to_dict(TENSOR), "tensors[0]")) == TENSOR
    small = TensorRecord("k", TensorSpec((), "float32"))
    assert tensor_to_dict(small) == {"key": "k", "shape": [], "dtype": "float32"}


def test_a_file_is_read_as_it_was_written() -> None:
    assert file_from(Node(file_to_dict(FILE), "files[0]")) == FILE


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"shape": [2, -3]}, "t.shape"),
        ({"shape": [2, True]}, "t.shape"),
        ({"shape": "23"}, "t.shape"),
        ({"dtype": "int9"}, "t"),
        ({"role": "king"}, "t.role"),
        ({"offset": -1}, "t.offset"),
        ({"trainable": 1}, "t.trainable"),
        ({"name": None}, "t.name"),
        ({"data": "%%"}, "t"),
        ({"data": "YWJj"}, "t.data"),
        ({"shard": {"index": 2, "count": 2, "whole": ""}}, "t.shard"),
        ({"shard": []}, "t.shard"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(change: dict[str, Any], where: str) -> None:
    with pytest.raises(ManifestError) as caught:
        tensor_from(Node(tensor_to_dict(TENSOR) | change, "t"))
    assert caught.value.where == where


def test_values_are_in_the_types_of_json() -> None:
    given = {"nan": float("nan"), 3: (np.float32(0.5), np.int64(2)), "path": None}
    assert plain(given) == {"nan": "nan", "3": [0.5, 2], "path": None}
