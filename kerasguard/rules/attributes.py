"""A layer or variable is held under a different attribute, entry or key than its position suggests.

What it looks like: query and key change places, and every shape fits. Or two unnamed variables are
created in a different order. Or the weights are right, but a list holds its layers in a different
order.

Why it happens: Keras keeps the layers of a user-defined model by class and running number, a dict
of layers by its values' order, and variables by the order in which they were made. The attribute,
entry or key that shows what each is for is not written to the file; a manifest has it.

Source: keras/src/saving/saving_lib.py, `_save_container_state` (`list(container.values())`);
keras/src/layers/layer.py, `save_own_variables`.

When the repair is exact: the recorded layer, or variable, of the same attribute, entry or key has
the same tensors, its optimizer slots are known by weight, and no user-given name contradicts this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kerasguard.errors import listed
from kerasguard.identity.units import Unit, members, telling
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Step
from kerasguard.tensors import TensorRecord

CODES = {
    "KG113": "a layer or variable is held under a different attribute or key than its position "
    "suggests"
}


def attributes(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per layer, and per layer with variables, that another attribute held."""
    moved = list(_layers(draft))
    yield from moved
    yield from _places(draft, {finding.key for finding in moved})
    for e, s in draft.pairing.layers.items():
        if e in draft.pairing.expected and s in draft.pairing.stored:
            yield from _variables(draft, draft.pairing.expected[e], draft.pairing.stored[s])


def _layers(draft: Draft) -> Iterator[Finding]:
    """Layers whose attribute or key belongs to another stored layer."""
    pairing = draft.pairing
    places = {r.attribute: key for key, r in draft.stored.layers.items() if r.attribute}
    for e, s in pairing.layers.items():
        ours, theirs = draft.expected.layers.get(e), draft.stored.layers.get(s)
        if not ours or not theirs or pairing.evidence[e] in ("renames", "name"):
            continue
        right = places.get(ours.attribute)
        if not ours.attribute or ours.attribute == theirs.attribute or right is None:
            continue
        yield Finding(
            "KG113",
            e,
            f"{ours.name}: by position it is {s}, but that was saved as "
            f"{theirs.attribute or 'no attribute'}; {ours.attribute} was saved as {right}",
            Severity.ERROR,
            _steps(draft, e, right),
        )


def _places(draft: Draft, told: set[str]) -> Iterator[Finding]:
    """One finding for all places where other layers are held than were, whoever else holds them.

    Args:
        draft: to be judged.
        told: layers that were told already.
    """
    before = {
        place: key
        for key, layer in draft.stored.layers.items()
        for place in (layer.use.held if layer.use else ())
    }
    if not before:
        return
    same = {s: e for e, s in draft.pairing.layers.items()}
    found = []
    for key, layer in draft.expected.layers.items():
        for place in (layer.use.held if layer.use else ()) if key not in told else ():
            held = same.get(before.get(place, ""))
            if held is not None and held != key and key in draft.pairing.layers:
                found.append(f"{place} holds {layer.name} but held {before[place]}")
    if found:
        message = (
            f"{listed(found)} when the model was saved; the weights are as recorded, but what is "
            "computed with them is not"
        )
        yield Finding("KG113", "", message, Severity.WARNING)


def _variables(draft: Draft, ours: Unit, theirs: Unit) -> Iterator[Finding]:
    """The variables of one layer that lie under different attributes than they did."""
    before: dict[tuple[str, str], TensorRecord] = {}
    for record in theirs.members.values():
        if record.attribute:
            before[record.layer[len(theirs.key) :], record.attribute] = record
    pairs: dict[str, str] = {}
    named = []
    for record in ours.members.values() if before else ():
        right = before.get((record.layer[len(ours.key) :], record.attribute))
        step = draft.steps.get(record.key)
        if right is None or (step is not None and step.sources == (right.key,)):
            continue
        pairs[record.key] = right.key
        if telling(record.variable) and telling(right.variable):
            named.append(record.label)
    if not pairs:
        return
    if named:
        yield Finding(
            "KG113",
            ours.key,
            f"{listed(named)}: under a different attribute than when the model was saved; the "
            "weights are matched by name, but what is computed with them has changed",
            Severity.WARNING,
        )
        return
    slots = _slots(draft, pairs) if _same_shapes(draft, pairs) and _is_swap(draft, pairs) else None
    yield Finding(
        "KG113",
        ours.key,
        f"{ours.label}: {len(pairs)} of its variables were created in a different order than "
        f"when it was saved; by their attributes, {_shown(draft, pairs)}",
        Severity.ERROR,
        tuple(Step(a, (b,)) for a, b in {**pairs, **(slots or {})}.items())
        if slots is not None
        else (),
    )


def _is_swap(draft: Draft, pairs: Mapping[str, str]) -> bool:
    """Whether the same stored tensors go to the same variables, in another order."""
    steps = [draft.steps.get(key) for key in pairs]
    now = sorted(source for step in steps if step is not None for source in step.sources)
    return all(steps) and now == sorted(pairs.values())


def _shown(draft: Draft, pairs: Mapping[str, str]) -> str:
    tensors = draft.expected.tensors
    return listed([f"{tensors[a].attribute} was {b}" for a, b in pairs.items()])


def _steps(draft: Draft, e: str, right: str) -> tuple[Step, ...]:
    """The steps of the layer and of its optimizer slots; none where they do not all fit."""
    pairing = draft.pairing
    if right not in pairing.stored:
        return ()
    ours = pairing.expected[e]
    pairs = members(ours, pairing.stored[right])
    if len(pairs) != len(ours.members) or not _same_shapes(draft, pairs):
        return ()
    slots = _slots(draft, pairs)
    return () if slots is None else tuple(Step(a, (b,)) for a, b in {**pairs, **slots}.items())


def _slots(draft: Draft, weights: Mapping[str, str]) -> dict[str, str] | None:
    """Stored slot by expected slot of these weights; None where one that is restored is unknown."""
    known = {(r.slot, r.slot_of): k for k, r in draft.stored.tensors.items() if r.slot_of}
    found: dict[str, str] = {}
    for key, record in draft.expected.tensors.items():
        if record.slot_of in weights and key in draft.steps:
            match = known.get((record.slot, weights[record.slot_of]))
            if match is None:
                return None
            found[key] = match
    return found


def _same_shapes(draft: Draft, pairs: Mapping[str, str]) -> bool:
    have, want = draft.stored.tensors, draft.expected.tensors
    return all(want[a].spec.shape == have[b].spec.shape for a, b in pairs.items())
