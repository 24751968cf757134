"""nn.MultiheadAttention: the projections of all heads as one matrix, three of them in one array.

Head h has the rows h * size to (h + 1) * size of each projection, and these columns of the
output's; Keras keeps an axis for the heads and one for their size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

from kerasguard.layouts.pytorch.layers import Layer
from kerasguard.planning.operations import Op, Pick, Reshape, Step, Transpose
from kerasguard.tensors import TensorRecord

__all__ = ["attention"]

Arrays = Mapping[str, TensorRecord]
_PARTS = ("query", "key", "value")


def attention(layer: Layer, arrays: Arrays) -> tuple[Step, ...] | str:
    """Steps of a MultiHeadAttention; or why there are none."""
    if {"bias_k", "bias_v"} & arrays.keys():
        return "a module with add_bias_kv=True has no layer in Keras"
    steps = tuple(_steps(layer, arrays))
    targets = {step.target for step in steps}
    used = {source for step in steps for source in step.sources}
    left = [n for n, r in layer.variables.items() if r.key not in targets]
    spare = [n for n, r in arrays.items() if r.key not in used]
    if left or spare:
        return (
            f"the module holds {', '.join(arrays)}, and the layer takes "
            f"{', '.join(layer.variables)}; build it with use_bias={'in_proj_bias' in arrays}"
        )
    return steps


def _steps(layer: Layer, arrays: Arrays) -> Iterator[Step]:
    joined = "in_proj_weight" in arrays
    for part, name in enumerate(_PARTS):
        weight = arrays.get("in_proj_weight" if joined else f"{name[0]}_proj_weight")
        target = layer.variables.get(f"{name}_dense/kernel")
        if target is not None and weight is not None:
            rows, columns = weight.spec.shape[0] // (3 if joined else 1), weight.spec.shape[1:]
            heads = _heads((*columns, rows), target.spec.shape, len(columns))
            taken = _part(weight.spec.shape, part) if joined else ()
            yield Step(target.key, (weight.key,), (*taken, Transpose((1, 0)), *heads))
        bias, target = arrays.get("in_proj_bias"), layer.variables.get(f"{name}_dense/bias")
        if target is not None and bias is not None:
            heads = _heads((bias.spec.shape[0] // 3,), target.spec.shape, 0)
            yield Step(target.key, (bias.key,), (*_part(bias.spec.shape, part), *heads))
    yield from _output(layer, arrays)


def _output(layer: Layer, arrays: Arrays) -> Iterator[Step]:
    for variable, name in (("kernel", "weight"), ("bias", "bias")):
        target = layer.variables.get(f"output_dense/{variable}")
        source = arrays.get(f"out_proj.{name}")
        if target is None or source is None:
            continue
        ops: tuple[Op, ...] = ()
        if variable == "kernel":
            outputs, inputs = source.spec.shape
            want = target.spec.shape
            whole = want[-1] == outputs and prod(want[:-1]) == inputs
            ops = (Transpose((1, 0)), *((Reshape(want),) if whole else ()))
        yield Step(target.key, (source.key,), ops)


def _part(shape: tuple[int, ...], part: int) -> tuple[Op, ...]:
    """One of the three arrays that lie below each other."""
    rows = shape[0] // 3
    if shape[0] % 3:
        return ()
    return (Reshape((3, rows, *shape[1:])), Pick(0, (part,)), Reshape((rows, *shape[1:])))


def _heads(have: tuple[int, ...], want: tuple[int, ...], inputs: int) -> tuple[Op, ...]:
    """The last axis as one of heads and one of their size, if it is that and no other."""
    same = have[:inputs] == want[:inputs] and prod(want[inputs:]) == have[-1]
    return (Reshape(want),) if same else ()
