"""A layer is configured differently than when it was saved.

What it looks like: the weights fit, but the layer computes something else (another activation, axis
or stride), in another precision, or was given another function or number by code whose config does
not say. The same code reports a layer without weights that was added, removed or changed.

Why it happens: the model's code changed after saving, or a default differs between versions
(ConvLSTM's recurrent activation, GRU's `reset_after`).

Source: keras issue 19477 (hard_sigmoid); keras/src/layers/rnn/conv_lstm.py.

When the repair is exact: there is none; load the whole model from the checkpoint instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterator, Mapping

from kerasguard.errors import listed
from kerasguard.identity.counterparts import comparable, counterparts
from kerasguard.identity.evidence import IDLE, placed, weightless
from kerasguard.identity.held import held_alone, held_differences
from kerasguard.identity.reduced import around
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import LayerRecord, Table

CODES = {"KG107": "a layer is configured differently than when it was saved"}

Pair = tuple[LayerRecord, LayerRecord]


def reconfigured(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per layer that is configured differently, and one for all other policies."""
    same = counterparts(draft.expected, draft.stored, draft.pairing.layers)
    same[""] = _whole(draft.expected), _whole(draft.stored)
    yield from _given(same)
    yield from _policies(same)
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
    yield from _around_weights(draft, same)
    yield from _without_weights(*comparable(draft.expected, draft.stored))
    for message in held_differences(draft.expected, draft.stored):
        yield Finding("KG107", "", message, Severity.WARNING)


def _around_weights(draft: Draft, same: Mapping[str, Pair]) -> Iterator[Finding]:
    """Layers whose weights are their parts', as of a recurrent layer its cell's.

    Only in code of the user's own: in a graph they are told with their weights.
    """
    holding, held = (
        {h for r in side.tensors.values() if r.role == "weight" for h in around(r.layer)}
        for side in (draft.expected, draft.stored)
    )
    for key, (ours, theirs) in same.items():
        known = ours.config_digest and theirs.config_digest
        # A config that only the file tells is of a layer that nothing built.
        if key not in holding or theirs.key not in held or key in draft.pairing.layers or not known:
            continue
        if not (held_alone(ours) and held_alone(theirs)):
            continue
        if ours.config_digest != theirs.config_digest:
            yield Finding(
                "KG107",
                key,
                f"{ours.name}: its configuration differs from the one that was saved "
                f"({theirs.name}); the weights fit but may not mean the same",
                Severity.WARNING,
            )


def _whole(table: Table) -> LayerRecord:
    return LayerRecord("", "the model", use=table.use)


def _given(same: Mapping[str, Pair]) -> Iterator[Finding]:
    """Layers whose config is the same, or unknown, and that were given something else."""
    for key, (ours, theirs) in same.items():
        if ours.use is None or theirs.use is None:
            continue
        if "" != ours.config_digest != theirs.config_digest != "":
            continue  # told by its config
        now, before = ours.use.settings, theirs.use.settings
        names = [n for n in {**before, **now} if now.get(n) != before.get(n)]
        told = [f"{n} is {now.get(n, 'not given')} but was {before.get(n, '...')}" for n in names]
        if told:
            yield Finding(
                "KG107",
                key,
                f"{ours.name}: was given different arguments when it was saved ({listed(told)}); "
                "the weights fit but may not mean the same",
                Severity.WARNING,
            )


def _policies(same: Mapping[str, Pair]) -> Iterator[Finding]:
    """One finding per pair of policies, for the outermost layers that have them."""
    changed: dict[tuple[str, str], dict[str, str]] = {}
    for key, (ours, theirs) in same.items():
        pair = tuple(layer.use.policy if layer.use else "" for layer in (ours, theirs))
        if all(pair) and pair[0] != pair[1] and not any(map(_is_quantised, pair)):
            changed.setdefault((pair[0], pair[1]), {})[key] = ours.name
    for (now, before), names in changed.items():
        outer = [name for key, name in names.items() if not _inside_one_of(key, names)]
        yield Finding(
            "KG107",
            "",
            f"{listed(outer)}: dtype policy {now}, but {before} when the model was saved; the "
            "weights fit, but what is computed with them is rounded differently",
            Severity.WARNING,
        )


def _is_quantised(policy: str) -> bool:
    return policy.startswith(("int", "float8")) or "_from_" in policy  # told by KG207


def _inside_one_of(key: str, others: Collection[str]) -> bool:
    parts = key.split("/")
    return any("/".join(parts[:n]) in others for n in range(1, len(parts)))


def _without_weights(expected: Table, stored: Table) -> Iterator[Finding]:
    """Layers without weights have no pair; those that are not the same on both sides are told."""
    if not placed(expected) or not placed(stored):
        return  # nothing is known of one of the graphs
    if _shown(expected) == _shown(stored):
        return  # the usual case, told without taking the models apart
    ours, theirs = weightless(expected), weightless(stored)
    mine_vague, other_vague = _vague(ours), _vague(theirs)
    skip = mine_vague | other_vague | IDLE
    mine, other = (
        {k: r for k, r in side.items() if r.class_name not in skip and not _only_rounds(r)}
        for side in (ours, theirs)
    )
    as_many = _as_many(expected, stored)
    came, gone = _beyond(mine, other, as_many), _beyond(other, mine, as_many)
    for key in [k for k in came if k in gone and came[k].class_name == gone[k].class_name]:
        layer, before = came.pop(key), gone.pop(key)
        yield Finding(
            "KG107",
            key,
            f"{layer.name}: its configuration differs from the one that was saved "
            f"({before.name}); it has no weights, but computes something different",
            Severity.WARNING,
        )
    if other_vague - mine_vague:
        return  # classes of older versions, which may be any of the model's
    told = [f"has {_named(came)}, which the saved model did not have"] if came else []
    told += [f"lacks {_named(gone)}, which the saved model had"] if gone else []
    if told:
        message = f"the model {' and '.join(told)}; no weights are affected, but predictions may be"
        yield Finding("KG107", "", message, Severity.WARNING)


def _as_many(expected: Table, stored: Table) -> set[tuple[str, str]]:
    """Kinds of which both graphs have as many layers.

    A layer whose weights another holds too has none of its own on one side, and may on the other.
    """
    return {kind for kind, _ in _counts(expected).items() & _counts(stored).items()}


def _counts(table: Table) -> Counter[tuple[str, str]]:
    """How many layers and operations of each kind the graph has, with and without weights."""
    return Counter(
        (table.layers[k].class_name, table.layers[k].config_digest) for k in placed(table)
    )


def _shown(table: Table) -> dict[str, tuple[str, str]]:
    return {key: (r.class_name, r.config_digest) for key, r in table.layers.items()}


def _only_rounds(layer: LayerRecord) -> bool:
    """Whether it casts to another float, as some versions of Keras note it of a policy."""
    made = layer.use.settings.get("dtype", "") if layer.use else ""
    return layer.class_name == "Cast" and "float" in made


def _vague(layers: Mapping[str, LayerRecord]) -> set[str]:
    return {r.class_name for r in layers.values() if not r.config_digest}


def _beyond(
    some: Mapping[str, LayerRecord],
    others: Mapping[str, LayerRecord],
    as_many: Container[tuple[str, str]],
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
        elif (r.class_name, r.config_digest) not in as_many:
            left[key] = r
    return left


def _named(layers: Mapping[str, LayerRecord]) -> str:
    return listed([f"{r.name} ({r.class_name})" for r in layers.values()])
