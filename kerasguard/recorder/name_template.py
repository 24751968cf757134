"""A name with places for the epoch and the metrics, which `ModelCheckpoint` fills in."""

from __future__ import annotations

import os
from string import Formatter

from kerasguard.arguments import check_path
from kerasguard.errors import ArgumentError, nearest

__all__ = ["check_template"]

_ALWAYS = ["epoch", "batch"]
"""What Keras fills in whatever the model computes; the rest are names of metrics."""


def check_template(name: str, value: object) -> None:
    """Refuse what is no path, or what Keras could not fill in at the end of the first epoch.

    Metrics are known only once the model is trained, so other names pass; not one that is nearly
    `epoch` or `batch`.

    Raises:
        ArgumentError: it is not a path, its braces do not match, or a place has no name, one that
            is misspelt, or a form that no number of its kind has.
    """
    check_path(name, value)
    assert isinstance(value, (str, os.PathLike))
    told = f"{name}={os.fspath(value)!r}"
    try:
        parts = list(Formatter().parse(os.fspath(value)))
    except ValueError as error:
        raise ArgumentError(f"{told}: {error}; write {{{{ and }}}} for its own braces") from error
    for _, place, form, _ in parts:
        if place is None:
            continue
        if not place or place.isdigit():
            raise ArgumentError(f"{told}: {{{place}}} says nothing; write {{epoch}} or a metric")
        near = "" if place in _ALWAYS else nearest(place, _ALWAYS)
        if near:
            raise ArgumentError(f"{told}: {{{place}}} is not understood; did you mean {{{near}}}?")
        _check_form(told, place, form or "")


def _check_form(told: str, place: str, form: str) -> None:
    """Refuse what is no form of an epoch, which is a whole number, or of a metric, which is not."""
    whole = place in _ALWAYS
    try:
        format(1 if whole else 0.5, form if "{" not in form else "")
    except ValueError as error:
        kind, example = ("a whole number", ":02d") if whole else ("a fraction", ":.4f")
        raise ArgumentError(
            f"{told}: {{{place}:{form}}} is no form of {kind} ({error}); write {{{place}{example}}}"
        ) from error
