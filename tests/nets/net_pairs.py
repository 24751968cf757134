"""Pairs of an imaginary checkpoint and an imaginary model, and the truth about them.

**The truth** is who is who by uid: an expected variable must get the stored tensor of the same
variable of the same layer, through whatever was done to the file (a cast, a transposition), or
there is no answer because the layer is new or the variable is.

**What a format tells** is a projection of the whole table (`told`): a manifest tells all, a
`.keras` file tells no names of variables, a `.weights.h5` neither classes nor graph, a TensorFlow
checkpoint the order of layers and names of variables.

**No trace**: an edit after which the model, saved in this format, would write just what it would
have written before (`trace` of both is equal; names that Keras makes up count by their order only).
Such an edit is none as far as anybody can tell, and layers stay who they were under their keys.
Two layers that Keras named, equal in class, shape and arguments, used in each other's place, are
such a case. Nothing tells the order of edits either: names are taken to be changed last, and where
renames alone explain all that a file shows, layers stay under their keys. A square kernel that
somebody transposed leaves no trace either; it is counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from nets import Laid, Net, laid_out

from kerasguard.formats.keras_paths import natural
from kerasguard.loader.diagnose import diagnose
from kerasguard.manifest import Manifest
from kerasguard.planning.cast_loss import Loss
from kerasguard.planning.findings import Severity
from kerasguard.planning.operations import Step
from kerasguard.planning.plan import RepairPlan
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec

__all__ = ["VIEWS", "Pair", "Verdict", "judged", "only_renamed", "told", "trace", "truth"]

VIEWS = ("manifest", "keras", "weights", "tf")


@dataclass(frozen=True)
class Pair:
    """A checkpoint and a model.

    Args:
        family: of models.
        naming: who gave the layers' names.
        edits: what happened between saving and loading.
        view: what the file tells.
        saved: the net that was saved.
        built: the net that is loaded into.
        casts: dtype of the stored weights, by key; `float32` where not said.
        turned: keys of stored kernels that were transposed after saving.
        between: the nets after each edit but the last.
    """

    family: str
    naming: str
    edits: tuple[str, ...]
    view: str
    saved: Net
    built: Net
    casts: Mapping[str, str]
    turned: frozenset[str] = frozenset()
    between: tuple[Net, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What the engine made of a pair.

    Args:
        plan: of the restore.
        wrong: labels of expected tensors whose step reads the wrong tensor or reads it wrongly.
        repaired_wrong: those among them whose step comes from a repair that was applied.
        complete: whether an answer exists for every weight.
        unmodified: whether the pair shows no trace of any edit.
        alarms: codes of warnings and errors.
        who: stored uid by expected uid, in truth.
    """

    plan: RepairPlan
    wrong: tuple[str, ...]
    repaired_wrong: tuple[str, ...]
    complete: bool
    unmodified: bool
    alarms: tuple[str, ...]
    who: Mapping[str, str]

    def agrees(self, answer: Mapping[str, str]) -> bool:
        """Whether pairs of layers (uids, expected to stored) are the truth."""
        return all(self.who.get(u) == v for u, v in answer.items())

    @property
    def refused(self) -> bool:
        """Whether nothing would be loaded."""
        return bool(self.plan.unresolved)


def tables(pair: Pair) -> tuple[Table, Table, Laid, Laid]:
    """Expected and stored, as the engine gets them, and both layouts."""
    ours, theirs = laid_out(pair.built), laid_out(pair.saved)
    stored = replace(
        theirs.table,
        tensors={k: _altered(r, pair) for k, r in theirs.table.tensors.items()},
    )
    return ours.table, told(stored, pair.view), ours, theirs


def _altered(record: TensorRecord, pair: Pair) -> TensorRecord:
    if record.role != "weight":
        return record
    shape = record.spec.shape
    if record.key in pair.turned:
        shape = shape[::-1]
    return replace(record, spec=TensorSpec(shape, pair.casts.get(record.key, "float32")))


