"""One layer without sublayers: its stored tensors to its variables of today."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerasguard.identity.variable_names import same_variable
from kerasguard.layouts.convolution import kernel_layouts
from kerasguard.layouts.locally_connected import local_bias, local_kernel
from kerasguard.layouts.origin import Ordering, Origin
from kerasguard.layouts.recurrent import cudnn_steps, gate_steps
from kerasguard.planning.operations import Op, Step
from kerasguard.tensors import TensorRecord

__all__ = ["Leaf", "leaf_steps", "local_steps", "match_variables"]

# Kept by old layers and without a place, or a use at inference, in today's.
_OBSOLETE = (
    "count",
    "renorm_mean",
    "renorm_stddev",
    "renorm_mean_weight",
    "renorm_stddev_weight",
    "moving_stddev",
)
# Of a BatchNormalization that used the batch's own statistics, and is another layer today.
_UNUSED = ("moving_mean", "moving_variance", "running_mean", "running_std")


@dataclass(frozen=True, slots=True)
class Leaf:
    """An expected layer that owns variables itself.

    Args:
        key: of the layer in the expected table.
        class_name: empty where unknown.
        scopes: names of the layer and of those around it, outermost first.
        expected: its variables, in order.
    """

    key: str
    class_name: str
    scopes: tuple[str, ...]
    expected: tuple[TensorRecord, ...]


def leaf_steps(
    leaf: Leaf, stored: Sequence[TensorRecord], origin: Origin
) -> dict[Ordering, tuple[Step, ...]]:
    """Every way from the stored tensors to all variables of the layer, by Keras 1 ordering.

    Empty where nothing fits; one entry where the ordering is told or does not matter.
    """
    gates = gate_steps(leaf.class_name, leaf.expected, stored, origin)
    cudnn = cudnn_steps(leaf.expected, stored)
    ways = gates or ({"": cudnn} if cudnn else _plain(leaf, stored, origin))
    if origin.ordering and origin.ordering in ways:
        return {origin.ordering: ways[origin.ordering]}
    return ways


def _plain(
    leaf: Leaf, stored: Sequence[TensorRecord], origin: Origin
) -> dict[Ordering, tuple[Step, ...]]:
    """A step per variable, by name or position, with what kernels need."""
    pairs = match_variables(stored, leaf.expected)
    if pairs is None:
        return {}
    local = next((origin.local[name] for name in leaf.scopes[::-1] if name in origin.local), None)
    if local is not None:
        steps = local_steps(pairs, local)
        return {"": steps} if steps else {}
    found = [kernel_layouts(leaf.class_name, e.variable, s.spec, e.spec, origin) for s, e in pairs]
    orderings: set[Ordering] = {o for ways in found for o in ways if o} or {""}
    results: dict[Ordering, tuple[Step, ...]] = {}
    for ordering in sorted(orderings, reverse=True):
        ops: list[tuple[Op, ...] | None] = [w.get(ordering, w.get("")) for w in found]
        steps = tuple(
            Step(e.key, (s.key,), o) for (s, e), o in zip(pairs, ops, strict=True) if o is not None
        )
        if len(steps) == len(pairs) and steps not in results.values():
            results[ordering] = steps
    return results


def local_steps(
    pairs: Sequence[tuple[TensorRecord, TensorRecord]], config: Mapping[str, Any]
) -> tuple[Step, ...]:
    """Kernel and bias of a locally connected layer; none where they do not fit its config."""
    steps = []
    for s, e in pairs:
        kernel = e.variable == "kernel"
        ops = local_kernel(s.spec, e.spec, config) if kernel else local_bias(e.spec, config)
        if ops is None or (s.spec.size != e.spec.size and not kernel):
            return ()
        steps.append(Step(e.key, (s.key,), ops))
    return tuple(steps)


def match_variables(
    stored: Sequence[TensorRecord], expected: Sequence[TensorRecord]
) -> list[tuple[TensorRecord, TensorRecord]] | None:
    """Pairs (stored, expected) of one layer: by name where that is one-to-one, else by position.

    None where the counts differ, or where a name says that the position is wrong.
    """
    stored = _in_use(stored, expected)
    if len(stored) != len(expected):
        return None
    for same in (str.__eq__, same_variable):
        pairs = _one_to_one(stored, expected, same)
        if pairs:
            return pairs
    pairs = list(zip(stored, expected, strict=True))
    names = {e.variable for e in expected}
    wrong = [s for s, e in pairs if s.variable in names and s.variable != e.variable]
    return None if wrong else pairs


def _in_use(
    stored: Sequence[TensorRecord], expected: Sequence[TensorRecord]
) -> Sequence[TensorRecord]:
    """What is stored without what the layer no longer has, where there is too much."""
    if len(stored) > len(expected):
        stored = [r for r in stored if r.variable not in _OBSOLETE]
    if len(stored) > len(expected) and "moving_mean" not in {e.variable for e in expected}:
        stored = [r for r in stored if r.variable not in _UNUSED]
    return stored


def _one_to_one(
    stored: Sequence[TensorRecord],
    expected: Sequence[TensorRecord],
    same: Callable[[str, str], bool],
) -> list[tuple[TensorRecord, TensorRecord]]:
    """Pairs by name; none unless every name is that of one tensor on either side."""
    pairs = []
    for e in expected:
        hits = [s for s in stored if same(s.variable, e.variable)]
        pairs += [(hits[0], e)] if len(hits) == 1 else []
    return pairs if len(pairs) == len(expected) == len({s.key for s, _ in pairs}) else []
