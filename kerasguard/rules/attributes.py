"""A layer lies under another attribute, or another key of a dict, than its position says.

What it looks like: query and key change places, and every shape fits.

Why it happens: Keras keeps the layers of a model of the user's own by class and running number, and
a dict of layers by its values' order. The attribute or the key that tells what a layer is for is
not written; a manifest has it.

Source: keras/src/saving/saving_lib.py, `_save_container_state` (`list(container.values())`).

When the repair is exact: the recorded layer of the same attribute or key has the same tensors, its
optimizer slots are known by weight, and no name that a person gave says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kerasguard.identity.units import members
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Step

CODES = {"KG113": "a layer is held under another attribute or key than its position suggests"}


def attributes(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per layer whose attribute belongs to another stored layer."""
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
