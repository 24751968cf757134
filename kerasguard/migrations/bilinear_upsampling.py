"""KG437: UpSampling2D with bilinear interpolation before TensorFlow 1.14.

What it looks like: `"interpolation": "bilinear"` in a file of Keras 2.2 or 2.3 or of tf.keras 1.12.
Nothing fails: the model loads but predicts differently.

Why it happens: those versions interpolated between pixel corners (output i is at i / size of the
input), while TensorFlow from 1.14 on and Keras 3 interpolate between pixel centres.

Source: Keras 2.3 `backend/tensorflow_backend.py`, `resize_images`; TensorFlow 1.14 release notes.

When it is exact: where the size of the input is known: each new row is the old one plus a part of
the step to the next, computed by operations. Otherwise a warning says so.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.edits import Edits
from kerasguard.blueprint.graphs import as_graph
from kerasguard.blueprint.nodes import call_of, calls_of, history_of, layers_of, tensor
from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object, name_of
from kerasguard.blueprint.shapes import Shape, shapes_of
from kerasguard.blueprint.working import Blueprint, Migration
from kerasguard.blueprint.writer import Writer

CODES = {"KG437": "bilinear upsampling aligned to pixel corners"}

_MOST = 4096
"""Operations that are added to one file: each row between two of the input takes two, and how many
rows there are is a number in the file."""


def _applies(writer: Writer) -> bool:
    """Standalone Keras with TensorFlow, and tf.keras of TensorFlow 1.12."""
    if writer.backend not in ("", "tensorflow"):
        return False
    of_tensorflow = writer.text.endswith("-tf")
    return ((2, 2) <= writer.keras < (2, 4) and not of_tensorflow) or (
        of_tensorflow and writer.keras < (2, 2)
    )


def rewrite(blueprint: Blueprint) -> None:
    """Compute the old interpolation row by row and column by column."""
    left = _MOST
    for item, model in blueprint.models():
        found = [layer for layer in layers_of(model) if _is_bilinear(layer)]
        if not found:
            continue
        shapes, edits = shapes_of(model), Edits(model)
        for layer in found:
            shape = shapes.get((name_of(layer), 0, 0))
            known = shape is not None and None not in shape[1:]
            added = sum(4 + 2 * max(factor, 0) for factor in _factors(layer))
            one_call = as_graph(item) and len(calls_of(layer)) == 1
            if not known or not one_call or added > left or shape is None:
                blueprint.warn(layer, "it interpolated between pixel corners, not centres")
                continue
            left -= added
            _replace(edits, layer, shape)
            blueprint.note(layer, "it interpolates between pixel corners, as its writer did")


def _is_bilinear(layer: Json) -> bool:
    config = config_of(layer)
    last = config.get("data_format") != "channels_first"
    return class_of(layer) == "UpSampling2D" and last and config.get("interpolation") == "bilinear"


def _factors(layer: Json) -> list[Any]:
    """By how much it enlarges rows and columns."""
    size = config_of(layer).get("size", 2)
    return size if isinstance(size, list) else [size, size]


def _replace(edits: Edits, layer: Json, shape: Shape) -> None:
    """Operations for both axes; the last takes the layer's name."""
    factors, place, name = _factors(layer), edits.place_of(layer), name_of(layer)
    del edits.model["layers"][place]
    build = _Chain(edits, place, name)
    value = calls_of(layer)[0]["args"][0]
    rows = [-1, shape[1], shape[2] // factors[1], shape[3]]
    value = build.axis(value, 1, factors[0], rows, build.name("rows"))
    build.axis(value, 2, factors[1], [-1, *shape[1:]], name)


class _Chain:
    """Operations put into a graph one after the other.

    Args:
        edits: of the graph.
        place: where the first goes in its list of layers.
        owner: the start of the names.
    """

    def __init__(self, edits: Edits, place: int, owner: str) -> None:
        self.edits, self.place, self.owner = edits, place, owner

    def name(self, what: str) -> str:
        """A name that no layer has."""
        return self.edits.free_name(f"{self.owner}_{what}")

    def add(self, name: str, kind: str, options: Json, *arguments: Any) -> Json:
        """An operation; the tensor that it makes."""
        item = keras_object("keras.src.ops.numpy", kind, {"name": name, **options})
        item |= {"registered_name": kind, "name": name, "inbound_nodes": [call_of(*arguments)]}
        self.edits.add(item, self.place)
        self.place += 1
        return tensor(name)

    def axis(self, value: Json, axis: int, factor: int, shape: Shape, name: str) -> Json:
        """Interpolate along one axis."""
        assert history_of(value) is not None
        behind = self.add(self.name("rest"), "GetItem", {}, value, _from(axis, 1))
        last = self.add(self.name("last"), "GetItem", {}, value, _from(axis, -1))
        joined = self.name("next")
        after = self.add(joined, "Concatenate", {"axis": axis}, [behind, last])
        step = self.add(self.name("step"), "Subtract", {}, after, value)
        parts = [value]
        for n in range(1, factor):
            part = self.add(self.name("part"), "Multiply", {}, step, n / factor)
            parts.append(self.add(self.name("between"), "Add", {}, value, part))
        stacked = self.add(self.name("stack"), "Stack", {"axis": axis + 1}, parts)
        return self.add(name, "Reshape", {"newshape": shape}, stacked)


def _from(axis: int, start: int) -> list[Any]:
    """The slice `[..., start:]` along an axis of four."""
    spec: list[Any] = []
    for n in range(4):
        config = {"start": start if n == axis else None, "stop": None, "step": None}
        spec.append({"class_name": "__slice__", "config": config})
    return spec


MIGRATION = Migration(
    "KG437", "Keras 2.2 and 2.3, TensorFlow 1.12", _applies, rewrite, words=("bilinear",)
)
