"""Recurrent layers: the gates of Keras 1 and the kernels and biases of cuDNN.

Keras 1 kept one array per gate (`W_i, U_i, b_i, W_c, ...`: LSTM i, c, f, o; GRU z, r, h); today
the gates lie side by side (i, f, c, o; z, r, h). CuDNNLSTM and CuDNNGRU kept each gate's kernel
transposed (the input's under the shape of the untransposed one) and two biases: LSTM adds them up,
GRU keeps them as two rows, which is what `reset_after=True` computes with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kerasguard.layouts.convolution import kernel_layouts
from kerasguard.layouts.origin import Ordering, Origin
from kerasguard.planning.operations import Concat, Op, Reshape, Step, Sum, Transpose
from kerasguard.tensors import TensorRecord

__all__ = ["cudnn_steps", "gate_steps"]

_PARTS = {"kernel": "W", "recurrent_kernel": "U", "bias": "b"}
_GATES = {"lstm": ("icfo", "ifco"), "gru": ("zrh", "zrh")}


def gate_steps(
    class_name: str,
    expected: Sequence[TensorRecord],
    stored: Sequence[TensorRecord],
    origin: Origin,
) -> dict[Ordering, tuple[Step, ...]]:
    """Steps that join the gates of Keras 1, by ordering of the kernels; empty if it has none."""
    wanted = {record.variable: record for record in expected}
    arrays = _gates(stored)
    if arrays is None or set(wanted) != set(_PARTS):
        return {}
    cell, gates = arrays
    results: dict[Ordering, tuple[Step, ...]] = {}
    for ordering in ("tf", "th"):
        steps = []
        for variable, part in _PARTS.items():
            sources = [gates[part, gate] for gate in _GATES[cell][1]]
            step = _joined(class_name, wanted[variable], sources, origin, ordering)
            if step is not None:
                steps.append(step)
        if len(steps) == len(_PARTS):
            results[ordering] = tuple(steps)
    same = len(expected[0].spec.shape) < 3
    return {"": results["tf"]} if same and "tf" in results else results


def _gates(
    stored: Sequence[TensorRecord],
) -> tuple[str, dict[tuple[str, str], TensorRecord]] | None:
    """The cell's kind and its arrays by (part, gate): by name, or by position without names."""
    for cell, (old, _) in _GATES.items():
        if len(stored) != 3 * len(old):
            continue
        by_name = {(r.variable[:1], r.variable[2:]): r for r in stored if r.variable[1:2] == "_"}
        places = [(part, gate) for gate in old for part in "WUb"]
        if set(by_name) == set(places):
            return cell, by_name
        if not by_name or all(r.variable.startswith("param_") for r in stored):
            return cell, dict(zip(places, stored, strict=True))
    return None


def _joined(
    class_name: str,
    target: TensorRecord,
    sources: Sequence[TensorRecord],
    origin: Origin,
    ordering: Ordering,
) -> Step | None:
    """The gates side by side along the outputs' axis, which Keras 1 had first under `th`."""
    rank = len(sources[0].spec.shape)
    join = Concat(0 if ordering == "th" and rank > 2 else rank - 1)
    try:
        whole = join.join([record.spec for record in sources])
    except ValueError:
        return None
    ways = kernel_layouts(class_name, target.variable, whole, target.spec, origin)
    ops = ways.get(ordering, ways.get(""))
    keys = tuple(record.key for record in sources)
    return None if ops is None else Step(target.key, keys, ops, join)


def cudnn_steps(
    expected: Sequence[TensorRecord], stored: Sequence[TensorRecord]
) -> tuple[Step, ...]:
    """Steps from a CuDNN layer's tensors to LSTM's or GRU's; empty if they are something else."""
    wanted = {record.variable: record for record in expected}
    have = {record.variable: record for record in stored}
    if set(wanted) != set(_PARTS) or set(have) != set(_PARTS):
        return ()
    kernel, recurrent, bias = (wanted[v].spec.shape for v in _PARTS)
    if (
        len(kernel) != 2
        or recurrent[1] % recurrent[0]
        or have["bias"].spec.shape != (2 * kernel[1],)
    ):
        return ()
    gates = recurrent[1] // recurrent[0]
    if bias == (2, kernel[1]):
        biases: tuple[Op, ...] = (Reshape(bias),)
    elif bias == (kernel[1],) and gates == 4:
        biases = (Reshape((2, kernel[1])), Sum(0))
    else:
        return ()
    if have["kernel"].spec.shape != kernel or have["recurrent_kernel"].spec.shape != recurrent:
        return ()
    ops: Mapping[str, tuple[Op, ...]] = {
        "kernel": _untransposed(kernel[0], gates, recurrent[0]),
        "recurrent_kernel": _untransposed(recurrent[0], gates, recurrent[0]),
        "bias": biases,
    }
    return tuple(Step(wanted[v].key, (have[v].key,), ops[v]) for v in _PARTS)


def _untransposed(inputs: int, gates: int, units: int) -> tuple[Op, ...]:
    """Each gate's block, stored (inputs, units), holds a (units, inputs) matrix in C order."""
    return (
        Reshape((inputs, gates, units)),
        Transpose((1, 0, 2)),
        Reshape((gates, units, inputs)),
        Transpose((2, 0, 1)),
        Reshape((inputs, gates * units)),
    )
