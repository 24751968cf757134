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

from kerasguard.draft import Draft
from kerasguard.findings import Finding, Severity, listed
from kerasguard.tensors import LayerRecord, Table

# Layers that let everything pass when a model predicts.
_IDLE = frozenset(
    {
        "ActivityRegularization",
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "InputLayer",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
    }
)

CODES = {"KG107": "a layer is configured differently than when it was saved"}


def reconfigured(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per layer whose config digest differs from the stored one."""
    settled = _settled(draft)
    for e, s in draft.pairing.layers.items():
        ours, theirs = draft.expected.layers.get(e), draft.stored.layers.get(s)
        if (
            s in settled
            or not ours
            or not theirs
            or not ours.config_digest
            or not theirs.config_digest
        ):
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
    if not _placed(draft.expected) or not _placed(draft.stored):
        return  # nothing is known of one of the graphs
    ours, theirs = _plain(draft.expected), _plain(draft.stored)
    mine_vague, other_vague = _vague(ours), _vague(theirs)
    settled = _settled(draft)
    skip = mine_vague | other_vague | _IDLE
    mine = {k: r for k, r in ours.items() if r.class_name not in skip and k not in settled}
    other = {k: r for k, r in theirs.items() if r.class_name not in skip and k not in settled}
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


def _settled(draft: Draft) -> set[str]:
    """Layers whose vocabulary or boundaries are part of the config, and are put back."""
    return {r.layer for r in draft.stored.tensors.values() if r.role in ("asset", "state")}


def _vague(layers: Mapping[str, LayerRecord]) -> set[str]:
    return {r.class_name for r in layers.values() if not r.config_digest}


def _plain(table: Table) -> dict[str, LayerRecord]:
    """The layers and operations without weights whose place in the graph is known."""
    placed = _placed(table)
    weighty = {r.layer for r in table.tensors.values() if r.role == "weight"}
    holding = {_around(key) for key in placed}
    for key in weighty:
        parts = key.split("/")
        holding |= {"/".join(parts[:n]) for n in range(1, len(parts))}
    return {
        key: table.layers[key]
        for key in placed - holding - weighty
        if all(around in placed for around in _arounds(key))
    }


def _placed(table: Table) -> set[str]:
    return {key for key, r in table.layers.items() if r.inbound is not None}


def _around(key: str) -> str:
    """The model that a layer lies in: of `layers/functional/layers/dense`, `layers/functional`."""
    cut = max(key.rfind("/layers/"), key.rfind("/operations/"))
    return key[:cut] if cut > 0 else ""


def _arounds(key: str) -> Iterator[str]:
    while key := _around(key):
        yield key


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
