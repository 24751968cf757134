"""Edits of imaginary models: what people do to their code between saving and loading.

Each takes a net and a random generator and returns the edited net, or None where there is nothing
of that kind to edit. Uids say who is who afterwards: a new layer has a new uid.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nets import Call, Inner, Layer, Net

__all__ = ["EDITS", "Edit"]

Edit = Callable[[Net, random.Random], "Net | None"]


def rename(of: Net, rng: random.Random) -> Net | None:
    """One to three layers get other names, also such that had none."""
    able = [layer for layer in of.layers if layer.cls != "Input"]
    chosen = {layer.uid for layer in rng.sample(able, min(len(able), rng.randint(1, 3)))}
    return _each(
        of, lambda la: replace(la, name=f"new_{la.name or la.uid}") if la.uid in chosen else la
    )


def rename_all(of: Net, rng: random.Random) -> Net | None:
    """Every name that a person gave becomes another."""
    if not any(layer.name for layer in of.layers):
        return None
    return _each(of, lambda la: replace(la, name=la.name and f"v2_{la.name}"))


def drift(of: Net, rng: random.Random) -> Net | None:
    """The process had made other layers before."""
    kinds = {layer.kind for layer in of.layers} | {"functional"}
    return replace(of, drift={kind: rng.randint(0, 12) for kind in sorted(kinds)})


def insert_alike(of: Net, rng: random.Random) -> Net | None:
    """A layer is inserted behind one of its class, of the same shape where that is possible."""
    able = [la for la in of.layers if la.cls in _SAME and _keeps_shape(of, la)]
    if not able:
        return None
    model = rng.choice(able)
    config = dict(model.config)
    if "activation" in config and rng.random() < 0.5:
        config["activation"] = rng.choice(("relu", "tanh", "selu"))
    return _inserted(
        of, model.uid, Layer("new", model.cls, config, ()), rng, named=bool(model.name)
    )


def remove_alike(of: Net, rng: random.Random) -> Net | None:
    """A layer is removed that is not the only one of its class."""
    able = [
        la
        for la in of.layers
        if la.cls in _SAME
        and _keeps_shape(of, la)
        and sum(other.cls == la.cls for other in of.layers) > 1
    ]
    return _removed(of, rng.choice(able)) if able else None


def reorder(of: Net, rng: random.Random) -> Net | None:
    """Two layers that keep their input's shape change places, and with them their names."""
    able = [la for la in of.layers if la.cls in _SAME and _keeps_shape(of, la)]
    pairs = [
        (a, b)
        for a in able
        for b in able
        if a.uid < b.uid and a.cls == b.cls and of.shapes()[a.uid, 0] == of.shapes()[b.uid, 0]
    ]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    result = _exchanged(of, a.uid, b.uid)
    return _recreated(result, a.uid, b.uid) if rng.random() < 0.5 else result


def swap_branches(of: Net, rng: random.Random) -> Net | None:
    """A merging layer gets its inputs in another order, or branches are written in another."""
    merging = [la for la in of.layers if la.calls and len(set(la.calls[0])) > 1]
    if len(of.outputs) > 1 and not merging:
        return replace(of, outputs=of.outputs[::-1])
    if not merging:
        return None
    chosen = rng.choice(merging)
    if rng.random() < 0.5:
        calls = (chosen.calls[0][::-1], *chosen.calls[1:])
        try:
            return _checked(_each(of, lambda la: replace(la, calls=calls) if la is chosen else la))
        except ValueError:
            return None
    a, b = (of[call[0]] for call in rng.sample(sorted(set(chosen.calls[0])), 2))
    return _recreated(of, a.uid, b.uid) if a.cls == b.cls else None


def freeze(of: Net, rng: random.Random) -> Net | None:
    """Some layers are no longer trained."""
    return replace(of, frozen=frozenset(la.uid for la in of.layers if rng.random() < 0.4))


def nest(of: Net, rng: random.Random) -> Net | None:
    """Layers in a row become a model of their own, or such a model is dissolved."""
    if of.inner:
        return replace(of, inner=())
    chain = [la for la in of.layers if len(la.calls) == 1 and len(la.calls[0]) == 1]
    users = _users(of)
    runs: list[list[str]] = []
    for layer in chain:
        before = layer.calls[0][0][0]
        if runs and runs[-1][-1] == before and users[before] == [layer.uid]:
            runs[-1].append(layer.uid)
        else:
            runs.append([layer.uid])
    runs = [run for run in runs if len(run) > 1]
    if not runs:
        return None
    run = rng.choice(runs)
    length = rng.randint(2, min(len(run), 4))
    start = rng.randint(0, len(run) - length)
    members = tuple(run[start : start + length])
    given = any(of[uid].name for uid in members)
    return replace(of, inner=(Inner("wrapped", members, "my_part" if given else ""),))


def rename_model(of: Net, rng: random.Random) -> Net | None:
    """The model itself gets another name."""
    return replace(of, name="renamed_model")


def flags(of: Net, rng: random.Random) -> Net | None:
    """A normalisation goes without scale or without offset."""
    able = [la for la in of.layers if la.cls in ("BatchNormalization", "LayerNormalization")]
    if not able:
        return None
    chosen = rng.choice(able)
    ways = [(True, True), (True, False), (False, True)]
    now = (chosen.config.get("center", True), chosen.config.get("scale", True))
    center, scale = rng.choice([way for way in ways if way != now])
    config = {**chosen.config, "center": center, "scale": scale}
    return _each(of, lambda la: replace(la, config=config) if la is chosen else la)


