"""Drawings by Matplotlib, which the `[plot]` extra brings."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kerasguard.errors import MissingPackageError

__all__ = ["draw"]

# What is below is drawn as this much: the scale is logarithmic.
_LEAST, _MOST = 1e-4, 1.0


def draw(
    layers: Mapping[str, Sequence[float | None]], ticks: Sequence[str], axes: Any = None
) -> Any:
    """A heat map, layers by checkpoints; grey where nothing is known, red where not finite.

    Args:
        layers: by path, the drift of each layer up to every checkpoint but the first.
        ticks: what to write below each of these checkpoints.
        axes: to draw into; default: of a figure of its own.

    Raises:
        MissingPackageError: Matplotlib is not installed.
    """
    try:
        colors = importlib.import_module("matplotlib.colors")
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise MissingPackageError(
            "plot_drift: needs Matplotlib, which is not installed; install it with: pip install "
            "kerasguard[plot]"
        ) from error
    if axes is None:
        size = (3 + 0.35 * max(len(ticks), 6), 1.5 + 0.28 * max(len(layers), 3))
        # Of pyplot, so that a notebook shows it and `show` finds it.
        _, axes = pyplot.subplots(figsize=size, layout="constrained")
    values = [[_value(part) for part in drift] for drift in layers.values()]
    image = axes.imshow(
        values or [[math.nan]], norm=colors.LogNorm(_LEAST, _MOST), cmap=_map(), aspect="auto"
    )
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_yticks(range(len(layers)), list(layers))
    axes.set_xlabel("epochs of training")
    axes.set_title("drift since the previous checkpoint")
    axes.figure.colorbar(image, ax=axes, label="norm of the difference / norm before")
    return axes


def _map() -> Any:
    found = importlib.import_module("matplotlib").colormaps["Blues"]
    return found.with_extremes(bad="lightgrey", over="red")


def _value(part: float | None) -> float:
    """Zero and what is unknown have no place on a logarithmic scale; infinite is above it."""
    if part is None:
        return math.nan
    return 2 * _MOST if part == math.inf else min(max(part, _LEAST), _MOST)
