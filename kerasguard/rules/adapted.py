"""A vocabulary, or boundaries, are stored under the key of another layer.

What it looks like: two lookup layers are swapped, and each has the other's words.

Why it happens: Keras numbers layers of a class in the order in which the model has them, and keeps
what `adapt` found under that number; the code creates the layers in a different order than when
they were saved. They have no weights, so no shape mismatch shows it.

Source: keras/src/saving/saving_lib.py, `_save_container_state`.

When the repair is exact: never; files are given to layers as they are stored. Create the layers in
the order in which they were saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import LayerRecord

CODES = {"KG114": "a vocabulary is stored under the key of another layer"}

_ADAPTED = frozenset({"Discretization", "IntegerLookup", "StringLookup", "TextVectorization"})


def adapted(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per layer whose namesake lies under another key."""
    if draft.stored.addressing != "key":
        return  # keys of the format's own, and no vocabulary lies under them
    ours, theirs = _given(draft.expected.layers), _given(draft.stored.layers)
    for name, layer in ours.items():
        there = theirs.get(name)
        if there is None or there.key == layer.key or there.class_name != layer.class_name:
            continue
        now = draft.stored.layers.get(layer.key)
        yield Finding(
            "KG114",
            layer.key,
            f"{name}: its vocabulary is stored under {there.key}, but the model expects it at "
            f"{layer.key}" + (f", where {now.name} was" if now else "") + "; create the layers in "
            "the order in which they were saved",
            Severity.ERROR,
        )


def _given(layers: Mapping[str, LayerRecord]) -> dict[str, LayerRecord]:
    """Layers that can be adapted, by the user-given name."""
    return {r.name: r for r in layers.values() if r.class_name in _ADAPTED and not r.auto_named}
