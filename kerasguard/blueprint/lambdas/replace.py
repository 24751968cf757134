"""A Lambda layer of a graph, and the operations that take its place."""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.computation import Plan, Unsupported
from kerasguard.blueprint.lambdas.drawing import Drawing, Result, dtype_name
from kerasguard.blueprint.lambdas.evaluate import apply, opened, outcome
from kerasguard.blueprint.lambdas.kinds import kind_in, kinds_of
from kerasguard.blueprint.lambdas.values import Named, Tensor
from kerasguard.blueprint.nodes import calls_of, history_of, layers_of
from kerasguard.blueprint.objects import Json, class_of, config_of, name_of, objects
from kerasguard.blueprint.shapes import shapes_of
from kerasguard.blueprint.writer import Writer
from kerasguard.bytecode.expressions import NotUnderstoodError
from kerasguard.bytecode.functions import Stored, is_code, read

__all__ = ["drawn", "tensorflow_of"]

_COPY: tuple[tuple[str, Json], ...] = (("numpy.Copy", {}),)


def tensorflow_of(writer: Writer) -> int:
    """Whether TensorFlow 1 or 2 computed the model; 0 where the file does not say.

    TensorFlow 1.13 to 2.1 all call their Keras 2.2.4-tf; Keras 2.3 ran on both.
    """
    if writer.tensorflow:
        return 1 if writer.tensorflow < (2,) else 2
    if writer.text.endswith("-tf"):
        return 2 if writer.keras >= (2, 3) else 1 if writer.keras < (2, 2, 4) else 0
    return 2 if writer.keras >= (2, 4) else 1 if writer.keras < (2, 3) else 0


def drawn(
    architecture: Json, model: Json, layer: Json, function: Stored, writer: Writer
) -> tuple[Drawing, list[Result]]:
    """The operations that compute a Lambda, for each of its calls; nothing is changed yet.

    Args:
        architecture: that the model is part of.
        model: config of a functional model.
        layer: the Lambda in it.
        function: as it was read.
        writer: who wrote the file.

    Raises:
        Unsupported: they are not in the table; the text names what is missing.
    """
    calls = calls_of(layer)
    if not calls:
        raise Unsupported("a layer that is never called")
    drawing = Drawing(
        model, name_of(layer), shapes_of(model), tensorflow_of(writer), kinds=kinds_of(model)
    )
    masked = _has_masks(architecture)
    named = _arguments(config_of(layer))
    _check_mask(config_of(layer), masked=masked)
    for name in set(function.function.parameters) & {"mask", "training"} - set(named):
        if name == "mask" and masked:
            raise Unsupported("the mask of the input")
        named[name] = None if name == "mask" else Named("training")
    results: list[Result] = []
    for call in calls:
        inputs = _inputs(drawing, layer, call, autocast=_casts(model, layer, writer))
        result = _computed(drawing, function, inputs, named)
        results.append(_own(drawing, result, masked=masked))
    return drawing, results


def _computed(drawing: Drawing, function: Stored, inputs: Any, named: dict[str, Any]) -> Result:
    try:
        return outcome(apply(drawing, function.function, (inputs,), named, _held(function)))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The tables take what TensorFlow would; a file can hold a call that no TensorFlow takes.
        raise Unsupported(f"arguments that fit no function ({error})") from error


def _held(function: Stored) -> dict[str, Any]:
    return {name: opened(value) for name, value in function.closure.items()}


def _arguments(config: Json) -> dict[str, Any]:
    given = config.get("arguments") or {}
    if not isinstance(given, dict):
        raise Unsupported("arguments that are not a dict")
    if any(isinstance(value, dict) for value in given.values()):
        raise Unsupported("arguments that are objects")
    return {name: opened(value) for name, value in given.items()}


def _check_mask(config: Json, *, masked: bool) -> None:
    """Operations hand no mask on; nor does a Lambda without a function for it."""
    mask = config.get("mask")
    if mask is None or not masked:
        return
    if is_code(mask):
        try:
            source = read(mask).source
        except NotUnderstoodError as reason:
            raise Unsupported(f"its mask: {reason}") from None
        if not source.endswith(": None"):
            raise Unsupported(f"its mask, `{source}`,")
        return
    raise Unsupported("its mask")


def _has_masks(architecture: Json) -> bool:
    return any(
        class_of(item) == "Masking" or config_of(item).get("mask_zero")
        for _, item in objects(architecture, "layer")
    )


def _inputs(drawing: Drawing, layer: Json, call: Json, *, autocast: Any) -> Any:
    """What the function is called with: a tensor or a list of them."""
    more = {k: v for k, v in call["kwargs"].items() if v is not None}
    if len(call["args"]) != 1 or more:
        raise Unsupported("a call with further arguments")
    first = call["args"][0]
    listed = isinstance(first, list)
    found = [_input(drawing, one, alone=not listed) for one in (first if listed else [first])]
    if autocast is not None:
        options = (("layers.Identity", {"dtype": autocast}),)
        found = [_cast(drawing, one, options) for one in found]
    return found if listed else found[0]


def _cast(drawing: Drawing, one: Tensor, options: Any) -> Tensor:
    made = drawing.draw(Plan((one.made,), options), one.kind)
    return Tensor(made.made, one.shape, one.kind, one.alone)


def _input(drawing: Drawing, value: Any, *, alone: bool) -> Tensor:
    history = history_of(value)
    if history is None:
        raise Unsupported("a call on something that is not a tensor")
    shape = drawing.shapes.get(history)
    kind = kind_in(drawing.kinds, history)
    return Tensor(value, None if shape is None else tuple(shape), kind, alone)


def _casts(model: Json, layer: Json, writer: Writer) -> Any:
    """The dtype that the Lambda's inputs are cast to; None where they have it anyway.

    Since TensorFlow 2, layers cast what they are called on, if it is a float, to their own dtype.
    """
    own = config_of(layer).get("dtype")
    if tensorflow_of(writer) == 1 or own is None:
        return None
    kinds = {dtype_name(own)}
    for other in layers_of(model):
        dtype = config_of(other).get("dtype")
        if dtype is not None and (class_of(other) != "InputLayer" or "float" in str(dtype)):
            kinds.add(dtype_name(dtype))
    return None if kinds <= {"float32"} else own


def _own(drawing: Drawing, result: Result, *, masked: bool) -> Result:
    """A result that the Lambda itself makes, and that has no mask."""
    if isinstance(result, list):
        return [x for one in result if not isinstance(x := _own(drawing, one, masked=masked), list)]
    history = history_of(result.made)
    made = {name_of(x): x for x in drawing.layers}
    last = made.get(history[0]) if history else None
    if last is None or (masked and not class_of(last).startswith("ops.")):
        return drawing.draw(Plan((result.made,), _COPY), result.kind)
    return result
