"""Places in the JSON of a manifest."""

from __future__ import annotations

import pytest

from kerasguard.errors import ManifestError
from kerasguard.manifest.nodes import Node, others


def test_a_number_is_no_truth_value() -> None:
    node = Node({"count": True}, "here")
    with pytest.raises(ManifestError, match="must be int"):
        node.get("count", int)
    with pytest.raises(ManifestError, match="is missing"):
        node.get("size", int)
    assert node.get("size", int, default=None) is None


def test_what_a_reader_does_not_know_is_kept_apart() -> None:
    assert others(Node({"a": 1, "b": 2}, ""), {"a"}) == {"b": 2}
    assert others(Node({"a": 1}, ""), {"a"}) is None


def test_a_place_is_named_from_the_top() -> None:
    top = Node({"tensors": [{"key": "a"}, {}]}, "")
    first, second = top.items("tensors")
    assert first.get("key", str) == "a"
    with pytest.raises(ManifestError) as caught:
        second.get("key", str)
    assert caught.value.where == "tensors[1].key"
    with pytest.raises(ManifestError, match="must be an object"):
        Node([], "files[3]")


def test_a_size_is_not_negative() -> None:
    node = Node({"size": -1, "offset": 3}, "t")
    assert node.natural("offset") == 3
    with pytest.raises(ManifestError, match="must not be negative"):
        node.natural("size")


def test_what_a_maker_complains_about_is_an_error_of_the_manifest() -> None:
    with pytest.raises(ManifestError, match="is not valid") as caught:
        Node({}, "here").build(lambda: int("x"))
    assert caught.value.where == "here"
