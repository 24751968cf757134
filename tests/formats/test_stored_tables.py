"""Vocabularies that TensorFlow 2.3 to 2.5 saved among the variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest

from kerasguard.formats.tensorflow.stored_tables import stored_vocabulary
from kerasguard.formats.tensorflow.tensor_bundle import Bundle
from kerasguard.tensors import TensorSpec


class Stored:
    """A bundle of tables."""

    def __init__(self, tables: Mapping[str, Mapping[Any, Any]]) -> None:
        self.entries: dict[str, Sequence[Any]] = {}
        for place, table in tables.items():
            self.entries[f"{place}_table/.ATTRIBUTES/table-keys"] = list(table)
            self.entries[f"{place}_table/.ATTRIBUTES/table-values"] = list(table.values())

    def spec(self, name: str) -> TensorSpec | None:
        """None for strings."""
        items = self.entries[name]
        return None if isinstance(items[0], bytes) else TensorSpec((len(items),), "int64")

    def strings(self, name: str) -> Sequence[bytes]:
        """The elements of a tensor of strings."""
        return self.entries[name]

    def read(self, name: str) -> Any:
        """A tensor of numbers."""
        return np.array(self.entries[name])


WORDS = {b"cat": 2, b"": 0, b"dog": 3, b"[UNK]": 1}


@pytest.mark.parametrize(
    ("class_name", "config", "place", "table", "tokens"),
    [
        ("TextVectorization", {}, "l/_index_lookup_layer/", WORDS, ("cat", "dog")),
        ("TextVectorization", {"output_mode": "count"}, "l/_index_lookup_layer/",
         {b"cat": 2, b"[UNK]": 0, b"dog": 1}, ("dog", "cat")),
        ("StringLookup", {"mask_token": "", "num_oov_indices": 1}, "l/", WORDS, ("cat", "dog")),
        ("IntegerLookup", {"mask_value": 0, "num_oov_indices": 2}, "l/",
         {8: 3, 0: 0, -1: 1, 9: 4}, (8, 9)),
        ("IntegerLookup", {"mask_value": None, "invert": True}, "l/", {1: 8, 0: -1}, (8,)),
    ],
)  # fmt: skip
def test_tokens_come_in_the_order_of_their_indices_without_the_special_ones(
    class_name: str, config: dict[str, Any], place: str, table: Any, tokens: tuple[Any, ...]
) -> None:
    bundle = cast("Bundle", Stored({place: table}))
    found = stored_vocabulary(bundle, "l/", class_name, config)
    assert found is not None
    assert found.tokens == tokens


@pytest.mark.parametrize("table", [{b"a": 2, b"b": 4}, {b"": 0, b"[UNK]": 1}, {b"\xff": 2}])
def test_a_table_with_gaps_without_tokens_or_in_an_unknown_encoding_is_none(table: Any) -> None:
    bundle = cast("Bundle", Stored({"l/_index_lookup_layer/": table}))
    assert stored_vocabulary(bundle, "l/", "TextVectorization", {}) is None
    assert stored_vocabulary(bundle, "other/", "TextVectorization", {}) is None
