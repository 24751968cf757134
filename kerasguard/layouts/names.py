"""How Keras 1, 2 and 3 spelled the names of weights and their layers."""

from __future__ import annotations

import re

__all__ = ["expected_parts", "matches_name", "numbered", "split_weight_name"]

# Keras 1 glued layer and variable with `_`; TensorFlow may have added `_1` behind it.
_KERAS1 = re.compile(
    r"^(?P<layer>.*?)_(?P<leaf>[WU](?:_(?:[ifcozrh]|carry))?|b(?:_(?:[ifcozrh]|carry))?"
    r"|(?:depthwise|pointwise)_kernel|gamma|beta|running_mean|running_std|alphas?|betas"
    r"|[ta]_(?:left|right))(?:_\d+)?$"
)


def split_weight_name(name: str, keras1: bool = False) -> tuple[tuple[str, ...], str]:
    """The scopes in front of a stored weight name, and its variable.

    `encoder/dense_1/kernel:0` -> `(("encoder", "dense_1"), "kernel")`; in Keras 1
    `forward_lstm_1_W_i` -> `(("forward_lstm_1",), "W_i")`.
    """
    *scopes, leaf = re.sub(r":\d+$", "", name).split("/")
    match = _KERAS1.match(leaf) if keras1 and not scopes else None
    if match:
        return (match["layer"],), match["leaf"]
    return tuple(scopes), leaf


def expected_parts(name: str, variable: str) -> tuple[str, ...]:
    """The scopes in front of an expected variable's path."""
    parts = name.split("/")
    return tuple(parts[:-1] if parts and parts[-1] == variable else parts)


def matches_name(scope: str, name: str) -> bool:
    """Whether `scope` is `name`, or `name` with a number that TensorFlow or Keras added."""
    return scope == name or (scope.startswith(f"{name}_") and scope[len(name) + 1 :].isdecimal())


def numbered(name: str) -> tuple[str, int]:
    """A name without the number that Keras or TensorFlow added, and that number (0 for none)."""
    match = re.fullmatch(r"(.*?)_([0-9]{1,18})", name)
    return (match[1], int(match[2])) if match else (name, 0)
