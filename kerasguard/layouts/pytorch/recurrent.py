"""nn.LSTM, nn.GRU and nn.RNN: gates in their own order, two biases, a set per direction.

LSTM: gates i, f, g, o, as Keras' i, f, c, o. Its two biases are only ever added up, so their sum is
Keras' one. GRU: gates r, z, n where Keras has z, r, h, and the reset gate is applied after the
recurrent product, which is what `reset_after=True` computes, with both biases.
"""

from __future__ import annotations

from collections.abc import Mapping

from kerasguard.layouts.pytorch.layers import Layer
from kerasguard.planning.operations import Concat, Op, Pick, Reshape, Step, Sum, Transpose
from kerasguard.tensors import TensorRecord

__all__ = ["recurrent"]

Arrays = Mapping[str, TensorRecord]
_GATES = {"SimpleRNN": (0,), "LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2)}
_DIRECTIONS = (("forward_layer/", ""), ("backward_layer/", "_reverse"))


def recurrent(layer: Layer, arrays: Arrays) -> tuple[Step, ...] | str:
    """Steps of a recurrent layer, of both directions of a Bidirectional; or why there are none."""
    both, alone = layer.kind == "Bidirectional", layer.kind.endswith("Cell")
    kind = layer.inner if both else layer.kind.removesuffix("Cell")
    if kind not in _GATES:
        return f"PyTorch has no module with the arrays of a Bidirectional {kind}"
    two = any(name.endswith("_reverse") for name in arrays)
    if two != both:
        ways = ("one direction", "two directions")
        return f"the module has {ways[two]}, and the layer {ways[both]}"
    if any("_hr" in name for name in arrays):
        return "an LSTM with projections (proj_size=) has no layer in Keras"
    steps: list[Step] = []
    for below, suffix in _DIRECTIONS if both else (("", ""),):
        found = _direction(layer, kind, "" if alone else f"{below}cell/", arrays, suffix)
        if isinstance(found, str):
            return found
        steps += found
    if len(steps) != len(layer.variables):
        return f"the layer has {', '.join(layer.variables)}, which no module of PyTorch has"
    return tuple(steps)


def _direction(layer: Layer, kind: str, cell: str, arrays: Arrays, suffix: str) -> list[Step] | str:
    """Steps of one direction."""
    kernels = (("kernel", "weight_ih"), ("recurrent_kernel", "weight_hh"))
    biases = [f"bias_{part}{suffix}" for part in ("ih", "hh")]
    lacking = [name for _, part in kernels if (name := part + suffix) not in arrays]
    if lacking or any(f"{cell}{variable}" not in layer.variables for variable, _ in kernels):
        return f"the module holds {', '.join(arrays)}, which a {kind} does not have"
    steps = []
    for variable, part in kernels:
        source = arrays[part + suffix]
        ops = (*_reordered(kind, source.spec.shape, 0), Transpose((1, 0)))
        steps.append(Step(layer.variables[cell + variable].key, (source.key,), ops))
    bias = layer.variables.get(f"{cell}bias")
    have = [arrays[name] for name in biases if name in arrays]
    if bias is None and not have:
        return steps
    if bias is None or len(have) != 2:
        return f"the module has {len(have)} biases; build the layer with use_bias={bool(have)}"
    if kind == "GRU" and len(bias.spec.shape) != 2:
        return "nn.GRU resets after the recurrent product; build the layer with reset_after=True"
    width = have[0].spec.shape[0]
    joined = (Reshape((2, width)), *_reordered(kind, (2, width), 1))
    ops = joined if kind == "GRU" else (*joined, Sum(0))
    return [*steps, Step(bias.key, tuple(r.key for r in have), ops, Concat(0))]


def _reordered(kind: str, shape: tuple[int, ...], axis: int) -> tuple[Op, ...]:
    """The gates, blocks along an axis, in Keras' order."""
    order = _GATES[kind]
    if order == tuple(sorted(order)) or shape[axis] % len(order):
        return ()
    before, after = shape[:axis], shape[axis + 1 :]
    blocks = (*before, len(order), shape[axis] // len(order), *after)
    return (Reshape(blocks), Pick(axis, order), Reshape(shape))
