"""What the environment may tell kerasguard; a name that is nearly one of these changes nothing."""

from __future__ import annotations

import functools
import os
import warnings

from kerasguard.arguments import WORKERS_LIMIT
from kerasguard.storage.budget import LIMITS

__all__ = ["OUTBOX", "tell_of_misspelt"]

OUTBOX = "KERASGUARD_OUTBOX"
"""The folder in which manifests wait for MLflow."""

_PREFIX, _ALIKE = "KERASGUARD_", 0.75
_KNOWN = {name.removeprefix(_PREFIX) for name in (LIMITS, OUTBOX, WORKERS_LIMIT)}


def tell_of_misspelt() -> None:
    """Warn of each name in the environment that is nearly one of kerasguard's, once."""
    for name in os.environ:
        if name.upper().startswith((_PREFIX, "KERAS_GUARD_")):
            _tell(name)


@functools.cache
def _tell(name: str) -> None:
    import difflib  # only where there is such a name

    rest = name.upper().replace("KERAS_GUARD_", _PREFIX).removeprefix(_PREFIX)
    meant = difflib.get_close_matches(rest, _KNOWN, 1, _ALIKE)
    if meant and name != _PREFIX + meant[0]:
        warnings.warn(
            f"{name} in the environment is not read; did you mean {_PREFIX}{meant[0]}?",
            UserWarning,
            stacklevel=3,
        )
