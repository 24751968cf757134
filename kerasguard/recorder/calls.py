"""Calls of Keras' that are wrapped: where they are, and what of one decides if it is recorded."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

from kerasguard.storage.remote import local_path

__all__ = ["Outer", "Patch", "comes_from", "inner", "is_recordable", "place_of"]


@dataclass(frozen=True)
class Patch:
    """A function of Keras' and the wrapper in its place."""

    owner: Any
    name: str
    original: Any
    wrapper: Any

    @property
    def removable(self) -> bool:
        """Whether nobody else's wrapper is there: ours is, or the original that was put back."""
        return vars(self.owner).get(self.name) in (self.wrapper, self.original)


class Outer(threading.local):
    """The call of this thread whose parts are left alone.

    It is known by its frame, which is looked for on the stack: a flag would stay, and every later
    call be left alone, where Ctrl-C comes before it is taken back.
    """

    _mark: tuple[int, CodeType] | None = None

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The function with the `with` block is such a call."""
        frame = inspect.currentframe()
        for _ in range(2):
            frame = frame.f_back if frame else None
        before = self._mark
        try:
            self._mark = (id(frame), frame.f_code) if frame else None
            del frame
            yield
        finally:
            self._mark = before

    def is_under_way(self) -> bool:
        """Whether whoever asks is part of that call."""
        mark, frame = self._mark, inspect.currentframe()
        while mark is not None and frame is not None:
            if (id(frame), frame.f_code) == mark:
                return True
            frame = frame.f_back
        return False


def inner(
    names: Iterable[tuple[str, str]], wrapped: Callable[[Any], Any]
) -> Iterator[tuple[Any, str, Callable[[Any], Any]]]:
    """Of private functions, those that this Keras has: module, name and what makes the wrapper."""
    for module, name in names:
        with contextlib.suppress(ImportError):
            yield importlib.import_module(module), name, wrapped


def comes_from(module: str) -> bool:
    """Whether the caller of the wrapper that asks is a function of `module`."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame.f_back if frame else None
    return not module or (frame is not None and frame.f_globals.get("__name__") == module)


def is_recordable(bound: inspect.BoundArguments) -> bool:
    """Of what `Model.export` writes, only a SavedModel holds the weights as such."""
    return bool(bound.arguments.get("format", "tf_saved_model") == "tf_saved_model")


def place_of(filepath: Any) -> Path | None:
    """The local path of a save; None for what only Keras knows how to write to."""
    if not isinstance(filepath, (str, os.PathLike)) or str(filepath) != os.fspath(filepath):
        return None
    return local_path(filepath) if str(filepath).startswith("file://") else Path(filepath)
