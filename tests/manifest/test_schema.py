"""What a manifest is written with; `test_manifest_schema.py` is about the JSON Schema."""

from __future__ import annotations

import pytest

from kerasguard.errors import ManifestError, UnsupportedManifestError
from kerasguard.manifest.nodes import Node
from kerasguard.manifest.schema import (
    FEATURES,
    SCHEMA,
    canonical,
    crowd,
    digest,
    understood,
    unique_keys,
)


def test_order_and_spaces_do_not_count() -> None:
    assert canonical({"b": [1, 2], "a": "ä"}) == '{"a":"ä","b":[1,2]}'
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_what_no_json_holds_has_no_digest() -> None:
    with pytest.raises(ManifestError, match="not JSON"):
        digest({"a": float("nan")})


def test_lists_and_objects_are_counted_in_text_and_bytes_alike() -> None:
    text = '[{"a": [1]}]'
    assert crowd(text) == crowd(text.encode())
    count, most = crowd(text)
    assert count == 3
    assert count < most
    dense = "[" * 10_000_000
    assert crowd(dense)[0] > crowd(dense)[1]


def test_features_are_required_by_name() -> None:
    node = Node({"schema": SCHEMA, "requires": sorted(FEATURES, reverse=True)}, "")
    assert understood(node) == tuple(sorted(FEATURES))
    assert understood(Node({"schema": SCHEMA}, "")) == ()


@pytest.mark.parametrize(
    ("top", "error"),
    [
        ({"schema": "kerasguard/manifest/9"}, UnsupportedManifestError),
        ({"schema": SCHEMA, "requires": ["x"], "versions": {"kerasguard": "9"}},
         UnsupportedManifestError),
        ({"schema": SCHEMA, "requires": [3]}, ManifestError),
        ({"schema": 1}, ManifestError),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(
    top: dict[str, object], error: type[ManifestError]
) -> None:
    with pytest.raises(error):
        understood(Node(top, ""))


def test_a_key_is_given_once() -> None:
    assert unique_keys([("a", 1), ("b", 2)]) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="same key twice"):
        unique_keys([("a", 1), ("a", 2)])
