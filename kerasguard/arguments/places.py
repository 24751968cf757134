"""Paths, contents of checkpoints, and the model in place of one or the other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from kerasguard.arguments.wording import PLAIN, shown
from kerasguard.errors import ArgumentError

__all__ = ["check_config", "check_model", "check_path", "check_place", "check_source"]

_SHORTEST = 64
"""Bytes; what is shorter is a path, not a checkpoint's content."""


def check_path(name: str, value: object) -> None:
    """Refuse what names no file: anything but a string or a path, and what no file is called."""
    if text := _path_text(value):
        with contextlib.suppress(UnicodeEncodeError):
            if b"\0" not in os.fsencode(text):
                return
    raise ArgumentError(f"{shown(name, value)} is not a path; pass a string or a pathlib.Path")


def _path_text(value: object) -> str:
    """What a string or a path says; empty where it is neither."""
    if not isinstance(value, (str, os.PathLike)):
        return ""
    try:
        text = os.fspath(value)
    except Exception:  # noqa: BLE001  # code of the caller's
        return ""
    return text if isinstance(text, str) else ""


def check_place(name: str, value: object) -> None:
    """Refuse what is not a path, nor the content of a checkpoint as bytes or in an open file."""
    if callable(getattr(value, "read", None)) and not isinstance(value, (str, os.PathLike)):
        if getattr(value, "closed", False):
            raise ArgumentError(f"{shown(name, value)} is closed; pass an open file")
        return
    if isinstance(value, (bytes, bytearray, memoryview)) and len(value) >= _SHORTEST:
        return
    check_path(name, value)


def check_source(value: object) -> None:
    """Refuse what is neither a path nor arrays by the path of their variable.

    A model in its place means that the two were exchanged.
    """
    if hasattr(value, "weights") and hasattr(value, "layers"):
        raise ArgumentError(
            f"the first argument is a model ({type(value).__name__}); path and model are "
            "swapped: kerasguard.load(path, model)"
        )
    if not isinstance(value, Mapping):
        check_place("path", value)


def check_model(value: object) -> None:
    """Refuse what cannot be a model; None is none."""
    if value is None or (hasattr(value, "weights") and not isinstance(value, (*PLAIN, type))):
        return
    raise ArgumentError(
        f"{shown('model', value)} is not a Keras model; pass the model object itself, or leave it "
        "out to build the model from the checkpoint"
    )


def check_config(value: object, model: object) -> None:
    """Refuse what is neither an architecture nor its path, and one given beside a built model.

    Raises:
        ArgumentError: see above.
    """
    if value is None:
        return
    if not value or not isinstance(value, (str, os.PathLike, Mapping)):
        raise ArgumentError(
            f"{shown('config', value)} is not an architecture; pass the path of a model.json, its "
            "text, or the object in it"
        )
    if model is not None:
        raise ArgumentError(
            "config= describes a model to build, and model= is one; pass one of them"
        )