def judged(pair: Pair) -> Verdict:
    """Run the engine on a pair and compare with the truth."""
    expected, stored, ours, theirs = tables(pair)
    manifest = Manifest("keras_zip", (), stored) if pair.view == "manifest" else None
    plan = diagnose(expected, stored, manifest, loss=lambda step, dtype: Loss(0.0, 1.0, 0, 0))
    answer = truth(ours, theirs, pair)
    repaired = {step.target for finding in plan.applied for step in finding.repairs}
    wrong = tuple(
        step.target for step in plan.steps if not _right(step, answer.get(step.target), pair)
    )
    complete = all(
        answer.get(key) is not None for key, r in expected.tensors.items() if r.role == "weight"
    )
    mine = trace(told(expected, pair.view), pair.view)
    return Verdict(
        plan,
        wrong,
        tuple(key for key in wrong if key in repaired),
        complete and not pair.turned,
        mine == trace(stored, pair.view),
        tuple(sorted({f.code for f in plan.findings if f.severity is not Severity.INFO})),
        _uids(ours, theirs, pair),
    )


def _uids(ours: Laid, theirs: Laid, pair: Pair) -> dict[str, str]:
    mine = {key: who[0] for who, key in ours.keys.items()}
    other = {key: who[0] for who, key in theirs.keys.items()}
    return {mine[e]: other[s] for e, s in _followed(pair).items()}


def _right(step: Step, answer: str | None, pair: Pair) -> bool:
    """Whether a step reads the right tensor, and turns it if it was turned."""
    if answer is None or len(step.sources) != 1 or step.join:
        return False
    turned = any(type(op).__name__ == "Transpose" for op in step.ops)
    kinds = {type(op).__name__ for op in step.ops}
    return (
        step.sources[0] == answer
        and turned == (answer in pair.turned)
        and kinds <= {"Transpose", "Cast"}
    )


def truth(ours: Laid, theirs: Laid, pair: Pair) -> dict[str, str]:
    """Stored key by expected key, where there is an answer."""
    answer = _followed(pair)
    if pair.built.optimizer == pair.saved.optimizer:
        for who, key in ours.keys.items():
            if who[0] == "optimizer":
                of = answer.get(who[2], "") if who[2] else ""
                same = theirs.keys.get(("optimizer", who[1], of))
                if same is not None and bool(of) == bool(who[2]):
                    answer[key] = same
    tf = pair.view == "tf"
    return {k: _renumbered(theirs.table, v) if tf else v for k, v in answer.items()}


def _followed(pair: Pair) -> dict[str, str]:
    """Saved key of every weight of the net that is built, where it has one, edit by edit."""
    ends = [laid_out(net) for net in (pair.saved, pair.built)]
    given = [{layer.name for layer in net.layers} - {""} for net in (pair.saved, pair.built)]
    saved, built = (told(x.table, pair.view) for x in ends)
    if only_renamed(saved, built, given, pair.view):
        old, new = ({_shown(x, k, pair.view): k for k in _weights(x)} for x in ends)
        return {new[key]: old[key] for key in new}
    first = {layer.uid: layer.name for layer in pair.saved.layers}
    late = [_with_names(net, first) for net in (*pair.between, pair.built)]
    laid = [laid_out(net) for net in (pair.saved, *late, pair.built)]
    answer = {key: key for who, key in laid[0].keys.items() if who[0] != "optimizer"}
    for before, after in pairwise(laid):
        views = [told(x.table, pair.view) for x in (before, after)]
        if trace(views[0], pair.view) == trace(views[1], pair.view):
            old, new = ({_shown(x, k, pair.view): k for k in _weights(x)} for x in (before, after))
            came = {new[key]: old[key] for key in new}
        else:
            came = {k: before.keys[who] for who, k in after.keys.items() if who in before.keys}
        answer = {k: answer[came[k]] for k in _weights(after) if came.get(k) in answer}
    return answer


def _with_names(net: Net, names: Mapping[str, str]) -> Net:
    """The net before its layers were renamed."""
    renamed = (replace(layer, name=names.get(layer.uid, layer.name)) for layer in net.layers)
    return replace(net, layers=tuple(renamed))


def only_renamed(saved: Table, built: Table, given: Sequence[set[str]], view: str) -> bool:
    """Whether both show the same but for names that are on one side only.

    Args:
        saved: one table.
        built: the other.
        given: names that a person gave, on either side.
        view: what the tables' format tells.
    """
    sides = (saved, built)
    changed = set()
    for key in saved.layers.keys() & built.layers.keys():
        names = [t.layers[key].name for t in sides]
        told_of = [name in mine for name, mine in zip(names, given, strict=True)]
        elsewhere = [names[0] in given[1], names[1] in given[0]]
        if names[0] != names[1] and any(told_of) and not any(elsewhere):
            changed.add(key)

    def neutral(table: Table) -> Table:
        layers = {k: replace(r, name="?") if k in changed else r for k, r in table.layers.items()}
        return replace(table, layers=layers)

    return bool(trace(neutral(saved), view) == trace(neutral(built), view))


