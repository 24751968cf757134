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
        ArgumentError: it is not a path, its braces do not match, or a place has no name, or one
            that is misspelt.
    """
    check_path(name, value)
    assert isinstance(value, (str, os.PathLike))
    told = f"{name}={os.fspath(value)!r}"
    try:
        places = [field for _, field, _, _ in Formatter().parse(os.fspath(value))]
    except ValueError as error:
        raise ArgumentError(f"{told}: {error}; write {{{{ and }}}} for its own braces") from error
    for place in places:
        if place is None or place in _ALWAYS:
            continue
        if not place or place.isdigit():
            raise ArgumentError(f"{told}: {{{place}}} says nothing; write {{epoch}} or a metric")
        if near := nearest(place, _ALWAYS):
            raise ArgumentError(f"{told}: {{{place}}} is not understood; did you mean {{{near}}}?")
