"""Layers are called on other layers than when the model was saved, or in another order.

What it looks like: every weight has its place, and two branches enter a concatenation the other
way round, two layers follow each other in the other order, or the model's inputs or outputs change
places.

Why it happens: the model's code changed after saving; names tell which weights are whose, and not
what is done with them.

Source: keras/src/saving/saving_lib.py, `load_weights_only`, which never looks at the graph.

When the repair is exact: there is none, and the change may be meant; load the whole model from the
checkpoint instead if it is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kerasguard.identity.evidence import IDLE, namesakes, same_layers, weightless
from kerasguard.identity.graph import Graph, Seen
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity, listed

CODES = {"KG115": "layers are connected differently than when the model was saved"}

# To these the order of what they are called on makes no difference.
_COMMUTATIVE = frozenset({"Add", "Average", "Maximum", "Minimum", "Multiply"})


def rewired(draft: Draft) -> Iterator[Finding]:
    """Yield one finding for all layers that see other layers than they did, one per end."""
    if draft.own:
        return
    pairs = {**_plain(draft), **draft.pairing.layers}
    in_place = all(e == s for e, s in pairs.items())
    same = in_place and same_layers(draft.expected, draft.stored)
    if same and draft.expected.ends == draft.stored.ends:
        return
    ours, theirs = (Graph.of(t.layers, t.ends) for t in (draft.expected, draft.stored))
    yield from _turned(ours, theirs, pairs)
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


def _turned(ours: Graph, theirs: Graph, pairs: Mapping[str, str]) -> Iterator[Finding]:
    """Inputs or outputs of the whole model that are others than they were, place by place."""
    for what, mine, other in zip(("inputs", "outputs"), ours.ends, theirs.ends, strict=False):
        found = [
            ours.layers[call[0]].name
            for call, before in zip(mine, other, strict=False)
            if call and before and call[0] in pairs and (pairs[call[0]], call[1]) != before
        ]
        if found and len(mine) == len(other):
            yield Finding(
                "KG115",
                "",
                f"the model's {what} are not those of the saved model, or in another order "
                f"({listed(found)}); what it predicts is in another order, too",
                Severity.WARNING,
            )


def _plain(draft: Draft) -> dict[str, str]:
    """Layers without weights that are the same: by a given name, or by key and config."""
    ours, theirs = weightless(draft.expected), weightless(draft.stored)
    same = {
        key: key
        for key, layer in ours.items()
        if key in theirs
        and layer.class_name not in IDLE - {"InputLayer"}  # one more or less, and all have others'
        and (layer.class_name, layer.config_digest)
        == (theirs[key].class_name, theirs[key].config_digest)
    }
    named = namesakes(draft.expected, draft.stored)
    named = {e: s for e, s in named.items() if e in ours and s in theirs}
    taken = set(named.values())
    return {**{e: s for e, s in same.items() if s not in taken}, **named}


def _calls(kind: str, seen: Seen) -> tuple[tuple[int, ...], ...]:
    """By call, what each argument comes from."""
    if kind in _COMMUTATIVE:
        return tuple(sorted(tuple(sorted(call)) for call in seen.above))
    return seen.above
