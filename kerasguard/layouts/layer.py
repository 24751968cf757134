"""One layer of a legacy file, nested or not, to one layer of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from kerasguard.layouts.leaf import Leaf, leaf_steps
from kerasguard.layouts.names import expected_parts
from kerasguard.layouts.nested import splits
from kerasguard.layouts.origin import Ordering, Origin
from kerasguard.planning.operations import Step
from kerasguard.tensors import LayerRecord, TensorRecord

__all__ = ["Ways", "as_listed", "in_order", "layer_ways", "leaves_of", "legacy_steps"]

Ways = dict[Ordering, tuple[Step, ...]]
# Keras' saving walks attributes in alphabetical order; these were made in this one.
_MADE = {
    "forward_layer": 0,
    "backward_layer": 1,
    "query_dense": 0,
    "key_dense": 1,
    "value_dense": 2,
    "output_dense": 3,
}


def legacy_steps(
    expected: Sequence[TensorRecord],
    stored: Sequence[TensorRecord],
    writer: Mapping[str, str],
    layers: Mapping[str, LayerRecord] | None = None,
    config: Mapping[str, object] | None = None,
) -> tuple[Step, ...] | None:
    """Steps from one legacy layer's tensors to all variables of one layer of today.

    Args:
        expected: the variables of the layer and of all layers inside it.
        stored: the tensors of the layer's group, in the order of its `weight_names`.
        writer: what the file tells of its writer.
        layers: the expected table's layers; tell the classes.
        config: of the layer as stored, with `class_name` and `config`.

    Returns:
        A step per expected variable; None where no known layout fits, or several do.
    """
    origin = Origin.of(writer, config)
    rank = {key: n for n, key in enumerate(layers or {})}
    leaves = leaves_of(expected, layers or {}, rank)
    known = in_order(leaves, layers or {})
    ways, sure = layer_ways(leaves, stored, origin, told=config is not None, ordered=known)
    return next(iter(ways.values())) if sure and len(ways) == 1 else None


def leaves_of(
    expected: Iterable[TensorRecord],
    layers: Mapping[str, LayerRecord],
    rank: Mapping[str, int],
) -> tuple[Leaf, ...]:
    """The layers that own variables, in the order of the model rather than of the file.

    Args:
        expected: variables of some layers.
        layers: all of the model's.
        rank: the place of each layer among `layers`; numbered once, not once per layer.
    """
    owned: dict[str, list[TensorRecord]] = {}
    for record in expected:
        owned.setdefault(record.layer, []).append(record)

    def place(key: str) -> tuple[int, ...]:
        return tuple(
            layers[k].position if layers[k].position >= 0 else _MADE.get(_last(k), rank[k])
            for k in _around(key, layers)
        )

    return tuple(
        Leaf(
            key,
            layers[key].class_name if key in layers else "",
            _scopes(owned[key][0], key, layers),
            tuple(owned[key]),
        )
        for key in sorted(owned, key=place)
    )


def as_listed(leaves: Sequence[Leaf], listed: Sequence[str]) -> tuple[Leaf, ...]:
    """The leaves in the order in which their layer lists its weights, and each leaf's likewise."""
    rank = {key: n for n, key in enumerate(listed)}
    end = len(rank)

    def place(record: TensorRecord) -> int:
        return rank.get(record.key, end)

    inside = [replace(x, expected=tuple(sorted(x.expected, key=place))) for x in leaves]
    return tuple(sorted(inside, key=lambda leaf: place(leaf.expected[0])))


def in_order(leaves: Sequence[Leaf], layers: Mapping[str, LayerRecord]) -> bool:
    """Whether the leaves' order is known to be the one in which Keras lists their weights.

    It is not where a layer of a user-defined model has several layers in attributes: the expected
    table has them by the attributes' names, the writer had them as they were made.
    """
    inside: dict[str, set[str]] = {}
    for leaf in leaves:
        for outer, inner in pairwise(_around(leaf.key, layers)):
            attribute = inner[len(outer) + 1 :].split("/")[0]
            inside.setdefault(outer, set()).add(attribute)
    return all(len(names) == 1 or names <= set(_MADE) for names in inside.values())


