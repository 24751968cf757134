"""What a model was before a restore, kept until the restore is complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerasguard.errors import RestoreError
from kerasguard.models import variables
from kerasguard.models.shortcuts import Variable

__all__ = ["Journal"]


class Journal:
    """Remembers variables and layers before they are changed, and brings them back.

    Variables keep their old buffer, which takes memory only once they are written. Of a layer
    all attributes are kept: those that are lists, dicts or sets with their content, tables and
    other objects as they are.

    Args:
        keep: whether there is anything to remember; not so in a model that was just built.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self._keep = keep
        self._undo: list[Callable[[], None]] = []
        self._known: set[int] = set()

    def variable(self, variable: Any) -> None:
        """Remember a Keras or TensorFlow variable."""
        if self._keep and id(variable) not in self._known:
            self._known.add(id(variable))
            self._undo.append(variables.snapshot(variable))

    def attribute(self, item: Any, name: str) -> None:
        """Remember one attribute of an object."""
        value = getattr(item, name)
        self._undo.append(lambda: setattr(item, name, value))

    def layer(self, layer: Any) -> None:
        """Remember a layer's attributes and the variables among them or tracked by it."""
        if not self._keep or id(layer) in self._known:
            return
        self._known.add(id(layer))
        attributes = dict(vars(layer))
        for variable in getattr(layer, "variables", ()):
            self.variable(variable)
        for value in attributes.values():
            if isinstance(value, Variable) or variables.is_tensorflow_variable(value):
                self.variable(value)
        contents = [(value, _content(value)) for value in attributes.values()]
        self._undo.append(lambda: _refill(layer, attributes, contents))

    def roll_back(self, error: BaseException) -> None:
        """Bring everything back, the last change first.

        Raises:
            RestoreError: that failed too; the model is of no use any more.
        """
        for undo in reversed(self._undo):
            try:
                undo()
            except Exception as second:  # noqa: BLE001  # whatever it is, it is reported
                raise RestoreError(
                    f"assigning failed ({error}) and so did taking it back ({second}); "
                    "do not use this model, build a new one"
                ) from error


def _content(value: Any) -> Any:
    return value.copy() if type(value).__mro__[-2] in (list, dict, set) else None


def _refill(layer: Any, attributes: dict[str, Any], contents: list[tuple[Any, Any]]) -> None:
    vars(layer).clear()
    vars(layer).update(attributes)
    for value, content in contents:
        if isinstance(value, list):
            list.__setitem__(value, slice(None), content)
        elif content is not None:
            kind = dict if isinstance(value, dict) else set
            kind.clear(value)
            kind.update(value, content)
