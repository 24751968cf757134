"""From the arrays of one module to the variables of one layer, by the layer's class.

PyTorch's modules keep (outputs, inputs, ...) where Keras' layers keep (..., inputs, outputs);
both correlate, so that no kernel is turned. What a class of layers has no module for is refused.

Source: PyTorch 2 `nn/modules/linear.py`, `conv.py`, `batchnorm.py`, `normalization.py`,
`sparse.py`, `rnn.py`, `activation.py`; Keras 3 `layers/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from math import prod

from kerasguard.layouts.pytorch.attention import attention
from kerasguard.layouts.pytorch.layers import Layer
from kerasguard.layouts.pytorch.recurrent import recurrent
from kerasguard.planning.operations import Op, Reshape, Step, Transpose
from kerasguard.tensors import TensorRecord, TensorSpec

__all__ = ["Recipe", "known", "recipe"]

Arrays = Mapping[str, TensorRecord]
Recipe = tuple[Step, ...] | str
"""The steps of all of a layer's variables, or why there are none."""

_NORMALISED = {"gamma": "weight", "beta": "bias"}
_SCALED = {
    "BatchNormalization": {
        **_NORMALISED,
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    },
    "GroupNormalization": _NORMALISED,
    "LayerNormalization": _NORMALISED,
    "RMSNormalization": {"scale": "weight"},
    "Embedding": {"embeddings": "weight"},
    "ReversibleEmbedding": {"embeddings": "weight"},
}
_KERNELS = {"kernel": "weight", "bias": "bias"}
_CONVOLUTIONS = {
    f"{kind}{rank}D{turned}"
    for kind in ("Conv", "DepthwiseConv")
    for rank in "123"
    for turned in ("", "Transpose")
}
_CELLS = ("GRU", "LSTM", "SimpleRNN")
_RECURRENT = ("Bidirectional", *_CELLS, *(f"{kind}Cell" for kind in _CELLS))


def known(kind: str) -> bool:
    """Whether PyTorch has a module for layers of this class."""
    own = (*_RECURRENT, *_SCALED, "Dense", "MultiHeadAttention", "PReLU")
    return kind in own or kind in _CONVOLUTIONS


def recipe(layer: Layer, arrays: Arrays) -> Recipe:
    """How the arrays of a module become the variables of a layer.

    Args:
        layer: of the model.
        arrays: of the module, by their names in it.

    Returns:
        A step per variable, whose shapes need not be the expected ones; or why there is none.
    """
    kind = layer.kind
    ranks = {len(record.spec.shape) for record in layer.variables.values()}
    if kind == "LayerNormalization" and max(ranks) > 1:
        return "it normalises along several axes, and arrays do not show their order"
    if kind in _SCALED:
        return _renamed(layer, arrays, _SCALED[kind], lambda *_: ())
    if kind == "Dense" or kind in _CONVOLUTIONS:
        return _renamed(layer, arrays, _KERNELS, _kernel)
    if kind == "PReLU":
        return _renamed(layer, arrays, {"alpha": "weight"}, _slopes)
    if kind in _RECURRENT:
        return recurrent(layer, arrays)
    if kind == "MultiHeadAttention":
        return attention(layer, arrays)
    return f"PyTorch has no module with the arrays of a {kind or 'layer of this class'}"


def _renamed(
    layer: Layer,
    arrays: Arrays,
    names: Mapping[str, str],
    changed: Callable[[Layer, TensorSpec, TensorRecord], tuple[Op, ...]],
) -> Recipe:
    """A step per variable, from the array of the name that belongs to it."""
    wanted = {names.get(variable, variable): record for variable, record in layer.variables.items()}
    if wanted.keys() != arrays.keys():
        zero = f', or skip=["{layer.label}/bias"] if it is zero' if "bias" in wanted else ""
        return (
            f"the module holds {', '.join(arrays)}, and the layer takes {', '.join(wanted)}; build "
            f"{_options(names, wanted.keys(), arrays.keys())}"
            + (zero if wanted.keys() - {"bias"} == arrays.keys() else "")
        )
    steps = []
    for name, record in wanted.items():
        source = arrays[name]
        ops = () if name == "bias" else changed(layer, source.spec, record)
        steps.append(Step(record.key, (source.key,), ops))
    return tuple(steps)


_OPTIONS = {
    "bias": ("use_bias", "center"),
    "weight": ("", "scale"),
    "running_mean": ("", ""),
}


def _options(names: Mapping[str, str], wanted: Set[str], found: Set[str]) -> str:
    """Which arguments of the layer would give it the variables that the module has."""
    normalised = "gamma" in names
    differ = sorted(wanted ^ found)
    told = [f"{_OPTIONS.get(n, ('', ''))[normalised]}={n in found}" for n in differ]
    known_ = [text for text in told if not text.startswith("=")]
    return f"the layer with {', '.join(known_)}" if known_ else "the layer as the module was"


def _kernel(layer: Layer, have: TensorSpec, record: TensorRecord) -> tuple[Op, ...]:
    """Outputs first to outputs last; a kernel of one place is a matrix, in either direction."""
    want, rank = record.spec.shape, len(have.shape)
    if layer.kind.startswith("Depthwise") and rank == len(want):
        # Outputs are channel by channel in both: channel * multiplier + n.
        places = (*range(2, rank), 0, 1)
        fits = have.shape[1] == 1 and have.shape[0] == prod(want[-2:])
        return (Transpose(places), Reshape((*have.shape[2:], *want[-2:]))) if fits else ()
    first: tuple[Op, ...] = ()
    if rank != len(want) and prod(have.shape[2:]) == 1 and rank >= 2:
        first, rank = ((Reshape(have.shape[:2]),) if rank > 2 else ()), 2
    outputs_last = (*first, Transpose((*range(2, rank), 1, 0)))
    if rank == 2 < len(want) and prod(want[:-2]) == 1:
        spaces = (1,) * (len(want) - 2)
        return (*outputs_last, Reshape((*spaces, have.shape[1], have.shape[0])))
    return outputs_last if rank >= 2 else ()


def _slopes(_: Layer, have: TensorSpec, record: TensorRecord) -> tuple[Op, ...]:
    """A slope per channel, which the layer keeps with an axis of 1 per place."""
    want = record.spec.shape
    whole = have.shape == (prod(want),) == want[-1:]
    return (Reshape(want),) if whole and want != have.shape else ()
