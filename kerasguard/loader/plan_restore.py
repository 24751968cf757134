"""From a prepared model and a checkpoint being read to the total plan, in one straight line.

Expected, recorded and stored tables are made comparable, the rules decide (`diagnose`), and the
caller's choice of a learning rate is settled. What depends on how a format addresses tensors is in
`addressing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kerasguard.identity.reduced import reduced, without
from kerasguard.identity.renames import spelt_out
from kerasguard.loader.addressing import Given
from kerasguard.loader.diagnose import diagnose
from kerasguard.loader.given_steps import given_steps
from kerasguard.loader.prepared import Prepared
from kerasguard.loader.reading import Reading
from kerasguard.loader.request import Request
from kerasguard.loader.selection import Selection
from kerasguard.loader.state_paths import walked
from kerasguard.loader.stored_configs import once_each, stored_ends, unadapted
from kerasguard.loader.ways import addressing
from kerasguard.planning.left_out import NOTHING, LeftOut
from kerasguard.planning.operations import Step
from kerasguard.planning.plan import Rate, RepairPlan
from kerasguard.rules.learning_rate import learning_rate
from kerasguard.rules.unexpected import foreign
from kerasguard.tensors import LayerRecord, Table, TensorRecord

__all__ = ["plan_restore"]


def plan_restore(
    prepared: Prepared, reading: Reading, request: Request, selection: Selection
) -> RepairPlan:
    """Wait for the last byte, compare the three tables and decide.

    Args:
        prepared: the model to restore into.
        reading: the checkpoint.
        request: what the caller asks for.
        selection: what keeps its values.
    """
    renames = spelt_out(request.renames, reading.table, prepared.target.table)
    way = addressing(prepared, reading, renames)
    stored = without(reading.finish(), prepared.taken)
    expected = _expected(prepared, stored, reading)
    stored, first = way.dense(walked(stored, expected, prepared, reading), expected)
    stored = _with_layers(stored, dict(way.layers(stored)), prepared, reading)
    expected, stored = unadapted(expected, stored, reading, prepared.target.visits)
    out = _left_out(expected, selection, request)
    kept = reading.manifest.kept if reading.manifest else {}
    written = without(stored, kept), without(expected, prepared.target.hidden)
    given, out = given_steps(way, *written, out)
    plan = diagnose(
        expected,
        stored,
        reading.manifest,
        repair=request.repair,
        renames=renames or None,
        problems=reading.problems,
        prior=(
            *prepared.findings,
            *way.doubts(expected, _wanted(given, out), out),
            *foreign(reading.foreign),
        ),
        own=prepared.built is not None,
        unbuilt=prepared.unbuilt,
        absent=_absent(prepared, reading),
        merged=[r for some in _parts(prepared) if not _kept(some, stored) for r in some],
        loss=reading.loss,
        given=given,
        out=out,
    )
    if first:
        steps = (replace(s, ops=(*first.get(s.sources[0], ()), *s.ops)) for s in plan.steps)
        plan = replace(plan, steps=tuple(steps))
    plan = _settled(plan, prepared, reading, request.learning_rate)
    return replace(plan, skipped=selection.names)


def _with_layers(
    stored: Table, layers: dict[str, LayerRecord], prepared: Prepared, reading: Reading
) -> Table:
    ends = {} if prepared.built else stored_ends(layers, reading)
    return replace(stored, layers=layers, ends=ends)


def _left_out(expected: Table, selection: Selection, request: Request) -> LeftOut:
    if not selection.left and not selection.only:
        return NOTHING
    gone = expected.layers.keys() - reduced(expected, selection.left).layers.keys()
    skip = tuple(request.skip or ())
    return LeftOut(selection.left, frozenset(gone), skip, selection.only)


def _wanted(given: Given, out: LeftOut) -> Given:
    """The steps without those of what is left out."""
    if given is None:
        return None
    return [s for s in given if not isinstance(s, Step) or s.target not in out.keys]


def _expected(prepared: Prepared, stored: Table, reading: Reading) -> Table:
    """The model's table; layers that do not know their own tensors yet expect the stored.

    What a layer stores as one is expected in parts where all of them were kept, and fit.
    """
    table: Table = prepared.target.table
    if prepared.built is not None:
        table = once_each(table, reading)
    free, any_length = prepared.target.open_layers, prepared.target.open_keys
    parts = {r.key for some in _parts(prepared) if _kept(some, stored) for r in some}
    if not free and not any_length and not parts:
        return table
    more = {
        k: r
        for k, r in stored.tensors.items()
        if k in any_length or k in parts or k.rpartition("/vars/")[0] in free
    }
    return replace(table, tensors={**table.tensors, **more})


def _parts(prepared: Prepared) -> Iterator[Sequence[TensorRecord]]:
    """What each layer stores as one."""
    yield from prepared.target.merged_parts.values()


def _kept(parts: Sequence[TensorRecord], stored: Table) -> bool:
    """Whether a companion has all of them, and they fit."""
    return all(r.key in stored.tensors and stored.tensors[r.key].spec == r.spec for r in parts)


def _absent(prepared: Prepared, reading: Reading) -> list[TensorRecord]:
    """Vocabularies that no file is stored for."""
    folders = {path.rpartition("/")[0] for path in reading.assets()}
    found: Sequence[TensorRecord] = prepared.target.vocabularies
    places = ((r, r.key.removeprefix("assets/").rpartition("/")[0]) for r in found)
    return [r for r, place in places if not folders & {place, r.layer}]


def _settled(plan: RepairPlan, prepared: Prepared, reading: Reading, rate: Rate) -> RepairPlan:
    """The plan after the caller's choice of a learning rate.

    Where both rates are the same there is nothing to choose, nor where a program is run as it is
    stored.
    """
    if prepared.as_stored or reading.unread:
        return plan
    wanted = prepared.target.table.tensors
    rates = {key for key, record in wanted.items() if record.variable == "learning_rate"}
    keeps = rate == "compiled" or (rate == "auto" and prepared.built is None)
    known: set[int] = set()
    for step in [s for s in plan.steps if s.target in rates]:
        stored = float(reading.values((step,))[step.target])
        if prepared.built is not None and not keeps:
            continue
        compiled = float(prepared.target.holds(step.target))
        if stored != compiled:
            label = wanted[step.target].name.replace("_", " ").removeprefix("optimizer/")
            finding = learning_rate(step.target, stored, compiled, keeps=keeps, label=label)
            # A wrapped optimizer's rate is stored with the wrapper's, too: one finding for both.
            variable = id(prepared.target.variable(step.target))
            found = None if variable in known else finding
            plan = plan.with_finding(found, leave=step.target if keeps else "")
            known.add(variable)
    return plan
