"""A model written as one kind of file, read back and compared; what the file cannot hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kerasguard.errors import OutputError
from kerasguard.formats.targets import Target
from kerasguard.manifest import Manifest
from kerasguard.report import counted

__all__ = ["beside", "lacks", "read_back", "write"]


def write(kind: Target, model: Any, path: Path) -> None:
    """Write a model to a path; raises what Keras raises, and OutputError."""
    if kind.content == "whole":
        model.save(path)
    elif kind.content == "weights":
        model.save_weights(path)
    else:
        _safetensors(model, path)


def read_back(
    kind: Target, path: Path, model: Any, custom_objects: Mapping[str, Any]
) -> tuple[str, str]:
    """What differs in the file from the model, empty where nothing does; what was compared."""
    from kerasguard.models import stock

    if kind.content == "named":
        return _compared(path, model)
    if kind.complete:
        return stock.read_back(path, model, custom_objects)
    return stock.read_weights_back(path, model, custom_objects, whole=kind.architecture)


def lacks(kind: Target, model: Any) -> Iterator[str]:
    """What a file of this kind never holds, and where it is instead."""
    if not kind.architecture:
        yield "the architecture, which is in its manifest"
    optimizer = getattr(model, "optimizer", None)
    if not kind.optimizer and optimizer is not None and optimizer.variables:
        yield "the optimizer's state, which cannot be kept"


def beside(manifest: Manifest) -> Iterator[str]:
    """What of the model is kept beside the file, and what is lost, as the manifest tells it."""
    kept = Counter(r.role for r in manifest.unwritten if r.key in manifest.kept)
    lost = Counter(r.role for r in manifest.unwritten if r.key not in manifest.kept)
    place = "companion" if manifest.companion else "manifest"
    for role, count in kept.items():
        yield f"{counted(count, role)}, which is in its {place}"
    for role, count in lost.items():
        yield f"{counted(count, role)}, which cannot be kept"


def _safetensors(model: Any, path: Path) -> None:
    from kerasguard.storage.safetensors import pack

    arrays = _arrays(model, path)
    try:
        path.write_bytes(pack(arrays, path.name)[0])
    except TypeError as error:
        raise OutputError(path, f"{error}; write another kind of file") from error


def _arrays(model: Any, path: Path) -> dict[str, Any]:
    from kerasguard.models import stock

    named = stock.weights_by_path(model)
    twice = [name for name, values in named.items() if len(values) > 1]
    if twice:
        raise OutputError(
            path,
            f"{len(twice)} variable paths belong to several variables, such as {twice[0]}; give "
            "their layers distinct names, or write another kind of file",
        )
    return {name: values[0] for name, values in named.items()}


def _compared(path: Path, model: Any) -> tuple[str, str]:
    from kerasguard.formats import open_checkpoint
    from kerasguard.tensors.elements import digest

    arrays = _arrays(model, path)
    with open_checkpoint(path) as checkpoint:
        for name, array in arrays.items():
            if digest(checkpoint.read(name)) != digest(array):
                return f"{name} is a different tensor in the file", ""
    return "", f"{len(arrays)} tensors have the same bytes"
