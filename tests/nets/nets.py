"""Imaginary Keras models, in one form from which both a table and a real model can be made.

A `Net` is what a person writes: layers in the order in which they are created, their arguments,
what they are called on, the names that the person gave. `laid_out` says what Keras makes of it,
without Keras: keys, auto-names, shapes, graph. `tests/test_mutations.py` holds it against Keras.
Every layer has a `uid`, which the tables do not show: it says who is who after an edit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from kerasguard.blueprint.architecture import config_digest, unique_name
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec, snake_case

__all__ = ["Inner", "Laid", "Layer", "Net", "laid_out", "net"]

Shape = tuple[int, ...]
Call = tuple[str, int]
Variables = list[tuple[str, str, Shape]]


@dataclass(frozen=True)
class Layer:
    """One layer.

    Args:
        uid: who it is, whatever it is called.
        cls: Keras class; `Input` for an input of the model.
        config: the constructor's arguments but for the name.
        calls: per call, the layers (and which of their calls) whose outputs are its arguments.
        name: that a person gave; empty where Keras makes one up.
    """

    uid: str
    cls: str
    config: Mapping[str, Any] = field(default_factory=dict)
    calls: tuple[tuple[Call, ...], ...] = ()
    name: str = ""

    @property
    def kind(self) -> str:
        """The class in snake case."""
        return "input_layer" if self.cls == "Input" else snake_case(self.cls)


@dataclass(frozen=True)
class Inner:
    """Layers in a row that are a model of their own.

    Args:
        uid: of the inner model.
        members: uids, in the order in which they are called; one input, one output.
        name: that a person gave.
    """

    uid: str
    members: tuple[str, ...]
    name: str = ""


@dataclass(frozen=True, eq=False)
class Net:
    """A functional model.

    Args:
        layers: in the order of creation.
        outputs: of the model.
        inner: models inside it.
        name: of the model; shows in no table, but in files of some formats.
        drift: by class in snake case, how many layers the process had made before.
        optimizer: `adam`, `sgd` or `rmsprop`; empty for a model that was not compiled.
        frozen: layers that are not trained.
    """

    layers: tuple[Layer, ...]
    outputs: tuple[Call, ...]
    inner: tuple[Inner, ...] = ()
    name: str = ""
    drift: Mapping[str, int] = field(default_factory=dict)
    optimizer: str = ""
    frozen: frozenset[str] = frozenset()

    def __getitem__(self, uid: str) -> Layer:
        return next(layer for layer in self.layers if layer.uid == uid)

    def names(self) -> dict[str, str]:
        """The name of every layer and inner model, made up where nobody gave one."""
        count = dict(self.drift)
        result: dict[str, str] = {}
        owner = {inner.members[0]: inner for inner in self.inner}

        def made_up(kind: str) -> str:
            number = count.get(kind, 0)
            count[kind] = number + 1
            return f"{kind}_{number}" if number else kind

        for layer in self.layers:
            if layer.uid in owner:
                result[owner[layer.uid].uid + "/input"] = made_up("input_layer")
            result[layer.uid] = layer.name or made_up(layer.kind)
        for inner in self.inner:
            result[inner.uid] = inner.name or made_up("functional")
        return result

    def shapes(self) -> dict[Call, Shape]:
        """Output shape of every call, without the batch axis."""
        found: dict[Call, Shape] = {}
        todo = [(layer, n) for layer in self.layers for n in range(max(len(layer.calls), 1))]
        while todo:
            left = []
            for layer, n in todo:
                sources = layer.calls[n] if layer.calls else ()
                if all(source in found for source in sources):
                    inputs = [found[source] for source in sources]
                    found[layer.uid, n] = _inferred(layer, inputs)[1]
                else:
                    left.append((layer, n))
            if len(left) == len(todo):
                raise ValueError(f"a cycle, or a call of nothing: {left[0]}")
            todo = left
        return found


def net(*layers: Layer, outputs: tuple[str, ...] = (), **rest: Any) -> Net:
    """A net; the last layer's last call is its output unless `outputs` (uids) says otherwise."""
    ends = outputs or (layers[-1].uid,)
    calls = {layer.uid: max(len(layer.calls), 1) - 1 for layer in layers}
    return Net(tuple(layers), tuple((uid, calls[uid]) for uid in ends), **rest)


