"""What can be compared of two models besides weights: graphs that both tell, layers in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kerasguard.identity.evidence import IDLE, around, namesakes, placed, weightless
from kerasguard.tensors import LayerRecord, Table

__all__ = ["comparable", "counterparts", "enclosing", "never_built", "same_place"]


def comparable(expected: Table, stored: Table) -> tuple[Table, Table]:
    """Both tables with the graphs that both tell, whether or not a config spells them out.

    A config spells out no graph below a user-defined class, nor below a wrapper; a model that
    was recorded tells those, too.
    """
    recorded = any(layer.use is not None for layer in stored.layers.values())
    sides = [_traced(expected), _traced(stored)] if recorded else [expected, stored]
    roots = [_roots(side) for side in sides]
    both = {"", *(set(roots[0].values()) & set(roots[1].values()))}
    ours, theirs = (_within(t, r, both) for t, r in zip(sides, roots, strict=True))
    return ours, theirs


def _traced(table: Table) -> Table:
    layers = {
        key: replace(layer, inbound=layer.use.graph)
        if layer.inbound is None and layer.use is not None and layer.use.graph is not None
        else layer
        for key, layer in table.layers.items()
    }
    return replace(table, layers=layers)


def _roots(table: Table) -> dict[str, str]:
    """By layer whose place in a graph is known, the outermost model whose graph leads to it."""
    here = placed(table)
    found = {}
    for key in here:
        root = around(key)
        while root in here:
            root = around(root)
        found[key] = root
    return found


def _within(table: Table, roots: Mapping[str, str], wanted: set[str]) -> Table:
    outside = {key for key, root in roots.items() if root not in wanted}
    if not outside:
        return table
    layers = {k: replace(r, inbound=None) if k in outside else r for k, r in table.layers.items()}
    return replace(table, layers=layers)


def same_place(expected: Table, stored: Table) -> dict[str, str]:
    """Layers without weights that are the same: by a given name, or by key and config."""
    ours, theirs = weightless(expected), weightless(stored)
    same = {
        key: key
        for key, layer in ours.items()
        if key in theirs
        and layer.class_name not in IDLE - {"InputLayer"}  # one more or less, and all have others'
        and (layer.class_name, layer.config_digest)
        == (theirs[key].class_name, theirs[key].config_digest)
    }
    named = namesakes(expected, stored)
    named = {e: s for e, s in named.items() if e in ours and s in theirs}
    taken = set(named.values())
    return {**{e: s for e, s in same.items() if s not in taken}, **named}


def counterparts(
    expected: Table, stored: Table, paired: Mapping[str, str]
) -> dict[str, tuple[LayerRecord, LayerRecord]]:
    """Records of all layers that are the same on both sides, by the expected one's key.

    Args:
        expected: of the model.
        stored: of the checkpoint.
        paired: stored layer by expected layer, of those with weights; layers inside them follow,
            others keep their keys.
    """
    found: dict[str, str] = {}
    for key in expected.layers:
        whole = key
        while whole and whole not in paired:
            whole = whole.rpartition("/")[0]
        found[key] = f"{paired[whole]}{key[len(whole) :]}" if whole else key
    taken = {found[key] for key in paired if key in found}
    pairs = {}
    for e, s in found.items():
        ours, theirs = expected.layers[e], stored.layers.get(s)
        if theirs and ours.class_name == theirs.class_name and (e in paired or s not in taken):
            pairs[e] = ours, theirs
    return pairs


def enclosing(expected: Table, stored: Table, paired: Mapping[str, str]) -> dict[str, str]:
    """Layers whose weights are their parts', as of a recurrent layer its cell's, by their parts.

    Models with a graph are left out: all of their layers are compared.
    """
    found: dict[str, set[str]] = {}
    for e, s in paired.items():
        while e.rpartition("/")[2] == s.rpartition("/")[2]:
            e, s = e.rpartition("/")[0], s.rpartition("/")[0]
            ours, theirs = expected.layers.get(e), stored.layers.get(s)
            if not e or (ours and ours.class_name in ("Functional", "Sequential")):
                break
            if ours and theirs and ours.class_name == theirs.class_name and e not in paired:
                found.setdefault(e, set()).add(s)
    return {e: min(options) for e, options in found.items() if len(options) == 1}


def never_built(expected: Table, stored: Table, paired: Mapping[str, str]) -> set[str]:
    """The model's layers that had no weights when it was saved, and those inside them."""
    waiting = {k for k, r in stored.layers.items() if r.use is not None and not r.use.built}
    if not waiting:
        return set()
    same = counterparts(expected, stored, paired)
    found = {e for e, (_, theirs) in same.items() if theirs.key in waiting}
    return found | {k for k in expected.layers if any(k.startswith(f"{e}/") for e in found)}
