"""What the verbs that plan a load have in common: the model, its classes, and how to load."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from kerasguard import errors

__all__ = ["UsageError", "choices", "model", "source"]


class UsageError(Exception):
    """The arguments are well-formed but name something that is not there."""


def choices(options: argparse.Namespace) -> dict[str, Any]:
    """What `plan`, `repair` and `report` have in common."""
    return {
        "repair": options.repair,
        "renames": _once("--rename", options.rename) or None,
        "custom_objects": _custom_objects(options.custom_objects),
        "allow": options.allow,
        "config": options.config,
        "skip": options.skip,
        "only": options.only or None,
    }


@contextlib.contextmanager
def source(path: str, layout: Any) -> Iterator[Any]:
    """What is loaded: the path, or with `--layout` the arrays in it."""
    if layout is None:
        yield path
        return
    from kerasguard.checkpoints.read import read

    with read(path, layout=layout) as arrays:
        yield arrays


def model(options: argparse.Namespace) -> Any:
    """The model that `package.module:function` returns."""
    if options.model is None:
        return None
    make = _fetched("--model", options.model)
    with _their_code(f"--model {options.model}"):
        return make()


def _once(option: str, pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The pairs, of which none takes back what another says."""
    found = dict(pairs)
    for old, new in pairs:
        if found[old] != new:
            raise UsageError(f"{option} {old}={new} and {option} {old}={found[old]}: leave out one")
    return found


def _custom_objects(references: list[tuple[str, str]]) -> dict[str, Any]:
    """What `[NAME=]package.module:attribute` names; an attribute that is a dict gives them all."""
    found: dict[str, Any] = {}
    _once("--custom-objects", [(name, reference) for name, reference in references if name])
    for name, reference in references:
        item = _fetched("--custom-objects", reference)
        if isinstance(item, Mapping) and not name:
            found.update(item)
        else:
            found[name or reference.partition(":")[2]] = item
    return found


def _fetched(option: str, reference: str) -> Any:
    module_name, _, name = reference.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: the folder that one stands in
    with _their_code(f"{option} {reference}"):
        return getattr(importlib.import_module(module_name), name)


@contextlib.contextmanager
def _their_code(what: str) -> Iterator[None]:
    """Run the user's own program: whatever it raises is no bug of kerasguard."""
    try:
        yield
    except errors.KerasguardError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"{what}: {why} (--debug shows where)") from error