@dataclass(frozen=True)
class Laid:
    """A net as Keras lays it out.

    Args:
        table: all that a manifest would tell.
        keys: of each tensor, by (uid, place inside the layer, variable).
        unit: uid by the layer's key.
    """

    table: Table
    keys: Mapping[tuple[str, str, str], str]
    unit: Mapping[str, str]


@lru_cache(256)
def laid_out(of: Net) -> Laid:
    """What Keras makes of a net."""
    names, shapes = of.names(), of.shapes()
    inside = {uid: inner for inner in of.inner for uid in inner.members}
    paths = _paths(of, inside)
    records: dict[str, LayerRecord] = {}
    for path, uid, position in paths:
        records[path] = _record(of, path, uid, position, names, {u: p for p, u, _ in paths}, inside)
    tensors: list[TensorRecord] = []
    keys: dict[tuple[str, str, str], str] = {}
    for path, uid, _ in paths:
        layer = next((la for la in of.layers if la.uid == uid), None)
        if layer is None:
            continue
        inputs = [shapes[source] for source in (layer.calls[0] if layer.calls else ())]
        for place, variable, shape in _inferred(layer, inputs)[0]:
            key = f"{path}/{place}"
            within, owner = place.rpartition("vars/")[0].rstrip("/"), path
            trainable = uid not in of.frozen and not variable.startswith("moving_")
            tensors.append(
                TensorRecord(
                    key,
                    TensorSpec(shape, "float32"),
                    name=f"{names[uid]}/{variable}",
                    variable=variable,
                    layer=f"{owner}/{within}" if within else owner,
                    trainable=trainable,
                    digest=f"xxh3:{uid}/{within}/{variable}",
                    nonfinite=0,
                )
            )
            keys[uid, within, variable] = key
    trained = [r for r in tensors if r.trainable]
    rank = {path: i for i, (path, _, _) in enumerate(paths)}
    trained.sort(key=lambda r: _creation(r, rank))
    for slot in _optimizer(of.optimizer, trained):
        tensors.append(slot)
        if slot.slot_of or of.optimizer:
            keys["optimizer", slot.slot, slot.slot_of] = slot.key
    if of.optimizer:
        records["optimizer"] = LayerRecord("optimizer", of.optimizer, _OPTIMIZERS[of.optimizer][0])
    return Laid(Table.of(tensors, layers=records), keys, {path: uid for path, uid, _ in paths})


def _paths(of: Net, inside: Mapping[str, Inner]) -> list[tuple[str, str, int]]:
    """Key, uid and position of everything, as Keras orders a functional model's layers."""
    result: list[tuple[str, str, int]] = []
    used: dict[str, int] = {}
    for position, uid in enumerate(_ordered(of, inside)):
        inner = next((i for i in of.inner if i.uid == uid), None)
        if inner is None:
            result.append((f"layers/{unique_name(of[uid].kind, used)}", uid, position))
            continue
        path = f"layers/{unique_name('functional', used)}"
        result += [(path, uid, position), (f"{path}/layers/input_layer", f"{uid}/input", 0)]
        numbers: dict[str, int] = {}
        for place, member in enumerate(inner.members, 1):
            name = unique_name(of[member].kind, numbers)
            result.append((f"{path}/layers/{name}", member, place))
    return result


def _outer(call: Call, inside: Mapping[str, Inner]) -> Call:
    """A call as the outer model sees it."""
    return (inside[call[0]].uid, 0) if call[0] in inside else call


def _sources(of: Net, node: Call, inside: Mapping[str, Inner]) -> list[Call]:
    inner = next((i for i in of.inner if i.uid == node[0]), None)
    layer = of[inner.members[0]] if inner else of[node[0]]
    call = layer.calls[node[1]] if layer.calls else ()
    return [_outer(source, inside) for source in call]


