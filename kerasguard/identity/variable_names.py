"""When two spellings of a variable's name mean one variable, across Keras 1, 2 and 3."""

from __future__ import annotations

import re

__all__ = ["same_variable"]

_ALIASES = {
    "W": {"kernel", "embeddings"},
    "U": {"recurrent_kernel"},
    "b": {"bias"},
    "running_mean": {"moving_mean"},
    "running_std": {"moving_variance"},
    "alphas": {"alpha"},
    "depthwise_kernel": {"kernel"},
    "sn_u": {"vector_u"},
}


def same_variable(stored: str, expected: str) -> bool:
    """Whether a stored variable's name is an older spelling of an expected one's."""
    plain = re.sub(r"_\d+$", "", stored)
    return expected in (stored, plain) or expected in _ALIASES.get(plain, ())
