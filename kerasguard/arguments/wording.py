"""What checks of arguments share."""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["PLAIN", "shown"]

PLAIN = (str, bytes, os.PathLike, Mapping, list, tuple, set, bool, int, float)
"""What is no class, function or object of Keras."""


def shown(name: str, value: object) -> str:
    """An argument in a message."""
    return f"{name}={value!r:.80}"
