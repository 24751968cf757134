"""Vocabularies of lookup layers that lie among the variables, as TensorFlow 2.3 to 2.5 wrote them.

These versions saved the layer's whole table, its tokens in one tensor and their indices in another,
special tokens included, in the order of the table's own hashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasguard.formats.tensorflow.lookup_tables import Token, Vocabulary
from kerasguard.formats.tensorflow.tensor_bundle import Bundle

__all__ = ["stored_vocabulary"]

_INSIDE = ("", "_index_lookup_layer/")
_KEYS, _VALUES = "_table/.ATTRIBUTES/table-keys", "_table/.ATTRIBUTES/table-values"


def stored_vocabulary(
    bundle: Bundle, place: str, class_name: str, config: Mapping[str, Any]
) -> Vocabulary | None:
    """The tokens of a layer behind its special ones; None where no whole table lies there.

    Args:
        bundle: the checkpoint.
        place: of the layer in it, with a slash behind.
        class_name: of the layer.
        config: the layer's, as stored.

    Raises:
        CorruptCheckpointError: the tokens' checksum is wrong.
    """
    inside = next((f"{place}{i}" for i in _INSIDE if f"{place}{i}{_KEYS}" in bundle.entries), None)
    if inside is None or f"{inside}{_VALUES}" not in bundle.entries:
        return None
    try:
        keys, values = (_elements(bundle, inside + name) for name in (_KEYS, _VALUES))
    except UnicodeDecodeError:
        return None  # tokens in an encoding of their own
    if config.get("invert"):
        keys, values = values, keys
    by_index = dict(zip(values, keys, strict=False))
    start = _special(class_name, config)
    indices = sorted(index for index in by_index if isinstance(index, int) and index >= start)
    if not indices or indices != list(range(start, start + len(indices))):
        return None
    return Vocabulary(tuple(by_index[index] for index in indices), start)


def _elements(bundle: Bundle, name: str) -> list[Token]:
    if bundle.spec(name) is None:
        return [token.decode() for token in bundle.strings(name)]
    return [int(number) for number in bundle.read(name)]


def _special(class_name: str, config: Mapping[str, Any]) -> int:
    """How many indices are for padding and for what is not in the vocabulary."""
    if class_name == "TextVectorization":
        return 2 if config.get("output_mode", "int") == "int" else 1
    mask = config.get("mask_value", config.get("mask_token"))
    return (mask is not None) + int(config.get("num_oov_indices", 1))
