"""One injector per kind of damage: the mirror image of `kerasguard/rules/`.

Each takes the three tables of an intact pair and returns them with one thing wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tables import Layer, table

from kerasguard.manifest import FileRecord, Manifest
from kerasguard.tensors import Table, TensorRecord, TensorSpec


@dataclass(frozen=True)
class Case:
    """The three tables, and damage that only the container shows."""

    expected: Table
    stored: Table
    manifest: Manifest | None
    options: dict[str, Any]


LAYERS = [Layer("body"), Layer("middle"), Layer("head", (4, 2))]


def adam(of: Table) -> Table:
    """The table with one momentum per weight."""
    slots = [
        TensorRecord(
            f"optimizer/vars/{i}",
            w.spec,
            name=f"optimizer/momentum/{w.name}",
            layer="optimizer",
            role="optimizer",
            digest=f"xxh3:m{i}",
            slot="momentum",
            slot_of=w.key,
        )
        for i, w in enumerate(of.tensors.values())
    ]
    return replace(of, tensors={**of.tensors, **{s.key: s for s in slots}})


def intact() -> Case:
    """A model, its checkpoint and its manifest, all in order."""
    both = adam(table(LAYERS))
    return Case(both, both, Manifest("keras_zip", (), both), {})


def change(of: Table, key: str, **what: Any) -> Table:
    """The table with one record changed."""
    return replace(of, tensors={**of.tensors, key: replace(of.tensors[key], **what)})


def without(of: Table, *keys: str) -> Table:
    """The table without some records."""
    return replace(of, tensors={k: r for k, r in of.tensors.items() if k not in keys})


KERNEL = "layers/dense/vars/0"


def missing(case: Case) -> Case:
    """The checkpoint lacks one tensor."""
    return replace(case, stored=without(case.stored, KERNEL), manifest=None)


def unexpected(case: Case) -> Case:
    """The checkpoint has a layer more than the model."""
    return replace(case, stored=adam(table([*LAYERS, Layer("more", (2, 7))])), manifest=None)


def attributes(case: Case) -> Case:
    """Two same-shaped layers changed places in a dict."""
    ours, theirs = table(LAYERS, graph=False), table(LAYERS, graph=False)
    held = {"layers/dense": "parts[query]", "layers/dense_1": "parts[key]"}
    other = dict(zip(held, reversed(held.values()), strict=True))

    def told(of: Table, names: dict[str, str]) -> Table:
        layers = {k: replace(r, attribute=names.get(k, ""), name="") for k, r in of.layers.items()}
        return replace(of, layers=layers)

    return Case(adam(told(ours, other)), adam(told(theirs, held)), None, {})


def adapted(case: Case) -> Case:
    """Two lookups with names of their own are made in another order."""
    words = [Layer(name, cls="StringLookup", variables=()) for name in ("city", "country")]
    return Case(table([*LAYERS, *words]), table([*LAYERS, *words[::-1]]), None, {})


def rewired(case: Case) -> Case:
    """Two named branches enter a concatenation in the other order."""
    branches = [Layer("left", inputs=()), Layer("right", inputs=())]

    def joined(*order: str) -> Table:
        join = Layer("join", cls="Concatenate", inputs=order, variables=())
        return table([*branches, join, Layer("head", (4, 2))])

    return Case(joined("left", "right"), joined("right", "left"), None, {})


def renamed(case: Case) -> Case:
    """The head had another name when it was saved."""
    return replace(case, stored=adam(table([*LAYERS[:2], Layer("top", (4, 2))])), manifest=None)


def moved(case: Case) -> Case:
    """Two same-shaped layers with names of their own changed places."""
    swapped = adam(table([LAYERS[1], LAYERS[0], LAYERS[2]], graph=False))
    return replace(case, stored=swapped, manifest=None)


def ambiguous(case: Case) -> Case:
    """A layer without a name of its own was removed from between its like."""
    stored = table([Layer(f"dense_{i}") for i in range(5, 8)], graph=False)
    expected = table([Layer("dense"), Layer("dense_1")], graph=False)
    return Case(expected, stored, None, {})


def unbuilt(case: Case) -> Case:
    """A layer of the model has no weights yet, and the checkpoint has some for it."""
    return replace(unexpected(case), options={"unbuilt": ["more"]})


def unwritten(case: Case) -> Case:
    """Keras did not write one of the model's weights."""
    assert case.manifest is not None
    lost = TensorRecord("", TensorSpec((3,), "float32"), name="body/hidden/kernel")
    return replace(case, manifest=replace(case.manifest, unwritten=(lost,)))


