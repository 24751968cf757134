"""Which module of a state dict is which layer of the model.

Evidence, from strong to weak: what the caller says (`renames`), equal names, and the only layer
that a module's arrays fit. Where several fit, the numbers of a container decide (`net.0`, `net.2`)
if the model calls the layers in a row; any other order is a guess.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from kerasguard.identity.graph import Graph
from kerasguard.layouts.pytorch.layers import Layer
from kerasguard.layouts.pytorch.recipes import Recipe, recipe
from kerasguard.planning.operations import Step
from kerasguard.tensors import Table, TensorRecord, TensorSpec

__all__ = ["Doubt", "Modules", "Paired", "pair"]

Modules = Mapping[str, Mapping[str, TensorRecord]]
"""By module, its arrays by their names in it."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A layer that several modules fit.

    Args:
        layer: of the model.
        modules: that fit it, the likeliest first.
    """

    layer: Layer
    modules: tuple[str, ...]


@dataclass
class Paired:
    """What was decided.

    Args:
        modules: by key of the layer, its module.
        ordered: those of them whose numbers alone decided, in order.
        doubts: layers that stay open.
    """

    modules: dict[str, str] = field(default_factory=dict)
    ordered: list[str] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)


def pair(
    layers: Sequence[Layer], modules: Modules, wishes: Mapping[str, str], expected: Table
) -> Paired:
    """Decide which module each layer gets.

    Args:
        layers: of the model.
        modules: of the state dict, in its order.
        wishes: by key of the layer, its module, as the caller says.
        expected: the model's table, whose graph tells the order of its layers.
    """
    found = Paired(dict(wishes))
    work = _Open(layers, modules, found)
    work.by_name()
    work.by_fit()
    work.by_number(expected)
    work.by_name(weak=True)
    work.by_elimination()
    return found


def fits(layer: Layer, arrays: Mapping[str, TensorRecord]) -> bool:
    """Whether the arrays of a module become all variables of a layer, with their shapes."""
    return _leads(recipe(layer, arrays), layer, arrays)


def _leads(steps: Recipe, layer: Layer, arrays: Mapping[str, TensorRecord]) -> bool:
    if isinstance(steps, str):
        return False
    specs = {record.key: record.spec for record in arrays.values()}
    shapes = {record.key: record.spec.shape for record in layer.variables.values()}
    return all(_shape(step, specs) == shapes[step.target] for step in steps)


def _shape(step: Step, specs: Mapping[str, TensorSpec]) -> tuple[int, ...] | None:
    try:
        return step.infer([specs[source] for source in step.sources]).shape
    except ValueError:
        return None


class _Open:
    """Layers and modules that have no counterpart yet."""

    def __init__(self, layers: Sequence[Layer], modules: Modules, found: Paired) -> None:
        self.layers, self.modules, self.found = layers, modules, found
        self._looks: dict[str, tuple[object, ...]] = {
            **{name: _look(arrays) for name, arrays in modules.items()},
            **{x.key: (x.kind, x.inner, _look(x.variables)) for x in layers},
        }
        self._fits: dict[tuple[object, object], bool] = {}

    def free(self) -> tuple[list[Layer], list[str]]:
        """The layers without a module, and the modules without a layer."""
        doubted = {doubt.layer.key for doubt in self.found.doubts}
        taken = set(self.found.modules.values())
        return (
            [x for x in self.layers if x.key not in self.found.modules and x.key not in doubted],
            [name for name in self.modules if name not in taken],
        )

    def by_name(self, *, weak: bool = False) -> None:
        """Equal names: of the whole path, then of the layer alone, then without a shared prefix.

        Args:
            weak: whether names count that Keras may have made up.
        """
        for spell_layer in (_whole_path, _own_name):
            for spell_module in (_spelt, _without_prefix(self.modules)):
                layers, modules = self.free()
                ours = _unique((spell_layer(x), x.key) for x in layers if weak or not x.weak)
                theirs = _unique((spell_module(name), name) for name in modules)
                self.found.modules |= {
                    ours[name]: theirs[name] for name in ours if name and name in theirs
                }

    def by_fit(self) -> None:
        """Layers and modules that fit each other and nothing else."""
        while True:
            layers, modules = self.free()
            ours = {x.key: [m for m in modules if self.fit(x, m)] for x in layers}
            count = Counter(m for found in ours.values() for m in found)
            new = {key: m[0] for key, m in ours.items() if len(m) == 1 and count[m[0]] == 1}
            if not new:
                return
            self.found.modules |= new

    def by_number(self, expected: Table) -> None:
        """Several that fit: by their numbers, if the model calls the layers in a row."""
        layers, modules = self.free()
        while layers:
            first = layers[0]
            theirs = [m for m in modules if self.fit(first, m)]
            ours = [x for x in layers if any(self.fit(x, m) for m in theirs)]
            layers = [x for x in layers if x is not first and x not in ours]
            alike = 0 < len(ours) == len(theirs) and self._all_fit(ours, theirs)
            row = _in_a_row(ours, expected) if alike else None
            if row and _numbered(theirs):
                self.found.modules |= {x.key: m for x, m in zip(row, theirs, strict=True)}
                self.found.ordered += [x.key for x in row]
            else:
                self._doubt(row or ours, theirs)

    def _all_fit(self, layers: Sequence[Layer], modules: Sequence[str]) -> bool:
        return all(self.fit(x, m) for x in layers for m in modules)

    def _doubt(self, layers: Sequence[Layer], modules: Sequence[str]) -> None:
        """Each layer may be any of these modules, first of all the one at its own place."""
        for place, layer in enumerate(layers):
            likely = modules[place : place + 1]
            rest = [m for m in modules if m not in likely]
            self.found.doubts.append(Doubt(layer, (*likely, *rest)))

    def by_elimination(self) -> None:
        """One layer and one module that are left, or that alone differ in nothing but sizes."""
        layers, modules = self.free()
        contested = {m for doubt in self.found.doubts for m in doubt.modules}
        modules = [m for m in modules if m not in contested]
        if len(layers) == len(modules) == 1:
            self.found.modules[layers[0].key] = modules[0]
            return
        alike = [
            (x.key, m)
            for x in layers
            for m in modules
            if not isinstance(recipe(x, self.modules[m]), str)
        ]
        if len(alike) == 1:
            self.found.modules |= dict(alike)

    def fit(self, layer: Layer, module: str) -> bool:
        """Whether they fit; asked once for all that look the same."""
        look = self._looks[layer.key], self._looks[module]
        if look not in self._fits:
            self._fits[look] = fits(layer, self.modules[module])
        return self._fits[look]


def _look(arrays: Mapping[str, TensorRecord]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, record.spec.shape) for name, record in arrays.items())


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """By name, what alone has it."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _spelt(name: str) -> str:
    """A name in letters that both allow: levels are apart by one sign, whatever it is."""
    return re.sub(r"[\W_]+", "_", name).strip("_").lower()


