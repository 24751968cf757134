"""Which versions of what wrote a checkpoint."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

__all__ = ["writer_versions"]

_VERSIONED = ("kerasguard", "keras", "tensorflow", "numpy", "h5py", "ml_dtypes")


def writer_versions(told: Mapping[str, str], model: Any) -> dict[str, str]:
    """Of the process that writes; of a file of another Keras, what the file tells of its writer."""
    found = {"python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if "keras" not in sys.modules:
        ours = {}
    else:
        from kerasguard.models import environment

        ours = environment.versions(model)
    version = told.get("keras", "")
    mine = ours and (not version or f"{ours['keras']}.".startswith(f"{version}."))
    if told and not (mine and model is not None):
        return {n: v for n, v in found.items() if n in ("kerasguard", "python")} | dict(told)
    return found | ours
