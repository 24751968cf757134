"""How far each layer of a run moved from checkpoint to checkpoint: values, rows, page, plot."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kerasguard.report.plot import draw
from kerasguard.report.templates import Paths, template
from kerasguard.report.words import counted, printable

__all__ = ["SCHEMA", "DriftReport", "Saved"]

SCHEMA = "kerasguard/drift/1"
# Half a decade a colour, the same in every page, so that pages can be compared.
_STEPS = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
_LEGEND = ("< 0.01 %", "0.01 %", "0.1 %", "0.3 %", "1 %", "3 %", "10 %", "30 % and more")


@dataclass(frozen=True, slots=True)
class Saved:
    """One checkpoint of a run.

    Args:
        path: of the checkpoint.
        epochs: of training behind it; None where nothing tells.
        state: `intact`, `unrecorded`, `differs` from its manifest, or `unreadable`. The last two
            are not compared with others.
        why: what is wrong with it; empty where nothing is.
        metrics: that the manifest tells.
    """

    path: str
    epochs: int | None
    state: str
    why: str = ""
    metrics: Mapping[str, float] | None = None

    @property
    def name(self) -> str:
        """The path's last part."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def usable(self) -> bool:
        """Whether its weights are what somebody saved, as far as anything tells."""
        return self.state in ("intact", "unrecorded")


@dataclass(frozen=True)
class DriftReport:
    """How far each layer moved between the checkpoints of a run.

    Args:
        run: the folder.
        saved: its checkpoints, in the order of training.
        layers: by its path, each layer's drift from one usable checkpoint to the next: the norm of
            the difference as a part of the norm before. None where it is not in both or was all
            zero; infinite where a value is not finite.
        norms: by its path, each layer's norm in each usable checkpoint; None where unknown.
        others: checkpoints in the folder that are not of this run's series.
    """

    run: str
    saved: tuple[Saved, ...]
    layers: Mapping[str, tuple[float | None, ...]]
    norms: Mapping[str, tuple[float | None, ...]]
    others: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no checkpoint is damaged and no weight became NaN or infinite."""
        return all(one.usable for one in self.saved) and not self.diverged

    @property
    def usable(self) -> tuple[Saved, ...]:
        """The checkpoints that were compared."""
        return tuple(one for one in self.saved if one.usable)

    @property
    def diverged(self) -> tuple[str, ...]:
        """The layers in which some value became NaN or infinite."""
        return tuple(name for name, drift in self.layers.items() if math.inf in drift)

    @property
    def still(self) -> tuple[str, ...]:
        """The layers that never moved: frozen, or not reached by a gradient."""
        return tuple(n for n, d in self.layers.items() if d and all(part == 0 for part in d))

    @property
    def verdict(self) -> str:
        """One line."""
        bad = len(self.saved) - len(self.usable)
        told = counted(len(self.saved), "checkpoint")
        if self.diverged:
            return f"{told}; NaN or Inf in {counted(len(self.diverged), 'layer')}"
        if bad:
            return f"{told}, {bad} of them damaged"
        recorded = sum(one.state == "intact" for one in self.saved)
        return f"{told}, {recorded} as recorded, all weights finite"

    def rows(self) -> list[dict[str, Any]]:
        """One dict per layer and step, as `pandas.DataFrame` takes them."""
        steps = list(zip(self.usable, self.usable[1:], strict=False))
        return [
            {
                "layer": layer,
                "checkpoint": after.name,
                "epochs": after.epochs,
                "before": before.name,
                "drift": part,
            }
            for layer, drift in self.layers.items()
            for (before, after), part in zip(steps, drift, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """JSON form; infinite drift is the text `inf`."""

        def plain(values: tuple[float | None, ...]) -> list[float | str | None]:
            return ["inf" if value == math.inf else value for value in values]

        return {
            "schema": SCHEMA,
            "run": self.run,
            "ok": self.ok,
            "saved": [asdict(one) for one in self.saved],
            "layers": {layer: plain(drift) for layer, drift in self.layers.items()},
            "norms": {layer: list(norms) for layer, norms in self.norms.items()},
            "others": list(self.others),
        }

    @property
    def html(self) -> str:
        """A self-contained page without scripts; it names no folder of this machine."""
        return template("drift.html").render(_content(self))

    def plot_drift(self, axes: Any = None) -> Any:
        """The heat map as a Matplotlib drawing, layers by checkpoints.

        Args:
            axes: to draw into; default: of a figure of its own.

        Returns:
            The axes.

        Raises:
            MissingPackageError: Matplotlib is not installed; `kerasguard[plot]` brings it.
        """
        ticks = [one.name if one.epochs is None else str(one.epochs) for one in self.usable[1:]]
        return draw(self.layers, ticks, axes)

    def __str__(self) -> str:
        lines = [f"{self.run}: {self.verdict}"]
        lines += [f"  {one.name}: {one.state}; {one.why}" for one in self.saved if one.why]
        for layer, drift in self.layers.items():
            parts = ", ".join(_told(part) for part in drift[-3:])
            earlier = "..., " if len(drift) > 3 else ""
            lines.append(f"  {layer}: moved by {earlier}{parts}" if drift else f"  {layer}")
        return printable("\n".join(lines))

    def __repr__(self) -> str:
        return f"<DriftReport {printable(self.run)}: {self.verdict}>"

    def _repr_html_(self) -> str:
        return template("drift_fragment.html").render(_content(self))


def _told(part: float | None) -> str:
    if part is None:
        return "?"
    if part == math.inf:
        return "NaN or Inf"
    return "0" if part == 0 else f"{part:.2%}" if part >= 5e-5 else "< 0.01%"


def _content(report: DriftReport) -> dict[str, Any]:
    usable = report.usable
    shown = Paths(f"{report.run.rstrip('/')}/x", keep=False)
    metrics = list(dict.fromkeys(name for one in report.saved for name in one.metrics or {}))
    return {
        "report": report,
        "title": f"{_last(report.run)}: {report.verdict}",
        "name": _last(report.run),
        "state": "ok" if report.ok else "bad",
        "shown": shown,
        "metrics": metrics[:4],
        "steps": usable[1:],
        "rows": [_row(layer, drift, usable[1:]) for layer, drift in report.layers.items()],
        "legend": list(zip(_colours(), _LEGEND, strict=True)),
    }


def _row(layer: str, drift: tuple[float | None, ...], steps: tuple[Saved, ...]) -> dict[str, Any]:
    known = [part for part in drift if part is not None and part != math.inf]
    return {
        "layer": layer,
        "cells": [
            (_colour(part), f"{one.name}: {_told(part)}")
            for part, one in zip(drift, steps, strict=True)
        ],
        "last": _told(drift[-1]) if drift else "",
        "most": _told(max(known)) if known else "",
    }


def _colours() -> list[str]:
    return [f"h{number}" for number in range(len(_STEPS) + 1)]


def _colour(part: float | None) -> str:
    if part is None:
        return "hnone"
    return "hbad" if part == math.inf else f"h{bisect_right(_STEPS, part)}"


def _last(run: str) -> str:
    return run.rstrip("/").rpartition("/")[2] or run