def _made_up(key: str, layer: LayerRecord, view: str) -> bool:
    """Whether Keras made the layer's name up, as far as the format tells."""
    if layer.class_name:
        return layer.auto_named
    kind = key.rpartition("/")[2].rstrip("0123456789").rstrip("_")
    return view == "tf" or _stem(layer.name) == kind


def _stem(name: str) -> str:
    stem, _, number = name.rpartition("_")
    return stem if number.isdecimal() else name


def _weights(laid: Laid) -> list[str]:
    return [key for key, record in laid.table.tensors.items() if record.role == "weight"]


def _shown(laid: Laid, key: str, view: str) -> str:
    return _renumbered(laid.table, key) if view == "tf" else key


def told(table: Table, view: str) -> Table:
    """What a format tells of a table."""
    if view == "manifest":
        return table
    if view == "tf":
        return _as_checkpoint(table)
    graph = view == "keras"
    order = sorted(table.layers, key=natural)
    layers = {
        key: record if graph else LayerRecord(key, record.name)
        for key, record in ((k, table.layers[k]) for k in (table.layers if graph else order))
    }
    rank = {key: i for i, key in enumerate(layers)}

    def place(record: TensorRecord) -> tuple[Any, ...]:
        owner = record.layer
        while owner not in rank:
            owner = owner.rpartition("/")[0]
        return record.role == "optimizer", rank[owner], natural(record.key)

    records = sorted(table.tensors.values(), key=place)
    return Table.of((_nameless(r, table, graph) for r in records), layers=layers)


def _nameless(record: TensorRecord, table: Table, graph: bool) -> TensorRecord:
    owner, _, last = record.key.rpartition("/vars/")
    layer = table.layers.get(owner)
    if graph and layer is not None and layer.class_name.endswith("Normalization"):
        return replace(record, trainable=None)  # the config tells which variables there are
    return replace(
        record,
        name=f"{layer.name if layer else owner.rpartition('/')[2]}/{last}",
        variable="",
        trainable=None,
        slot="",
        slot_of="",
    )


def _as_checkpoint(table: Table) -> Table:
    """A TensorFlow checkpoint: layers by their rank, variables by name, no optimizer."""
    records, layers = [], {}
    for record in table.tensors.values():
        if record.role != "weight":
            continue
        key = _renumbered(table, record.key)
        owner = key.split("/")[0]
        layer = table.layers[_owner(table, record)]
        layers[owner] = LayerRecord(owner, layer.name, position=int(owner.rpartition("-")[2]))
        records.append(replace(record, key=key, layer=owner, trainable=None))
    return Table.of(records, layers=layers, addressing="order")


def _owner(table: Table, record: TensorRecord) -> str:
    owner = record.layer
    while owner not in table.layers:
        owner = owner.rpartition("/")[0]
    return owner


def _renumbered(table: Table, key: str) -> str:
    """`layers/dense/vars/0` -> `layer_with_weights-3/kernel`."""
    record = table.tensors[key]
    if record.role != "weight":
        return key
    ranks: dict[str, int] = {}
    for other in table.tensors.values():
        if other.role == "weight":
            ranks.setdefault(_owner(table, other), len(ranks))
    owner = _owner(table, record)
    within = record.key[len(owner) :].rpartition("vars/")[0].strip("/")
    parts = (f"layer_with_weights-{ranks[owner]}", within, record.variable)
    return "/".join(part for part in parts if part)


def trace(table: Table, view: str) -> Any:
    """What a file in this format shows of a model; names that Keras makes up by their order."""
    made_up: dict[str, list[tuple[int, str]]] = {}
    shown: dict[str, Any] = {}
    for key, layer in table.layers.items():
        if _made_up(key, layer, view):
            number = layer.name.rpartition("_")[2]
            rank = int(number) if number.isdecimal() else 0
            made_up.setdefault(_stem(layer.name), []).append((rank, key))
        else:
            shown[key] = layer.name
    for stem, found in made_up.items():
        for rank, (_, key) in enumerate(sorted(found)):
            shown[key] = (stem, rank)
    layers = {
        key: (shown[key], layer.class_name, layer.config_digest, layer.inbound)
        for key, layer in table.layers.items()
        if key != "optimizer"
    }
    tensors = {
        key: (record.spec.shape, record.variable)
        for key, record in table.tensors.items()
        if record.role == "weight"
    }
    return layers, tensors
