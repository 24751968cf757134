"""The shards that a `.weights.json` lists: new ones never touch those that the old list names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from kerasguard.errors import BadWriteError
from kerasguard.storage import owners, placing
from kerasguard.storage.strict_json import strict_json

__all__ = ["listing_name", "name_apart", "retire", "shards_of"]

_SHARD = re.compile(r"(?P<base>.+)_\d{5}(-(?P<token>[0-9a-f]{8}))?\.weights\.h5", re.DOTALL)


def shards_of(listing: Path) -> set[str]:
    """The files that a `.weights.json` lists, as far as they are named like shards."""
    try:
        return _named(strict_json(listing.read_bytes()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set()


def _named(told: Any) -> set[str]:
    weight_map = told["weight_map"]
    named = [n for v in weight_map.values() for n in (v if isinstance(v, list) else [v])]
    return {n for n in named if isinstance(n, str) and "/" not in n and _SHARD.fullmatch(n)}


def listing_name(name: str) -> str:
    """What Keras writes instead of `m.weights.h5` where it is asked for shards."""
    return re.sub(r"\.weights\.h5$", ".weights.json", name)


def name_apart(listing: Path, target: Path, token: str) -> None:
    """Rename staged shards, and rewrite the list, where they would overwrite others.

    Until the list is renamed into place the old one must find its own shards.

    Raises:
        OSError: the list, which was written just now, cannot be read back or written.
    """
    try:
        content = json.loads(listing.read_bytes())
        names = _named(content)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadWriteError(listing, f"cannot be read back: {error}") from error
    if not any(target.with_name(name).exists() for name in (target.name, *names)):
        return
    apart = {n: f"{n.removesuffix('.weights.h5')}-{token}.weights.h5" for n in names}
    content["weight_map"] = {
        key: [apart[n] for n in value] if isinstance(value, list) else apart[value]
        for key, value in content["weight_map"].items()
    }
    for old, new in apart.items():
        listing.with_name(old).rename(listing.with_name(new))
    listing.write_text(json.dumps(content, indent=4), encoding="utf-8")


def retire(listing: Path, superseded: set[str], staging: Path) -> None:
    """Delete shards that the list in place no longer names.

    Keras opens the first shard by its plain name before it looks into the list, so that name
    becomes a second one of the new first shard.
    """
    current = shards_of(listing)
    match = _SHARD.fullmatch(min(current, default=""))
    if match is None:
        return
    plain = f"{match['base']}_00000.weights.h5"
    if plain not in current:
        placing.link(listing.with_name(match[0]), staging / "first")
        (staging / "first").replace(listing.with_name(plain))
    saving = {owners.token_of(path) for path in listing.parent.glob(".*.kg-*")}
    for path in listing.parent.glob("*.weights.h5"):
        shard = _SHARD.fullmatch(path.name)
        if shard is None or path.name in current or path.name == plain:
            continue
        forgotten = shard["base"] == match["base"] and shard["token"] not in (None, *saving)
        if forgotten or path.name in superseded:
            path.unlink(missing_ok=True)