def _ordered(of: Net, inside: Mapping[str, Inner]) -> list[str]:
    """Keras' order: by distance from the outputs, then as a walk from the outputs meets them."""
    done: list[Call] = []
    met: dict[str, int] = {}

    def walk(node: Call) -> None:
        if node in done:
            return
        met.setdefault(node[0], len(met))
        for source in _sources(of, node, inside):
            walk(source)
        done.append(node)

    for output in of.outputs:
        walk(_outer(output, inside))
    depth: dict[Call, int] = {}
    depths: dict[str, int] = {}
    for node in reversed(done):
        depth[node] = depths[node[0]] = max(depth.get(node, 0), depths.get(node[0], 0))
        for source in _sources(of, node, inside):
            depth[source] = max(depth[node] + 1, depth.get(source, 0))
    return sorted(depths, key=lambda uid: (-depths[uid], met[uid]))


def _record(
    of: Net,
    path: str,
    uid: str,
    position: int,
    names: Mapping[str, str],
    path_of: Mapping[str, str],
    inside: Mapping[str, Inner],
) -> LayerRecord:
    name = names.get(uid, "")
    if uid.endswith("/input"):
        return LayerRecord(path, name, "InputLayer", _INPUT, (), 0)
    inner = next((i for i in of.inner if i.uid == uid), None)
    if inner is not None:
        told = [[of[m].cls, dict(of[m].config)] for m in inner.members]
        calls: Any = (tuple((path_of[u], n, 0) for u, n in _sources(of, (uid, 0), inside)),)
        digest = config_digest("Functional", {"members": told})
        return LayerRecord(path, name, "Functional", digest, calls, position)
    layer = of[uid]
    if uid in inside:
        members = inside[uid].members
        place = members.index(uid)
        before = members[place - 1] if place else f"{inside[uid].uid}/input"
        calls = (((path_of[before], 0, 0),),)
    else:
        calls = tuple(
            tuple((path_of[u], n, 0) for u, n in (_outer(s, inside) for s in call))
            for call in layer.calls
        )
    cls = "InputLayer" if layer.cls == "Input" else layer.cls
    digest = _INPUT if cls == "InputLayer" else config_digest(cls, dict(layer.config))
    return LayerRecord(path, name, cls, digest, calls, position)


_ATTENTION = ("query_dense", "key_dense", "value_dense", "output_dense")
_INPUT = config_digest("InputLayer", {})
_OPTIMIZERS = {
    "adam": ("Adam", ("momentum", "velocity")),
    "sgd": ("SGD", ()),  # without momentum it has no slots
    "rmsprop": ("RMSprop", ("velocity",)),
}


def _creation(record: TensorRecord, rank: Mapping[str, int]) -> tuple[int, int]:
    """Optimizers keep slots in the order in which a layer made its weights."""
    owner = record.layer
    while owner not in rank:
        owner = owner.rpartition("/")[0]
    part = record.layer.rpartition("/")[2]
    return rank[owner], _ATTENTION.index(part) if part in _ATTENTION else 0


def _optimizer(name: str, trained: list[TensorRecord]) -> Iterator[TensorRecord]:
    if not name:
        return
    slots = [("iteration", "", TensorSpec((), "int64"))]
    slots.append(("learning_rate", "", TensorSpec((), "float32")))
    slots += [(slot, r.key, r.spec) for r in trained for slot in _OPTIMIZERS[name][1]]
    for index, (slot, of, spec) in enumerate(slots):
        yield TensorRecord(
            f"optimizer/vars/{index}",
            spec,
            name=f"optimizer/{slot}/{of}",
            variable=slot,
            layer="optimizer",
            role="optimizer",
            trainable=False,
            digest=f"xxh3:{slot}/{of}",
            slot=slot,
            slot_of=of,
        )


def _vars(*pairs: tuple[str, Shape], place: str = "") -> Variables:
    return [(f"{place}vars/{i}", variable, shape) for i, (variable, shape) in enumerate(pairs)]