def other_arguments(of: Net, rng: random.Random) -> Net | None:
    """A layer gets another activation; its weights are what they were."""
    able = [la for la in of.layers if "activation" in la.config]
    if not able:
        return None
    chosen = rng.choice(able)
    others = [a for a in ("relu", "tanh", "selu", "gelu") if a != chosen.config["activation"]]
    config = {**chosen.config, "activation": rng.choice(others)}
    return _each(of, lambda la: replace(la, config=config) if la is chosen else la)


def drop(of: Net, rng: random.Random) -> Net | None:
    """Any layer that keeps its input's shape is removed."""
    able = [la for la in of.layers if _keeps_shape(of, la)]
    return _removed(of, rng.choice(able)) if able else None


def extra(of: Net, rng: random.Random) -> Net | None:
    """A layer of another class is inserted somewhere."""
    able = [la for la in of.layers if la.calls and len(la.calls) == 1 and la.cls != "Embedding"]
    behind = rng.choice(able)
    cls, config = rng.choice(
        (
            ("PReLU", {}),
            ("Dropout", {"rate": 0.2}),
            ("LayerNormalization", {}),
            ("Activation", {"activation": "relu"}),
            ("BatchNormalization", {}),
        )
    )
    return _inserted(of, behind.uid, Layer("new", cls, config, ()), rng, named=bool(behind.name))


def other_optimizer(of: Net, rng: random.Random) -> Net | None:
    """Another optimizer trains on."""
    others = [name for name in ("adam", "sgd", "rmsprop") if name != of.optimizer]
    return replace(of, optimizer=rng.choice(others))


EDITS: dict[str, Edit] = {
    "rename": rename,
    "rename all": rename_all,
    "auto-names drift": drift,
    "insert same class": insert_alike,
    "remove same class": remove_alike,
    "reorder": reorder,
    "swap branches": swap_branches,
    "freeze": freeze,
    "nest, un-nest": nest,
    "rename model": rename_model,
    "normalisation flags": flags,
    "other arguments": other_arguments,
    "drop layer": drop,
    "extra layer": extra,
    "other optimizer": other_optimizer,
}
_SAME = {"Dense", "Conv2D", "Conv1D", "BatchNormalization", "LayerNormalization", "LSTM"}


def _each(of: Net, change: Callable[[Layer], Layer]) -> Net:
    return replace(of, layers=tuple(change(layer) for layer in of.layers))


def _checked(of: Net) -> Net:
    """The net; ValueError where shapes do not fit."""
    of.shapes()
    return of


def _users(of: Net) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {layer.uid: [] for layer in of.layers}
    for layer in of.layers:
        for call in layer.calls:
            for uid, _ in call:
                users[uid].append(layer.uid)
    for uid, _ in of.outputs:
        users[uid].append("")
    return users


def _keeps_shape(of: Net, layer: Layer) -> bool:
    """Whether it is called once, on one tensor, and gives one of the same shape."""
    if len(layer.calls) != 1 or len(layer.calls[0]) != 1:
        return False
    shapes = of.shapes()
    return shapes[layer.calls[0][0]] == shapes[layer.uid, 0]


def _redirected(of: Net, old: Call, new: Call, but: str = "") -> Net:
    """What was called on `old` is called on `new`."""

    def change(layer: Layer) -> Layer:
        if layer.uid == but:
            return layer
        calls = tuple(tuple(new if s == old else s for s in call) for call in layer.calls)
        return replace(layer, calls=calls)

    outputs = tuple(new if s == old else s for s in of.outputs)
    return replace(_each(of, change), outputs=outputs)


def _removed(of: Net, layer: Layer) -> Net:
    result = _redirected(of, (layer.uid, 0), layer.calls[0][0])
    inner = tuple(
        replace(i, members=tuple(m for m in i.members if m != layer.uid)) for i in of.inner
    )
    layers = tuple(la for la in result.layers if la.uid != layer.uid)
    return replace(result, layers=layers, inner=tuple(i for i in inner if i.members))


def _inserted(of: Net, behind: str, new: Layer, rng: random.Random, *, named: bool) -> Net | None:
    """The net with a layer behind another, created right after it or at the end of the code."""
    taken = {layer.uid for layer in of.layers}
    uid = next(u for u in (f"new{i}" for i in range(9)) if u not in taken)
    new = replace(new, uid=uid, calls=(((behind, 0),),), name=f"my_{uid}" if named else "")
    result = _redirected(of, (behind, 0), (uid, 0))
    at = next(i for i, la in enumerate(of.layers) if la.uid == behind) + 1
    result = replace(result, layers=(*result.layers[:at], new, *result.layers[at:]))
    inner = []
    for model in of.inner:
        members = list(model.members)
        if behind in members:
            members.insert(members.index(behind) + 1, uid)
        inner.append(replace(model, members=tuple(members)))
    try:
        return _checked(replace(result, inner=tuple(inner)))
    except (ValueError, IndexError, KeyError):
        return None


def _exchanged(of: Net, a: str, b: str) -> Net:
    """Each of two layers where the other was in the graph."""
    other = {a: b, b: a}

    def moved(call: Call) -> Call:
        return other.get(call[0], call[0]), call[1]

    calls = {la.uid: tuple(tuple(map(moved, call)) for call in la.calls) for la in of.layers}
    layers = tuple(replace(la, calls=calls[other.get(la.uid, la.uid)]) for la in of.layers)
    inner = tuple(replace(i, members=tuple(other.get(m, m) for m in i.members)) for i in of.inner)
    return replace(of, layers=layers, outputs=tuple(map(moved, of.outputs)), inner=inner)


def _recreated(of: Net, a: str, b: str) -> Net:
    """Two layers created in the other order; the graph stays."""
    by_uid: dict[str, Any] = {la.uid: la for la in of.layers}
    other = {a: b, b: a}
    return replace(of, layers=tuple(by_uid[other.get(la.uid, la.uid)] for la in of.layers))
