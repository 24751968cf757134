"""What a manifest is written with: its schema, features, canonical form and digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import xxhash

from kerasguard.errors import ManifestError, UnsupportedManifestError
from kerasguard.manifest.nodes import Node

__all__ = [
    "FEATURES",
    "SCHEMA",
    "canonical",
    "crowd",
    "digest",
    "is_as_digested",
    "understood",
    "unique_keys",
]

SCHEMA = "kerasguard/manifest/1"

FEATURES: Mapping[str, str] = {
    "companion": "state that Keras did not write is in a separate file",
    "inline": "small state that Keras did not write is in the manifest",
    "without-sha256": "files are told by their xxh3 digests alone",
}
"""What a manifest may require of its reader, by name."""


# JSON of a model has a list or an object every 40 to 80 bytes, at its densest one every 5; each
# takes 64 bytes of memory and more. So many may lie in any file, and one in so many bytes of it.
_CONTAINERS, _BYTES_EACH = 100_000, 16


def crowd(text: str | bytes) -> tuple[int, int]:
    """Lists and objects in JSON, and how many the model has that is densest for its size.

    JSON of little but brackets takes 27 times its size once it is parsed.
    """
    if isinstance(text, str):
        count = text.count("[") + text.count("{")
    else:
        count = text.count(b"[") + text.count(b"{")
    return count, _CONTAINERS + len(text) // _BYTES_EACH


def canonical(data: object) -> str:
    """Sorted keys, no spaces."""
    return json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(data: object) -> str:
    """Over the canonical JSON: spaces and line ends of a copy do not count."""
    try:
        return f"xxh3:{xxhash.xxh3_128_hexdigest(canonical(data).encode())}"
    except ValueError as error:  # NaN or half a surrogate pair, which no manifest is written with
        raise ManifestError(f"manifest is not JSON: {error}") from None


def is_as_digested(text: str, entry: str, told: object) -> bool:
    """Whether canonical JSON, without the entry that holds its digest, is what that tells.

    Then it need not be written again to be compared; a copy with other spaces has to be.
    """
    first, found, rest = text.strip().partition(f'"{entry}":"{told}",')
    whole = f"{first}{rest}".encode("utf-8", "surrogatepass")
    return bool(found) and f"xxh3:{xxhash.xxh3_128_hexdigest(whole)}" == told


def understood(top: Node) -> tuple[str, ...]:
    """The features that the manifest requires; raises UnsupportedManifestError."""
    schema = top.get("schema", str)
    if schema != SCHEMA:
        raise UnsupportedManifestError(
            f"manifest has schema {schema!r}, this kerasguard reads {SCHEMA!r}; upgrade "
            'kerasguard, or load without it with manifest="ignore"',
            where="schema",
        )
    features = top.get("requires", list, default=[])
    if not all(isinstance(feature, str) for feature in features):
        raise ManifestError(f"must be a list of names, got {features!r:.80}", where="requires")
    unknown = sorted(set(features) - set(FEATURES))
    if unknown:
        writer = top.get("versions", dict).get("kerasguard", "of a later version")
        raise UnsupportedManifestError(
            f"manifest requires {', '.join(map(repr, unknown))}, which this kerasguard does not "
            f"know; it was written by kerasguard {writer}: upgrade to that, or load without the "
            'manifest with manifest="ignore"',
            where="requires",
        )
    return tuple(sorted(features))


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ; raises ValueError."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object gives the same key twice")
    return result
