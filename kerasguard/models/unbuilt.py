"""Layers that no call has built yet: their weights do not exist, so nothing could be restored.

Keras builds the layers inside a user-defined class when it is called. A model that was only
told its input's shape has a `built` of True and no weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kerasguard.models.custom import build_by_weights
from kerasguard.models.live_use import waits_for_weights

__all__ = ["build_parts", "unbuilt"]

_UNKNOWN_SIZE = 16  # of an axis whose size was not recorded because any size will do


def unbuilt(model: Any) -> tuple[str, ...]:
    """Names of the layers that have no weights yet because nothing built them."""
    layers = model._flatten_layers(include_self=False, recursive=True)  # noqa: SLF001
    names = (layer.name for layer in layers if waits_for_weights(layer))
    return tuple(dict.fromkeys(names))


def build_parts(
    model: Any,
    shapes: Sequence[tuple[int, ...]],
    architecture: Callable[[], Mapping[str, Any] | None],
) -> bool:
    """Build what is not built yet, by calling the model once; nothing where all is built.

    Args:
        model: of Keras.
        shapes: of the stored weights; a model that has as many is left alone.
        architecture: gives the stored or recorded config, which may tell the input's shape.
            Without it, or where the call fails, the shape is found by trying the first stored
            kernels.

    Returns:
        Whether a kernel that was tried made weights of other shapes than the stored ones.
    """
    if len(model.weights) >= len(shapes) or (model.built and not unbuilt(model)):
        return False
    recorded = _input_shape(architecture())
    if recorded is not None:
        sizes = [1, *(_UNKNOWN_SIZE if n is None else n for n in recorded[1:])]
        try:
            model(np.zeros(sizes, "float32"))
        except (NotImplementedError, TypeError, ValueError):  # what Keras raises for what misfits
            recorded = None
    if recorded is not None:
        return False
    return not build_by_weights(model, shapes) and bool(model.weights)


def _input_shape(architecture: Mapping[str, Any] | None) -> Sequence[int | None] | None:
    """The shape that the model was built with; None where several inputs or none were told."""
    config = (architecture or {}).get("build_config")
    shape = config.get("input_shape") if isinstance(config, Mapping) else None
    if not isinstance(shape, (list, tuple)) or not shape:
        return None
    return shape if all(n is None or isinstance(n, int) for n in shape) else None