def companion(case: Case) -> Case:
    """What Keras did not write was kept in a file that is gone."""
    assert case.manifest is not None
    kept = TensorRecord(
        "layers/dense/unwritten/seed", TensorSpec((2,), "uint32"), role="seed", digest="xxh3:0"
    )
    file = FileRecord("m.keras.companion-00000000.safetensors", 100, "0" * 64, "xxh3:0")
    return replace(case, manifest=replace(case.manifest, unwritten=(kept,), companion=file))


def averaged(case: Case) -> Case:
    """The optimizer keeps moving averages."""

    def renamed(of: Table) -> Table:
        slots = {k: replace(r, slot="average") for k, r in of.tensors.items() if r.slot}
        return replace(of, tensors={**of.tensors, **slots})

    return Case(renamed(case.expected), renamed(case.stored), None, {})


def reconfigured(case: Case) -> Case:
    """The head has another activation than when it was saved."""
    other = [*LAYERS[:2], replace(LAYERS[2], config="tanh")]
    return replace(case, expected=adam(table(other)))


def optimizer(case: Case) -> Case:
    """The checkpoint's optimizer keeps fewer slots."""
    return replace(case, stored=without(case.stored, "optimizer/vars/5"), manifest=None)


def transposed(case: Case) -> Case:
    """The head's kernel has its axes in another order."""
    spec = TensorSpec((2, 4), "float32")
    return replace(
        case, stored=change(case.stored, "layers/dense_2/vars/0", spec=spec), manifest=None
    )


def shape(case: Case) -> Case:
    """The head has another number of classes."""
    spec = TensorSpec((4, 3), "float32")
    return replace(
        case, stored=change(case.stored, "layers/dense_2/vars/0", spec=spec), manifest=None
    )


def dtype(case: Case) -> Case:
    """One kernel is stored in float64."""
    spec = TensorSpec((4, 4), "float64")
    return replace(case, stored=change(case.stored, KERNEL, spec=spec), manifest=None)


def quantised(case: Case) -> Case:
    """One layer was quantised when it was saved; the model was not yet."""
    stored = change(case.stored, KERNEL, spec=TensorSpec((4, 4), "int8"))
    scale = TensorRecord(
        "layers/dense/vars/2",
        TensorSpec((4,), "float32"),
        name="body/kernel_scale",
        variable="kernel_scale",
        layer="layers/dense",
        digest="xxh3:scale",
    )
    return replace(
        case, stored=replace(stored, tensors={**stored.tensors, scale.key: scale}), manifest=None
    )


def nonfinite(case: Case) -> Case:
    """One kernel holds NaN."""
    return replace(case, stored=change(case.stored, KERNEL, nonfinite=2), manifest=None)


def corrupt(case: Case) -> Case:
    """One kernel has other bytes than were recorded."""
    return replace(case, stored=change(case.stored, KERNEL, digest="xxh3:0"))


def stale(case: Case) -> Case:
    """The manifest lists a tensor that the checkpoint does not hold."""
    assert case.manifest is not None
    other = adam(table([*LAYERS, Layer("more")]))
    return replace(case, manifest=replace(case.manifest, table=other))


def replicas(case: Case) -> Case:
    """The replicas of a variable held different values when it was saved."""
    assert case.manifest is not None
    told = {"replicas": 2, "unequal_replicas": ["bn/moving_mean"]}
    return replace(case, manifest=replace(case.manifest, environment=told))


def container(case: Case) -> Case:
    """Bytes outside the tensors changed."""
    return replace(case, options={"problems": ["a.keras: a member has a bad CRC"]})


FAULTS: dict[str, Callable[[Case], Case]] = {
    "KG101": missing,
    "KG102": unexpected,
    "KG103": renamed,
    "KG104": moved,
    "KG105": ambiguous,
    "KG106": unwritten,
    "KG107": reconfigured,
    "KG108": optimizer,
    "KG111": averaged,
    "KG112": unbuilt,
    "KG113": attributes,
    "KG114": adapted,
    "KG115": rewired,
    "KG201": transposed,
    "KG202": dtype,
    "KG203": shape,
    "KG207": quantised,
    "KG301": nonfinite,
    "KG302": corrupt,
    "KG303": stale,
    "KG305": companion,
    "KG304": container,
    "KG306": replicas,
}
