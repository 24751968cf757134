"""Orbax' own reader: how it is asked, and that one process may ask it alone."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kerasguard.errors import MissingPackageError
from kerasguard.tensors.elements import Array

__all__ = ["Place", "alone", "flat", "like", "orbax", "short"]

Place = tuple[str, ...]
"""Of a leaf in a tree: the names that lead to it."""


def flat(tree: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    """The leaves of a tree with their places; `place` is that of the tree itself."""
    if isinstance(tree, Mapping):
        for name, item in tree.items():
            yield from flat(item, (*place, str(name)))
    else:
        yield place, tree


def short(number: Any) -> Array:
    """A number of Python as the scalar that Keras made it of.

    Where Keras does not compute with JAX it hands Orbax `.item()` of a scalar, which has lost its
    dtype: one that float32 can hold is taken for what Keras' own scalars are.
    """
    array = np.asarray(number)
    short = array.astype(np.float32) if type(number) is float else array
    return short if np.array_equal(short, array, equal_nan=True) else array


def like(leaf: Any) -> Any:
    """What Orbax' reader is given to tell it what to return."""
    return leaf.item() if isinstance(leaf, np.ndarray) else np.empty(leaf.shape, leaf.dtype)


@contextlib.contextmanager
def alone(ocp: Any) -> Iterator[None]:
    """Orbax reads here without waiting for other processes of JAX, which may not read at all.

    It numbers what all processes do together, and would wait for ever for one that has counted
    otherwise: what one does by itself must not count.
    """
    jax: Any = sys.modules.get("jax")
    if jax is None or jax.process_count() < 2:
        yield
        return
    rank = int(jax.process_index())
    options = ocp.options.MultiprocessingOptions(primary_host=rank, active_processes={rank})
    module: Any = sys.modules.get("orbax.checkpoint._src.futures.synchronization")
    numbers = getattr(module, "OperationIdGenerator", None)
    before = getattr(numbers, "_operation_id", None)
    try:
        with ocp.Context(multiprocessing_options=options):
            yield
    finally:
        if numbers is not None and before is not None:
            numbers._operation_id = before  # noqa: SLF001  # nothing public sets it
            numbers._operation_id_counter = itertools.count(before + 1)  # noqa: SLF001


def orbax() -> Any:
    """The interface of Orbax that Keras' callback writes with.

    Raises:
        MissingPackageError: it is not installed, or too old.
    """
    try:
        found = importlib.import_module("orbax.checkpoint").v1
    except (ImportError, AttributeError) as error:
        raise MissingPackageError(
            "reading the tensors of an Orbax checkpoint needs Orbax, which is not installed or too "
            "old: pip install 'kerasguard[orbax]'"
        ) from error
    return found
