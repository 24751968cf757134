"""Layers in a manifest."""

from __future__ import annotations

import pytest

from kerasguard.errors import ManifestError
from kerasguard.manifest.layers import (
    ends_from,
    ends_to_dict,
    layer_from,
    layer_to_dict,
    use_from,
    use_to_dict,
)
from kerasguard.manifest.nodes import Node
from kerasguard.tensors import LayerRecord, Use

CALL = (("layers/input", 0, 0),)
USE = Use(("~, training=True",), (CALL,), "mixed_float16", ("parts[0]",), {"rate": "0.1"}, False)
LAYER = LayerRecord(
    "layers/dense", "head", "Dense", "xxh3:1", (CALL,), 3, "parts[0]", USE, False, {"new": [1]}
)


def test_a_layer_is_read_as_it_was_written() -> None:
    assert layer_from(Node(layer_to_dict(LAYER), "layers[0]")) == LAYER
    unknown = LayerRecord("layers/dense", "head")
    assert layer_to_dict(unknown) == {"key": "layers/dense", "name": "head"}
    assert layer_from(Node(layer_to_dict(unknown), "")) == unknown


def test_what_the_code_does_is_left_out_where_it_does_nothing_unusual() -> None:
    assert use_to_dict(Use()) == {}
    assert use_from(Node({"use": {}}, "")) == Use()
    assert use_from(Node({}, "")) is None


def test_inputs_and_outputs_are_read_as_they_were_written() -> None:
    ends = {"": ((CALL[0],), (("layers/dense", 0, 0),))}
    assert ends_from(Node(ends_to_dict(ends), "ends")) == ends


@pytest.mark.parametrize(
    ("use", "where"),
    [
        ({"arguments": [1]}, "l.use.arguments"),
        ({"held": [None]}, "l.use.held"),
        ({"settings": {"rate": 0.1}}, "l.use.settings"),
        ({"built": "no"}, "l.use.built"),
        ({"graph": [[["a", 0]]]}, "l.use"),
        ({"graph": [[["a", "x", 0]]]}, "l.use"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(use: dict[str, object], where: str) -> None:
    with pytest.raises(ManifestError) as caught:
        layer_from(Node({"key": "k", "name": "n", "use": use}, "l"))
    assert caught.value.where == where


def test_calls_that_are_none_are_refused() -> None:
    with pytest.raises(ManifestError):
        layer_from(Node({"key": "k", "name": "n", "inbound": [3]}, "l"))
    with pytest.raises(ManifestError):
        ends_from(Node({"": [[]]}, "ends"))