def _whole_path(layer: Layer) -> str:
    return _spelt("/".join(layer.names))


def _own_name(layer: Layer) -> str:
    return _spelt(layer.names[-1]) if layer.names else ""


def _without_prefix(modules: Modules) -> Callable[[str], str]:
    """How to spell a module without what all of them begin with (`module.`, `model.`)."""
    levels = [name.split(".")[:-1] for name in modules]
    same = takewhile(lambda parts: len(set(parts)) == 1, zip(*levels, strict=False))
    shared = sum(1 for _ in same)
    return lambda name: _spelt(".".join(name.split(".")[shared:]))


def _numbered(modules: Sequence[str]) -> bool:
    """Whether they differ in the numbers of their containers alone, and these rise."""
    levels = [name.split(".") for name in modules]
    words = {tuple("" if _is_number(part) else part for part in parts) for parts in levels}
    numbers = [[int(part) for part in parts if _is_number(part)] for parts in levels]
    return len(words) == 1 and bool(numbers[0]) and numbers == sorted(numbers)


def _is_number(part: str) -> bool:
    """Whether a part of a name counts; nothing counts to more than 18 digits."""
    return part.isdecimal() and len(part) <= 18


def _in_a_row(layers: Sequence[Layer], expected: Table) -> list[Layer] | None:
    """The layers in the order of their calls; None where these are not one after another.

    Each has to be reached from all before it, and from none behind it.
    """
    graph = Graph.of(expected.layers, expected.ends)
    places = [next((k for k in reversed(x.around) if k in graph.layers), "") for x in layers]
    if len(set(places)) != len(places) or "" in places:
        return None
    known = {key: number for number, key in enumerate(places)}
    seen = graph.seen(known, {})
    above = {}
    for key, number in known.items():
        mask = 0
        for call in seen[key].above:
            for one in call:
                mask |= one
        above[number] = mask
    order = sorted(above, key=lambda number: above[number].bit_count())
    before = 0
    for number in order:
        if above[number] != before:
            return None
        before |= 1 << number
    return [layers[number] for number in order]