def _around(key: str, layers: Mapping[str, LayerRecord]) -> list[str]:
    """The layers around `key`, outermost first, itself last."""
    parts = key.split("/")
    return [k for n in range(1, len(parts) + 1) if (k := "/".join(parts[:n])) in layers]


def _last(key: str) -> str:
    return key.rsplit("/", 1)[-1]


def _scopes(record: TensorRecord, key: str, layers: Mapping[str, LayerRecord]) -> tuple[str, ...]:
    """The scopes of a leaf's variables, as Keras 2 named the layers.

    It called a backward layer of Bidirectional `backward_...` also where the layer was the
    caller's own; Keras 3 leaves the caller's name as it is.
    """
    parts = expected_parts(record.name, record.variable)
    layer = layers.get(key)
    parts = parts if layer is None or layer.name in parts else (*parts, layer.name)
    own = {layers[k].name for k in _around(key, layers) if _last(k) == "backward_layer"}
    return tuple(f"backward_{p.removeprefix('backward_')}" if p in own else p for p in parts)


def layer_ways(
    leaves: Sequence[Leaf],
    stored: Sequence[TensorRecord],
    origin: Origin,
    *,
    told: bool,
    ordered: bool = True,
) -> tuple[Ways, bool]:
    """Every way from a group's tensors to all leaves, by Keras 1 ordering of the kernels.

    Args:
        leaves: of the expected layer.
        stored: the group's tensors, in order.
        origin: the writer.
        told: whether the model says truly which of its layers were frozen when it was saved.
        ordered: whether the leaves' order is the writer's, see `in_order`.

    Returns:
        The ways, empty where nothing fits, and whether no other reading fits as well.
    """
    first: Ways = {}
    single, twins = _without_twins(leaves)
    for split, by_name in splits(single, stored, origin):
        parts = [leaf_steps(leaf, s, origin) for leaf, s in zip(single, split, strict=True)]
        ways = {o: _with_twins(steps, twins) for o, steps in _combined(parts).items()}
        if not ways:
            continue
        if by_name or (told and ordered):
            return ways, True
        if first and ways != first:
            return first, False
        first = ways
    return first, ordered or not first


def _without_twins(leaves: Sequence[Leaf]) -> tuple[list[Leaf], dict[str, str]]:
    """The leaves with every variable once, and the keys that are a second key of another one.

    SpectralNormalization of Keras 3 holds, and stores, the kernel of the layer inside it too.
    """
    inside = {
        (leaf.key.rpartition("/")[0], r.variable, r.spec): r.key
        for leaf in leaves
        for r in leaf.expected
    }
    single: list[Leaf] = []
    twins: dict[str, str] = {}
    for leaf in leaves:
        own = []
        for record in leaf.expected:
            twin = inside.get((leaf.key, record.variable, record.spec))
            if twin is not None and leaf.class_name == "SpectralNormalization":
                twins[record.key] = twin
            else:
                own.append(record)
        single.append(replace(leaf, expected=tuple(own)))
    return single, twins


def _with_twins(steps: tuple[Step, ...], twins: Mapping[str, str]) -> tuple[Step, ...]:
    by_target = {step.target: step for step in steps}
    return (*steps, *(replace(by_target[b], target=a) for a, b in twins.items()))


def _combined(parts: Sequence[Ways]) -> Ways:
    """Ways through all parts that agree on the ordering; a part with one way has no choice."""
    orderings: set[Ordering] = {o for ways in parts for o in ways if o} or {""}
    result: Ways = {}
    for ordering in sorted(orderings, reverse=True):
        chosen = [
            next(iter(ways.values())) if len(ways) == 1 else ways.get(ordering, ways.get(""))
            for ways in parts
        ]
        steps = tuple(step for way in chosen if way is not None for step in way)
        if None not in chosen and steps not in result.values():
            result[ordering] = steps
    return result
