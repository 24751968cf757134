"""One layer of a legacy file, nested or not, to one layer of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kerasguard.layouts.leaf import Leaf, leaf_steps
from kerasguard.layouts.names import expected_parts
from kerasguard.layouts.nested import splits
from kerasguard.layouts.origin import Ordering, Origin
from kerasguard.repairs import Step
from kerasguard.tensors import LayerRecord, TensorRecord

__all__ = ["layer_ways", "leaves_of", "legacy_steps"]

Ways = dict[Ordering, tuple[Step, ...]]


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
    leaves = leaves_of(expected, layers or {})
    ways, sure = layer_ways(leaves, stored, origin, told=config is not None)
    return next(iter(ways.values())) if sure and len(ways) == 1 else None


def leaves_of(
    expected: Iterable[TensorRecord], layers: Mapping[str, LayerRecord]
) -> tuple[Leaf, ...]:
    """The layers that own variables, in the order of the model rather than of the file."""
    owned: dict[str, list[TensorRecord]] = {}
    for record in expected:
        owned.setdefault(record.layer, []).append(record)
    rank = {key: n for n, key in enumerate(layers)}

    def place(key: str) -> tuple[int, ...]:
        parts = key.split("/")
        around = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        known = [k for k in around if k in layers]
        return tuple(p if (p := layers[k].position) >= 0 else rank[k] for k in known)

    return tuple(
        Leaf(
            key,
            layers[key].class_name if key in layers else "",
            _scopes(owned[key][0], layers.get(key)),
            tuple(owned[key]),
        )
        for key in sorted(owned, key=place)
    )


def _scopes(record: TensorRecord, layer: LayerRecord | None) -> tuple[str, ...]:
    parts = expected_parts(record.name, record.variable)
    return parts if layer is None or layer.name in parts else (*parts, layer.name)


def layer_ways(
    leaves: Sequence[Leaf], stored: Sequence[TensorRecord], origin: Origin, *, told: bool
) -> tuple[Ways, bool]:
    """Every way from a group's tensors to all leaves, by Keras 1 ordering of the kernels.

    Args:
        told: whether the model says truly which of its layers were frozen when it was saved.

    Returns:
        The ways, empty where nothing fits, and whether no other reading fits as well.
    """
    first: Ways = {}
    for split, by_name in splits(leaves, stored, origin):
        ways = _combined([leaf_steps(leaf, s, origin) for leaf, s in zip(leaves, split, strict=True)])
        if not ways:
            continue
        if by_name or (told and not first):
            return ways, True
        if first and ways != first:
            return first, False
        first = ways
    return first, True


def _combined(parts: Sequence[Ways]) -> Ways:
    """Ways through all parts that agree on the ordering."""
    orderings: set[Ordering] = {o for ways in parts for o in ways if o} or {""}
    result: Ways = {}
    for ordering in sorted(orderings, reverse=True):
        chosen = [ways.get(ordering, ways.get("")) for ways in parts]
        steps = tuple(step for way in chosen if way is not None for step in way)
        if None not in chosen and steps not in result.values():
            result[ordering] = steps
    return result
