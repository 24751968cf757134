"""How many layers are migrated and built: more bytes may hold more of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kerasguard.blueprint.objects import objects
from kerasguard.storage.budget import excess

__all__ = ["too_many_layers"]

# Keras 2 and 3 spell a layer of a graph in 200 bytes and more, most of them in 500 to 1,500.
_LAYERS, _BYTES_EACH = 5_000, 200


def too_many_layers(architecture: Mapping[str, Any]) -> str:
    """Why an architecture is not read; empty where it is.

    Some migrations take a tenth of a millisecond for an old layer, and a stranger's file may hold
    one in 30 bytes.

    Args:
        architecture: with more than 5,000 layers, and more than one in 200 bytes of JSON, it is
            not read before the caller raises the limit.
    """
    count = len(objects(architecture, "layer"))
    if count <= _LAYERS:
        return ""
    size = len(json.dumps(architecture))
    over = excess(count, max(_LAYERS, size // _BYTES_EACH))
    return over and f"the stored config has {count} layers in {size} bytes{over}"
