"""`kerasguard diff`: what differs between two checkpoints, and how far each layer moved."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kerasguard.cli.commands import DIFFERS, OK

if TYPE_CHECKING:
    from kerasguard.checkpoints.distances import LayerDistance
    from kerasguard.cli.console import Output

__all__ = ["diff"]


def diff(options: argparse.Namespace, out: Output) -> int:
    """Tell what differs between two checkpoints."""
    from kerasguard.checkpoints.compare import measure
    from kerasguard.report import counted

    changes, layers = measure(options.first, options.second)
    code = DIFFERS if changes else OK
    out.document(
        code,
        first=options.first,
        second=options.second,
        changes=[change.to_dict() for change in changes],
        layers=[layer.to_dict() for layer in layers],
    )
    verdict = f"differ in {counted(len(changes), 'place')}" if changes else "hold the same"
    out.line(f"{options.first} and {options.second} {verdict}")
    out.table(("what", "name", "how"), [(c.kind, c.name, c.what) for c in changes])
    if layers:
        out.line()
        out.table(("layer", "changed by", "norm", "norm in the second", "tensors"), _rows(layers))
    return code


def _rows(layers: Iterable[LayerDistance]) -> list[tuple[str, str, str, str, str]]:
    """What changed most comes first."""

    def far(layer: LayerDistance) -> float:
        return float("inf") if layer.distance is None else layer.distance

    return [
        (
            layer.layer,
            "?" if layer.distance is None else f"{layer.distance:.2%}",
            _number(layer.norm),
            _number(layer.other),
            f"{layer.changed} of {layer.tensors}",
        )
        for layer in sorted(layers, key=far, reverse=True)
    ]


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"
