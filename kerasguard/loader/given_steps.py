"""Steps of formats that pair layers by themselves: of the whole model, or of a part of either side.

Where not every weight that is wanted gets a step, the parts are tried: the model without what the
caller leaves out, the checkpoint without what belongs to that, and a model inside either of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from kerasguard.identity.reduced import opened_model, reduced
from kerasguard.layouts import opened_groups
from kerasguard.loader.addressing import Addressing
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.left_out import LeftOut, beside, by_steps, outside
from kerasguard.planning.operations import Step
from kerasguard.tensors import Table

__all__ = ["given_steps"]

Steps = Sequence[Step | Finding]


def given_steps(
    way: Addressing, stored: Table, expected: Table, out: LeftOut
) -> tuple[Steps | None, LeftOut]:
    """The steps for what is wanted, and what is left out, on the checkpoint's side, too.

    No steps, but None, where the format leaves the pairing to the rules.

    Args:
        way: what the keys mean.
        stored: without what the companion holds.
        expected: without what Keras does not write.
        out: what the caller leaves out.
    """
    first = way.steps(stored, expected)
    if first is None:
        return None, out
    wanted = {k for k, r in expected.tensors.items() if r.role == "weight" and k not in out.keys}
    best, lacking = first, _lacking(first, wanted)
    for ours, theirs in _parts(stored, expected, first, out) if lacking else ():
        steps = way.steps(theirs, ours)
        if steps is not None and (count := _lacking(steps, wanted)) < lacking:
            best, lacking = [*steps, *_left(first, steps, out)], count
        if not lacking:
            break
    pairing = by_steps((s for s in best if isinstance(s, Step)), expected, stored)
    given = out.keys or out.only
    aside = beside(pairing, out, stored) if given else outside(pairing, stored)
    return best, replace(out, aside=aside)


def _left(first: Steps, steps: Steps, out: LeftOut) -> Iterator[Step]:
    """The first steps of what is left out, of stored tensors that no other step takes."""
    taken = {source for s in steps if isinstance(s, Step) for source in s.sources}
    for step in first:
        if isinstance(step, Step) and step.target in out.keys and taken.isdisjoint(step.sources):
            yield step


def _lacking(steps: Steps, wanted: Collection[str]) -> int:
    """How many weights have no step, and how many doubts there are about the others."""
    targets = {step.target for step in steps if isinstance(step, Step)}
    errors = (s for s in steps if isinstance(s, Finding) and s.severity is Severity.ERROR)
    return len(set(wanted) - targets) + sum(1 for _ in errors)


def _parts(
    stored: Table, expected: Table, first: Steps, out: LeftOut
) -> Iterator[tuple[Table, Table]]:
    """Tables of parts of the model and of the checkpoint, in pairs."""
    ours = reduced(expected, out.keys)
    if out.keys:
        pairing = by_steps((s for s in first if isinstance(s, Step)), expected, stored)
        yield ours, reduced(stored, beside(pairing, out, stored, around=False))
        yield ours, stored
    inside = opened_model(ours)
    if inside is not None:
        yield inside, stored
    for opened in opened_groups(stored):
        yield ours, opened
        if inside is not None:
            yield inside, opened
