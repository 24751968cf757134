"""One file per kind of damage: KG1xx which tensor, KG2xx which form, KG3xx which values.

A file and the rule in it have the same name. `ORDER` is the registry, in order of repair: later
rules see tensors as repaired by earlier ones. Nothing is imported before it is asked for, so that
whoever only verifies a file does not wait for the rules that need a model. Start with `missing`.
A rule compares tables: it never sees an array, a file or another rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasguard.planning.draft import Draft
    from kerasguard.planning.findings import Finding

    Rules = tuple[Callable[[Draft], Iterator[Finding]], ...]

__all__ = ["ORDER", "VALUES", "all_rules", "value_rules"]

ORDER = (
    "moved",
    "attributes",
    "adapted",
    "renamed",
    "quantised",
    "ambiguous",
    "missing",
    "unbuilt",
    "unexpected",
    "unwritten",
    "reconfigured",
    "rewired",
    "optimizer",
    "averaged",
    "transposed",
    "shape",
    "dtype",
    "stale",
    "corrupt",
    "container",
    "companion",
    "replicas",
    "nonfinite",
)

# What can be said of a checkpoint and its manifest without a model.
VALUES = ("stale", "corrupt", "container", "companion", "replicas", "nonfinite")


def all_rules() -> Rules:
    """Every rule, in order of repair."""
    return _named(ORDER)


def value_rules() -> Rules:
    """The rules of `VALUES`."""
    return _named(VALUES)


def _named(names: Iterable[str]) -> Rules:
    return tuple(getattr(import_module(f"{__name__}.{name}"), name) for name in names)
