"""Layers are called on other layers than when the model was saved, or in another order.

What it looks like: every weight has its place, and two branches enter a concatenation the other
way round, or two layers follow each other in the other order.

Why it happens: the model's code changed after saving; names tell which weights are whose, and not
what is done with them.

Source: keras/src/saving/saving_lib.py, `load_weights_only`, which never looks at the graph.

When the repair is exact: there is none, and the change may be meant; load the whole model from the
checkpoint instead if it is not.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.draft import Draft
from kerasguard.evidence import namesakes, same_layers
from kerasguard.findings import Finding, Severity, listed
from kerasguard.graph import Graph, Seen

CODES = {"KG115": "layers are connected otherwise than when the model was saved"}

# To these the order of what they are called on makes no difference.
_COMMUTATIVE = frozenset({"Add", "Average", "Maximum", "Minimum", "Multiply"})


def rewired(draft: Draft) -> Iterator[Finding]:
    """Yield one finding for all layers that see other layers than they did."""
    pairs = {**_plain(draft), **draft.pairing.layers}
    in_place = all(e == s for e, s in pairs.items())
    if draft.own or (in_place and same_layers(draft.expected, draft.stored)):
        return
    ours, theirs = Graph.of(draft.expected.layers), Graph.of(draft.stored.layers)
    pairs = {e: s for e, s in pairs.items() if e in ours.layers and s in theirs.layers}
    bits: dict[tuple[int, int], int] = {}
    left = ours.seen({e: i for i, e in enumerate(pairs)}, bits)
    right = theirs.seen({s: i for i, s in enumerate(pairs.values())}, bits)
    found = [
        ours.layers[e].name
        for e, s in pairs.items()
        if _calls(ours.layers[e].class_name, left[e]) != _calls(ours.layers[e].class_name, right[s])
    ]
    if found:
        yield Finding(
            "KG115",
            "",
            f"{listed(found)}: called on other layers than when the model was saved, "
            "or in another order; the weights are the recorded ones, predictions may not be",
            Severity.WARNING,
        )


def _plain(draft: Draft) -> dict[str, str]:
    """Layers without weights that are the same: by a given name, or by key and config."""
    ours, theirs = draft.expected.layers, draft.stored.layers
    weighty = {r.layer for t in (draft.expected, draft.stored) for r in t.tensors.values()}
    same = {
        key: key
        for key, layer in ours.items()
        if key in theirs
        and key not in weighty
        and (layer.class_name, layer.config_digest)
        == (theirs[key].class_name, theirs[key].config_digest)
    }
    named = namesakes(draft.expected, draft.stored)
    named = {e: s for e, s in named.items() if e not in weighty and s not in weighty}
    taken = set(named.values())
    return {**{e: s for e, s in same.items() if s not in taken}, **named}


def _calls(kind: str, seen: Seen) -> tuple[tuple[int, ...], ...]:
    """By call, what each argument comes from."""
    if kind in _COMMUTATIVE:
        return tuple(sorted(tuple(sorted(call)) for call in seen.above))
    return seen.above
