"""Inputs that a model can take: their shapes, dtypes and the range of values that makes sense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kerasguard.errors import ModelError
from kerasguard.models.kerases import dtype_name, is_a, is_layer, is_model, of
from kerasguard.models.kerases.graphs import graph_calls
from kerasguard.planning.probe import drawn
from kerasguard.tensors.elements import Array

__all__ = ["structured", "told_of"]

_BATCH = 2
_WORDS = ("a", "b", "kerasguard", "the", "of", "one", "two", "[UNK]")
# Layers that hand their input's values on.
_PASSING = ("Reshape", "Flatten", "Permute", "RepeatVector", "Dropout", "Concatenate", "Masking",
            "InputLayer", "Activation", "Identity", "Cropping1D", "ZeroPadding1D")  # fmt: skip


def told_of(
    model: Any, seed: int, *, size: int = 16, given: Any = None
) -> tuple[dict[str, Any], list[Array]]:
    """How the inputs of a probe can be made again, and the inputs.

    Args:
        model: built.
        seed: of the first input; the others follow.
        size: of the axes that may have any length.
        given: the inputs, if they are not to be made up.

    Raises:
        ModelError: nothing tells what the model takes.
    """
    policy = model.dtype_policy
    told: dict[str, Any] = {
        "seed": seed,
        "compute_dtype": str(getattr(policy, "compute_dtype", None) or "float32"),
        "quantised": any(getattr(v, "dtype", "") in ("int8", "uint8") for v in model.variables),
        "free": False,
    }
    if given is not None:
        leaves = [np.asarray(leaf) for leaf in of(model).flatten(given)]
        if any(leaf.dtype.kind not in "fiub" for leaf in leaves):
            raise ModelError("probe=x takes arrays of numbers; for text use probe=True")
        inputs: list[dict[str, Any]] = [
            {"shape": list(x.shape), "dtype": x.dtype.name, "kept": f"probe/input/{i}"}
            for i, x in enumerate(leaves)
        ]
        return {**told, "inputs": inputs, "structure": _structure(given)}, leaves
    specs = _specs(model)
    told["free"] = any(None in shape[1:] for shape, _ in specs)
    inputs = []
    for (shape, dtype), limits in zip(specs, _limits(model, specs), strict=True):
        filled = [_BATCH if i == 0 and n is None else n or size for i, n in enumerate(shape)]
        inputs.append({"shape": filled, "dtype": dtype, **limits})
    told |= {"inputs": inputs, "structure": "own"}
    return told, [drawn(one, seed + i) for i, one in enumerate(inputs)]


def structured(model: Any, told: Mapping[str, Any], leaves: Sequence[Array]) -> Any:
    """The inputs as the model wants them: by themselves, in a list, by name."""
    keras = of(model)
    tensors = [keras.to_tensor(x if x.dtype.kind != "O" else x.astype(str)) for x in leaves]
    structure = told["structure"]
    if structure == "own" and getattr(model, "inputs", None):
        single = model.inputs[0] if len(model.inputs) == 1 else list(model.inputs)
        own = getattr(model, "input", single)  # a Sequential has none of its own
        return keras.pack(own, tensors)
    if isinstance(structure, list):
        return dict(zip(structure, tensors, strict=True))
    return tensors if structure == "list" else tensors[0]


def _structure(given: Any) -> Any:
    if isinstance(given, Mapping):
        return sorted(map(str, given))
    return "list" if isinstance(given, (list, tuple)) else "single"


def _specs(model: Any) -> list[tuple[tuple[int | None, ...], str]]:
    """Shape and dtype of each input."""
    symbolic = getattr(model, "inputs", None)
    if symbolic:
        return [(tuple(t.shape), dtype_name(t.dtype)) for t in symbolic]
    shape = _build_shape(model)
    if shape and all(isinstance(n, (int, type(None))) for n in shape):
        return [(tuple(shape), "float32")]
    raise ModelError(
        f"model {model.name!r} does not say what inputs it takes; pass some with probe=x"
    )


def _build_shape(model: Any) -> Any:
    """The shape of a model's only input, if it was built for one; else None."""
    config: Any = model.get_build_config() if hasattr(model, "get_build_config") else None
    return config.get("input_shape") if isinstance(config, dict) else None


def _limits(
    model: Any, specs: Sequence[tuple[tuple[int | None, ...], str]]
) -> Iterator[dict[str, Any]]:
    """The range of each input's values."""
    smallest = min(_embeddings(model), default=0)
    for index, (_, dtype) in enumerate(specs):
        consumer = _consumer(model, index)
        if dtype == "string":
            words: list[Any] = getattr(consumer, "get_vocabulary", list)()
            yield {"words": [str(w) for w in words[:64] if w] + list(_WORDS)}
            continue
        bound = getattr(consumer, "input_dim", None) or getattr(consumer, "num_tokens", None)
        if bound is None and np.dtype(dtype).kind in "iub":
            bound = 2 if dtype == "bool" else smallest or 2
        elif bound is None and not getattr(model, "inputs", None) and smallest:
            bound = smallest  # of a model that tells no dtype
        if bound is None:
            yield {"low": -1.0, "high": 1.0}
        else:
            yield {"low": 0.0, "high": float(bound), "whole": True}


def _embeddings(layer: Any) -> Iterator[int]:
    if is_a(layer, "Embedding"):
        yield int(layer.input_dim)
    for one in of(layer).sublayers(layer):
        yield from _embeddings(one)


def _consumer(model: Any, index: int) -> Any:
    """The layer that an input's values reach as they are, through layers that hand them on."""
    kind = of(model).object_type(model)
    if kind == "Sequential":
        chain = [layer for layer in model.layers if type(layer).__name__ not in _PASSING]
        return _inside(chain[0], 0) if chain and not index else None
    if kind != "Functional":
        return None
    calls = list(zip(of(model).operations(model), graph_calls(model), strict=True))
    origin, _, output = model.inputs[index]._keras_history  # noqa: SLF001  # of its graph
    reached = {(id(origin), output)}
    for operation, given in calls:
        for call in given:
            for position, (source, _, number) in enumerate(call.tensors):
                if (id(source), number) in reached:
                    if type(operation).__name__ in _PASSING:
                        reached.add((id(operation), 0))
                    elif (found := _inside(operation, position)) is not None:
                        return found
    return None


def _inside(layer: Any, position: int) -> Any:
    """The layer itself, or what consumes its input inside it."""
    inner = getattr(layer, "layer", None)
    if is_layer(inner):
        return _inside(inner, position)
    if is_model(layer):
        return _consumer(layer, position)
    telling = ("input_dim", "num_tokens", "get_vocabulary")
    return layer if any(hasattr(layer, name) for name in telling) else None
