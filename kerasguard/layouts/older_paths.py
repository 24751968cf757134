"""A Keras 3 file whose writer did not look into lists of lists, into today's paths.

Keras before 3.14 follows a list, tuple or dict of layers and no container inside it. In a model,
such layers are written all the same, under the list of all its layers; today they are reached
first through the container, so that the same layer has another path.
"""

from __future__ import annotations

from collections.abc import Mapping

from kerasguard.identity.units import units
from kerasguard.planning.operations import Step
from kerasguard.tensors import Table

__all__ = ["restore_older_paths"]


def restore_older_paths(
    stored: Table, expected: Table, older: Mapping[str, str]
) -> list[Step] | None:
    """A step per weight, if the file's paths are those of the older walk, in full.

    Args:
        stored: the file's table.
        expected: the model's table.
        older: the model's weights: by the key that the older walk gives, the key in `expected`.

    Returns:
        None where some weight has no counterpart, a shape differs, or a user-given name
        says otherwise.
    """
    wanted = {k for k, r in expected.tensors.items() if r.role == "weight"}
    held = {k for k, r in stored.tensors.items() if r.role == "weight"}
    if set(older) != held or set(older.values()) != wanted:
        return None
    ours, theirs = units(expected), units(stored)
    for old, new in older.items():
        have, want = stored.tensors[old], expected.tensors[new]
        a, b = ours.get(want.layer), theirs.get(have.layer)
        told = a is not None and b is not None and bool(a.name and b.name)
        if have.spec.shape != want.spec.shape:
            return None
        if a is not None and b is not None and told and a.name != b.name and not a.weak:
            return None
    return [Step(new, (old,)) for old, new in older.items()]