def _inferred(layer: Layer, inputs: list[Shape]) -> tuple[Variables, Shape]:
    """A layer's variables (key inside the layer, name, shape) and its output's shape."""
    made = _MAKERS.get(layer.cls)
    first = inputs[0] if inputs else ()
    if layer.cls == "Input":
        return [], tuple(layer.config["shape"])
    if made is not None:
        return made(dict(layer.config), first)
    return [], _WEIGHTLESS[layer.cls](dict(layer.config), inputs)


def _dense(c: dict[str, Any], x: Shape) -> tuple[Variables, Shape]:
    return _vars(("kernel", (x[-1], c["units"])), ("bias", (c["units"],))), (*x[:-1], c["units"])


def _conv(c: dict[str, Any], x: Shape) -> tuple[Variables, Shape]:
    kernel = (*[c["kernel_size"]] * (len(x) - 1), x[-1], c["filters"])
    return _vars(("kernel", kernel), ("bias", (c["filters"],))), (*x[:-1], c["filters"])


def _depthwise(c: dict[str, Any], x: Shape) -> tuple[Variables, Shape]:
    kernel = (c["kernel_size"], c["kernel_size"], x[-1], 1)
    return _vars(("kernel", kernel), ("bias", (x[-1],))), x


def _normalised(c: dict[str, Any], x: Shape, *more: str) -> tuple[Variables, Shape]:
    flags = (("scale", "gamma"), ("center", "beta"))
    names = [variable for flag, variable in flags if c.get(flag, True)]
    return _vars(*((n, x[-1:]) for n in (*names, *more))), x


def _recurrent(c: dict[str, Any], x: Shape, gates: int) -> tuple[Variables, Shape]:
    units = c["units"]
    bias = (2, gates * units) if gates == 3 else (gates * units,)
    cell = (
        ("kernel", (x[-1], gates * units)),
        ("recurrent_kernel", (units, gates * units)),
        ("bias", bias),
    )
    out = (x[0], units) if c.get("return_sequences") else (units,)
    return _vars(*cell, place="cell/"), out


def _attention(c: dict[str, Any], x: Shape) -> tuple[Variables, Shape]:
    heads, size = c["num_heads"], c["key_dim"]
    found: Variables = []
    for place in ("key_dense", "output_dense", "query_dense", "value_dense"):
        out = place == "output_dense"
        kernel = (heads, size, x[-1]) if out else (x[-1], heads, size)
        bias = (x[-1],) if out else (heads, size)
        found += _vars(("kernel", kernel), ("bias", bias), place=f"{place}/")
    return found, x


_MAKERS: dict[str, Callable[[dict[str, Any], Shape], tuple[Variables, Shape]]] = {
    "Dense": _dense,
    "Conv1D": _conv,
    "Conv2D": _conv,
    "DepthwiseConv2D": _depthwise,
    "BatchNormalization": lambda c, x: _normalised(c, x, "moving_mean", "moving_variance"),
    "LayerNormalization": _normalised,
    "Embedding": lambda c, x: (
        _vars(("embeddings", (c["input_dim"], c["output_dim"]))),
        (*x, c["output_dim"]),
    ),
    "LSTM": lambda c, x: _recurrent(c, x, 4),
    "GRU": lambda c, x: _recurrent(c, x, 3),
    "MultiHeadAttention": _attention,
    "PReLU": lambda c, x: (_vars(("alpha", x)), x),
}
_WEIGHTLESS: dict[str, Any] = {
    **dict.fromkeys(("ReLU", "Dropout", "Activation", "Add"), lambda c, xs: xs[0]),
    "Concatenate": lambda c, xs: (*xs[0][:-1], sum(x[-1] for x in xs)),
    "Flatten": lambda c, xs: (math.prod(xs[0]),),
    "GlobalAveragePooling2D": lambda c, xs: xs[0][-1:],
    "GlobalAveragePooling1D": lambda c, xs: xs[0][-1:],
    "MaxPooling2D": lambda c, xs: (xs[0][0] // 2, xs[0][1] // 2, xs[0][2]),
    "UpSampling2D": lambda c, xs: (xs[0][0] * 2, xs[0][1] * 2, xs[0][2]),
    "Reshape": lambda c, xs: tuple(c["target_shape"]),
}
