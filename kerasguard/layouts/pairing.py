"""Which layer of a legacy file is which layer of the model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kerasguard.layouts.layer import as_listed, in_order, leaves_of
from kerasguard.layouts.leaf import Leaf
from kerasguard.layouts.names import numbered, split_weight_name
from kerasguard.tensors import LayerRecord, Table, TensorRecord, snake_case

__all__ = ["Group", "Pairs", "model_groups", "opened_groups", "pairings", "stored_groups"]

_OWN_WEIGHTS = "top_level_model_weights"


@dataclass(frozen=True)
class Group:
    """A layer with weights, of either side.

    Args:
        record: of the layer.
        tensors: of the layer and of all layers inside it.
        leaves: of a model's layer, what owns them.
        ordered: whether the order of the leaves is the writer's.
        placed: whether the order of this layer among its siblings is.
    """

    record: LayerRecord
    tensors: tuple[TensorRecord, ...]
    leaves: tuple[Leaf, ...] = ()
    ordered: bool = True
    placed: bool = True

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.record.name


Pairs = list[tuple[Group, Group]]


def stored_groups(table: Table) -> list[Group]:
    """The file's layers with weights, in the file's order."""
    members = table.members()
    found = []
    for key, layer in table.layers.items():
        tensors = tuple(r for r in members.get(key, ()) if r.role == "weight")
        if tensors:
            found.append(Group(layer, tensors))
    return found


def opened_groups(table: Table) -> Iterator[Table]:
    """The file's table as that of each model inside it, which legacy files have as one layer."""
    for group in stored_groups(table):
        inner: dict[str, LayerRecord] = {}
        tensors: dict[str, TensorRecord] = {}
        for record in group.tensors:
            scopes, _ = split_weight_name(record.name.removeprefix(f"{group.name}/"))
            scope = scopes[0] if scopes else group.name
            key = f"{group.record.key}/{scope}"
            inner.setdefault(key, LayerRecord(key, scope, position=len(inner)))
            name = record.name.removeprefix(f"{group.name}/")
            tensors[record.key] = replace(record, layer=key, name=f"{scope}/{name}")
        if len(inner) > 1:
            yield replace(table, tensors=tensors, layers=inner, ends={})


def model_groups(
    table: Table, *, flat: bool = False, listed: Mapping[str, Sequence[str]] | None = None
) -> list[Group]:
    """The model's layers with weights, in the model's order.

    Args:
        table: of the model.
        flat: take the layers inside nested models by themselves, as Keras 1 did with `Merge`.
        listed: keys of the weights that a layer lists, those of other layers included, in its
            order; the file's order is this one.
    """
    owned: dict[str, list[TensorRecord]] = {}
    for record in table.tensors.values():
        if record.role == "weight":
            key = _innermost(record) if flat else _outermost(record.layer, table.layers)
            owned.setdefault(key, []).append(record)
    if listed and not flat:
        owned |= _sharing(table, listed, owned)
    rank = {key: n for n, key in enumerate(table.layers)}
    lone = len({key.split("/")[0] for key in owned if key}) == 1
    groups = []
    for key, records in owned.items():
        layer = table.layers.get(key) or LayerRecord(key, key.rsplit("/", 1)[-1] or _OWN_WEIGHTS)
        leaves = leaves_of(records, table.layers, rank)
        ordered = in_order(leaves, table.layers)
        if listed and key in listed and not flat:
            leaves, ordered = as_listed(leaves, listed[key]), True
        placed = layer.position >= 0 or lone or not key
        groups.append(Group(layer, tuple(records), leaves, ordered, placed))
    if flat:
        return groups
    end = len(rank)

    def place(group: Group) -> int:
        position = group.record.position
        return position if position >= 0 else rank.get(group.record.key, end)

    return sorted(groups, key=place)


def _sharing(
    table: Table, listed: Mapping[str, Sequence[str]], owned: Mapping[str, Sequence[TensorRecord]]
) -> dict[str, list[TensorRecord]]:
    """The weights of every layer of the model that lists some of another one too."""
    found = {}
    for key, weights in listed.items():
        if key and key not in table.layers:
            continue  # left out of a load, or a model whose layers are taken by themselves
        mine = {record.key for record in owned.get(key, ())}
        here = [table.tensors[weight] for weight in weights if weight in table.tensors]
        if set(weights) > mine and _outermost(key, table.layers) == key:
            found[key] = here
    return found


def _outermost(key: str, layers: Mapping[str, LayerRecord]) -> str:
    parts = key.split("/")
    around = ("/".join(parts[:n]) for n in range(1, len(parts)))
    return next((k for k in around if k in layers), key)


def _innermost(record: TensorRecord) -> str:
    match = re.match(r"(?:.*/)?layers/[^/]+", record.layer)
    return match[0] if match else record.layer


