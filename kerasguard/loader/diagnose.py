"""Three tables in, a total plan out: the first draft, and the rules over it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kerasguard.identity.optimizer_state import pair_optimizers, with_roles
from kerasguard.identity.pair import pair
from kerasguard.identity.pairing import Pairing
from kerasguard.identity.reduced import reduced, without_tail
from kerasguard.manifest import Manifest
from kerasguard.planning.cast_loss import Loss
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.gc_pause import uncollected
from kerasguard.planning.left_out import NOTHING, LeftOut, outside, partial
from kerasguard.planning.operations import Step
from kerasguard.planning.plan import Policy, RepairPlan, Rule, fold
from kerasguard.rules import all_rules
from kerasguard.tensors import Table, TensorRecord

__all__ = ["diagnose"]


def diagnose(
    expected: Table,
    stored: Table,
    manifest: Manifest | None = None,
    *,
    repair: Policy = "exact",
    renames: Mapping[str, str] | None = None,
    rules: Sequence[Rule] | None = None,
    problems: Sequence[str] = (),
    prior: Sequence[Finding] = (),
    own: bool = False,
    unbuilt: Sequence[str] = (),
    absent: Sequence[TensorRecord] = (),
    merged: Sequence[TensorRecord] = (),
    loss: Callable[[Step, str], Loss] | None = None,
    given: Sequence[Step | Finding] | None = None,
    out: LeftOut = NOTHING,
) -> RepairPlan:
    """Compare the three tables and plan the restore.

    Args:
        expected: the model's table.
        stored: the checkpoint's table, digests included where its bytes were read.
        manifest: what was recorded.
        repair: which repairs may be taken without asking.
        renames: patterns of stored names (`old/*`) to expected ones (`new/*`).
        rules: in order of repair; by default all of them.
        problems: damage to the container, a line each.
        prior: findings from before the tensors (migrations of the architecture).
        own: whether the model was built from the checkpoint's own architecture, so that every
            stored weight must have its place in it.
        unbuilt: names of the model's layers that have no weights because nothing built them.
        absent: vocabularies of the model that the checkpoint has no file for.
        merged: what the checkpoint has only as a part of another tensor of its layer.
        loss: measures what a lossy step does to the stored values.
        given: steps and findings of a format that knows its own layouts; then weights are not
            paired here.
        out: what the caller leaves out: it gets no step, and nothing is said of it, nor of what
            the checkpoint has in its place.
    """
    with uncollected():
        stored = with_roles(expected, stored)
        steps = None if given is None else [s for s in given if isinstance(s, Step)]
        draft = _first_draft(expected, stored, manifest, renames, loss, steps, out, own)
        draft = replace(draft, problems=tuple(problems), own=own, unbuilt=tuple(unbuilt))
        draft = replace(draft, absent=tuple(absent), merged=tuple(merged))
        layouts = [f for f in given or () if isinstance(f, Finding) and f.key not in out.layers]
        layouts = [f for f in layouts if f.key not in out.keys]
        told = frozenset(f.key for f in layouts if f.severity is Severity.ERROR and f.key)
        draft = replace(draft, told=told)
        prior = [f for f in prior if f.key not in out.layers]
        chosen = all_rules() if rules is None else rules
        return fold((lambda _: iter(layouts), *chosen), draft, prior, repair)


def _first_draft(
    expected: Table,
    stored: Table,
    manifest: Manifest | None,
    renames: Mapping[str, str] | None,
    loss: Callable[[Step, str], Loss] | None,
    given: Sequence[Step] | None,
    out: LeftOut,
    own: bool,
) -> Draft:
    """Steps for what the format's own addressing decides; the rules propose the rest."""
    aside = out.aside
    if given is not None:
        pairing, steps = Pairing(), {s.target: s for s in given if s.target not in out.keys}
        weights = {s.target: s.sources[0] for s in given}
        in_order = True
    else:
        pairing = pair(expected, stored, renames, own=own)
        if out.keys or out.only:
            pairing, aside = partial(pairing, expected, stored, out, renames)
        elif not own:
            aside = outside(pairing, stored)
        weights = dict(pairing.tensors)
        in_order = pairing.addressed or (bool(out.keys) and _unmoved(pairing))
        steps = _steps_in_place(pairing)
    state = pair_optimizers(
        expected, stored, weights, pairing.layers, in_order=in_order, but=out.keys
    )
    steps |= {a: Step(a, (b,)) for a, b in state.pairs.items()}
    for key, record in expected.tensors.items():
        if record.role not in ("weight", "optimizer") and key in stored.tensors:
            steps.setdefault(key, Step(key, (key,)))
    if aside or out.keys:
        steps = {key: step for key, step in steps.items() if key not in out.keys}
        rest = reduced(expected, out.keys), reduced(stored, aside)
        expected, left = without_tail(rest, (expected, stored))
        stored = replace(stored, layers=left.layers, ends=left.ends)
    return Draft(expected, stored, manifest, pairing, steps, state, aside=aside, loss=loss)


def _steps_in_place(pairing: Pairing) -> dict[str, Step]:
    """Steps of the layers that lie where the format, or the caller, puts them."""
    placed = {e for e, s in pairing.layers.items() if _in_place(pairing, e, s)}
    keys = (r.key for e in placed for r in pairing.expected[e].members.values())
    return {key: Step(key, (pairing.tensors[key],)) for key in keys if key in pairing.tensors}


def _unmoved(pairing: Pairing) -> bool:
    """Whether every layer that is wanted lies under its own key, whatever decided it."""
    return not pairing.doubts and all(e == s for e, s in pairing.layers.items())


def _in_place(pairing: Pairing, e: str, s: str) -> bool:
    return pairing.evidence[e] in ("address", "renames") or e == s
