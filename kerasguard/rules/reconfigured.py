"""A layer has another configuration than the one that was saved.

What it looks like: the weights fit, but the layer computes something else (another activation,
axis or stride). Also a layer without weights that came, went or changed.

Why it happens: the model's code changed after saving, or a default differs between versions
(ConvLSTM's recurrent activation, GRU's `reset_after`).

Source: keras issue 19477 (hard_sigmoid); keras/src/layers/rnn/conv_lstm.py.

When the repair is exact: there is none; load the whole model from the checkpoint instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kerasguard.identity.evidence import IDLE, placed, weightless
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity, listed
from kerasguard.tensors import LayerRecord, Table

CODES = {"KG107": "a layer is configured differently than when it was saved"}


def reconfigured(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per layer whose config digest differs from the stored one."""
    for e, s in draft.pairing.layers.items():
        ours, theirs = draft.expected.layers.get(e), draft.stored.layers.get(s)
        if not ours or not theirs or not ours.config_digest or not theirs.config_digest:
            continue
        if ours.config_digest != theirs.config_digest:
            yield Finding(
                "KG107",
                e,
                f"{ours.name}: its configuration differs from the one that was saved "
                f"({theirs.name}); the weights fit but may not mean the same",
                Severity.WARNING,
            )
    yield from _without_weights(draft)


def _without_weights(draft: Draft) -> Iterator[Finding]:
    """Layers without weights have no pair; those that are not the same on both sides are told."""
    if not placed(draft.expected) or not placed(draft.stored):
        return  # nothing is known of one of the graphs
    if _shown(draft.expected) == _shown(draft.stored):
        return  # the usual case, told without taking the models apart
    ours, theirs = weightless(draft.expected), weightless(draft.stored)
    mine_vague, other_vague = _vague(ours), _vague(theirs)
    skip = mine_vague | other_vague | IDLE
    mine = {k: r for k, r in ours.items() if r.class_name not in skip}
    other = {k: r for k, r in theirs.items() if r.class_name not in skip}
    came, gone = _beyond(mine, other), _beyond(other, mine)
    for key in [k for k in came if k in gone and came[k].class_name == gone[k].class_name]:
        layer, before = came.pop(key), gone.pop(key)
        yield Finding(
            "KG107",
            key,
            f"{layer.name}: its configuration differs from the one that was saved "
            f"({before.name}); it has no weights, and computes something else",
            Severity.WARNING,
        )
    if other_vague - mine_vague:
        return  # classes of older versions, which may be any of the model's
    told = [f"has {_named(came)}, which the saved model had not"] if came else []
    told += [f"lacks {_named(gone)}, which the saved model had"] if gone else []
    if told:
        message = f"the model {' and '.join(told)}; no weights are concerned, predictions may be"
        yield Finding("KG107", "", message, Severity.WARNING)


def _shown(table: Table) -> dict[str, tuple[str, str]]:
    return {key: (r.class_name, r.config_digest) for key, r in table.layers.items()}


def _vague(layers: Mapping[str, LayerRecord]) -> set[str]:
    return {r.class_name for r in layers.values() if not r.config_digest}


def _beyond(
    some: Mapping[str, LayerRecord], others: Mapping[str, LayerRecord]
) -> dict[str, LayerRecord]:
    """Those for which the others have no like, each like taken once; the same key first."""
    likes: dict[tuple[str, str], list[str]] = {}
    for key, r in others.items():
        likes.setdefault((r.class_name, r.config_digest), []).append(key)
    left = {}
    for key, r in sorted(some.items(), key=lambda item: item[0] not in others):
        free = likes.get((r.class_name, r.config_digest), [])
        if key in free:
            free.remove(key)
        elif free:
            free.pop()
        else:
            left[key] = r
    return left


def _named(layers: Mapping[str, LayerRecord]) -> str:
    return listed([f"{r.name} ({r.class_name})" for r in layers.values()])
