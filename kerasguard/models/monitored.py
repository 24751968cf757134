"""Which way a metric gets better."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["directions"]


def directions(model: Any, monitor: str, mode: str) -> tuple[str, ...]:
    """`min` or `max`, or both where nothing tells.

    Args:
        model: that is trained, after its first batch: its metrics know their direction.
        monitor: the metric's name in the logs.
        mode: as the user said; `auto` asks the metric, as Keras' own callbacks do.
    """
    if mode != "auto":
        return (mode,)
    name = monitor.removeprefix("val_")
    if name == "loss":
        return ("min",)
    for metric in _flat(getattr(model, "metrics", ())):
        told = {"up": "max", "down": "min"}.get(getattr(metric, "_direction", None) or "")
        if metric.name == name and told:
            return (told,)
    return ("min", "max")


def _flat(metrics: Any) -> Iterator[Any]:
    """Metrics, and those that a metric of compiled ones holds."""
    for metric in metrics:
        yield from metric.metrics if hasattr(metric, "metrics") else (metric,)