def pairings(
    files: Sequence[Group],
    model: Table,
    *,
    own: bool,
    asked: Container[str] = (),
    listed: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[tuple[Pairs, bool]]:
    """Ways to pair the layers, the best first, and whether each is certain if it fits.

    Args:
        files: the file's groups.
        model: the expected table.
        own: whether the model was built from the file's own config, so that names are the file's.
        asked: keys of layers whose names the caller says, though Keras may have made them up.
        listed: of `model_groups`.
    """
    models, flat = model_groups(model, listed=listed), model_groups(model, flat=True)
    named = max(_by(lambda g: g.name, files, models), _by(_spelled, files, models), key=len)
    inside = _by(_spelled, files, flat)
    total = len(named) == len(models)
    certain = own or _telling(named, files)
    if own and total:
        yield named, True
    elif own and len(inside) == len(flat):
        yield inside, True
    given = {id(m): f for f, m in named if not m.record.auto_named or m.record.key in asked}
    yield from _in_order(files, models, named, given)
    if total:
        yield named, certain
    elif len(files) == len(models):
        yield _ordered(files, models), not given and all(group.placed for group in models)
    if {group.record.key for group in flat} != {group.record.key for group in models}:
        yield inside, True
    if len(files) != len(models):
        yield _fitted(named, files, models), certain
    yield named, certain


def _in_order(
    files: Sequence[Group], models: Sequence[Group], named: Pairs, given: Mapping[int, Group]
) -> Iterator[tuple[Pairs, bool]]:
    """Ways by order, unless a user-given name says that it is another one."""
    ordered = _ordered(files, models)
    if any(given.get(id(m), f) is not f for f, m in ordered):
        yield _completed(named, files, models)
        return
    if ordered and all(group.placed for group in models):
        yield ordered, True
    ranked = _by_rank(files, models) if ordered else []
    if len(ranked) == len(models):
        yield ranked, True


def _ordered(files: Sequence[Group], models: Sequence[Group]) -> Pairs:
    return list(zip(files, models, strict=True)) if len(files) == len(models) else []


def _telling(named: Pairs, files: Sequence[Group]) -> bool:
    """Whether names decide although there are more layers in the file than in the model.

    `dense_1` is another layer in another process: such a name says nothing where several layers of
    the file have the same shapes.
    """
    count = Counter(_shapes(group) for group in files)
    return all(not model.record.auto_named or count[_shapes(file)] == 1 for file, model in named)


def _shapes(group: Group) -> tuple[tuple[int, ...], ...]:
    return tuple(r.spec.shape for r in group.tensors)


def _completed(named: Pairs, files: Sequence[Group], models: Sequence[Group]) -> tuple[Pairs, bool]:
    """Pairs by name, and the rest in order; certain if at most one layer is left for one."""
    used = {id(group) for pair in named for group in pair}
    left = [g for g in files if id(g) not in used], [g for g in models if id(g) not in used]
    if len(left[0]) != len(left[1]):
        return named, True
    return [*named, *zip(*left, strict=True)], len(left[0]) < 2


def _fitted(named: Pairs, files: Sequence[Group], models: Sequence[Group]) -> Pairs:
    """Pairs by name, and layers that Keras named if one of a class and its shapes is left.

    A backbone out of a whole model, with a Normalization that another process numbered otherwise.
    """
    used = {id(group) for pair in named for group in pair}
    left = [file for file in files if id(file) not in used]
    weak = [model for model in models if id(model) not in used and model.record.auto_named]
    stems = {id(file): numbered(file.name)[0] for file in left}
    stems |= {id(model): snake_case(model.record.class_name) for model in weak}
    return [*named, *_by(lambda group: (stems[id(group)], _shapes(group)), left, weak)]


def _spelled(group: Group) -> str:
    """The name without characters that some version of Keras does not allow."""
    return re.sub(r"\W", "_", group.name)


def _by(
    spell: Callable[[Group], Hashable], files: Sequence[Group], models: Sequence[Group]
) -> Pairs:
    """Pairs of equal spelling, where it is unique on both sides."""
    hits: dict[Hashable, list[Group]] = {}
    for group in files:
        hits.setdefault(spell(group), []).append(group)
    mine = Counter(spell(model) for model in models)
    return [
        (found[0], model)
        for model in models
        if len(found := hits.get(spell(model), [])) == 1 == mine[spell(model)]
    ]


def _by_rank(files: Sequence[Group], models: Sequence[Group]) -> Pairs:
    """By name where a person gave it; else the n-th of its class as Keras numbered them."""
    given = {m.name for m in models if not m.record.auto_named}
    ranks = {**_ranks(files, given), **_ranks(models, given)}
    return _by(lambda group: ranks[id(group)], files, models)


def _ranks(groups: Sequence[Group], given: set[str]) -> dict[int, tuple[str, int]]:
    """By group: its class and its rank among the numbers of that class, or its given name."""
    numbers: dict[int, tuple[str, int]] = {}
    for group in groups:
        stem = snake_case(group.record.class_name)
        if group.name in given:
            numbers[id(group)] = (group.name, -1)
        elif stem and group.record.auto_named:
            numbers[id(group)] = (stem, numbered("x" + group.name[len(stem) :])[1])
        else:
            numbers[id(group)] = numbered(group.name)
    every = sorted(numbers.values())
    return {
        key: (stem, every.index((stem, n)) - every.index(min(e for e in every if e[0] == stem)))
        for key, (stem, n) in numbers.items()
    }
