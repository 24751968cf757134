"""What a model was before a restore, kept until the restore is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kerasguard.errors import KerasguardError, RestoreError
from kerasguard.models import variables
from kerasguard.models.kerases import dtype_name, is_variable
from kerasguard.models.kerases.backends import is_tensorflow_variable
from kerasguard.models.walk import Visit
from kerasguard.tensors import TensorSpec

__all__ = ["UNCHANGED", "Journal", "label_of", "named", "transaction"]

UNCHANGED = "the model is as it was before"


@contextmanager
def transaction(*, keep: bool = True, room: int | None = None) -> Iterator[Journal]:
    """What is written to a journal meanwhile is taken back if the block raises.

    Args:
        keep: as for `Journal`.
        room: as for `Journal`.

    Raises:
        RestoreError: the block raised, and with it the message tells what the model holds.
    """
    journal = Journal(keep=keep, room=room)
    try:
        yield journal
    except Exception as error:
        journal.roll_back(error)
        reason = str(error).removesuffix(f"; {UNCHANGED}")
        if journal.forgotten:
            raise RestoreError(
                f'assigning failed ({reason}). With memory="low" the earlier values of '
                f"{journal.forgotten} of the variables were not kept: those now hold the "
                "checkpoint's values, and the rest of the model is as it was before. Load it "
                "again, or "
                "build a new model"
            ) from error
        if isinstance(error, KerasguardError):
            raise
        raise RestoreError(f"assigning failed ({reason}); {UNCHANGED}") from error
    except BaseException as error:
        journal.roll_back(error)
        raise


class Journal:
    """Remembers variables and layers before they are changed, and brings them back.

    Variables keep their old buffer, which takes memory only once they are written. Of a layer
    all attributes are kept: those that are lists, dicts or sets with their content, tables and
    other objects as they are.

    Args:
        keep: whether there is anything to remember; not so in a model that was just built.
        room: bytes of variables to remember at most; further ones are counted in `forgotten`.
    """

    def __init__(self, *, keep: bool = True, room: int | None = None) -> None:
        self._keep, self._room = keep, room
        self.forgotten = 0
        self._undo: list[Callable[[], None]] = []
        self._known: set[int] = set()

    def variable(self, variable: Any) -> None:
        """Remember a Keras or TensorFlow variable."""
        if not hasattr(variable, "assign"):
            return  # a table among the weights of a lookup
        if self._keep and id(variable) not in self._known:
            self._known.add(id(variable))
            if self._fits(variable):
                self._undo.append(variables.snapshot(variable))
            else:
                self.forgotten += 1

    def variables(self, found: Iterable[Any]) -> None:
        """Remember many at once, which takes less time than one after another."""
        if not self._keep or self._room is not None:  # with little room most are not remembered
            return
        fresh = {id(v): v for v in found if id(v) not in self._known and hasattr(v, "assign")}
        self._known |= fresh.keys()
        self._undo += variables.snapshots(list(fresh.values()))

    def _fits(self, variable: Any) -> bool:
        if self._room is None:
            return True
        size = TensorSpec(tuple(variable.shape), dtype_name(variable.dtype)).nbytes
        if size > self._room:
            return False
        self._room -= size
        return True

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
            if is_variable(value, layer) or is_tensorflow_variable(value):
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
                    f"assigning failed ({error}) and so did the rollback ({second}); do not use "
                    "this model, build a new one"
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


def label_of(visit: Visit) -> str:
    """How a person knows what a walk visited."""
    return "/".join(visit.names) or visit.path or "the model"


@contextmanager
def named(label: str, what: str) -> Iterator[None]:
    """What the block raises becomes a RestoreError that names the tensor or layer."""
    try:
        yield
    except Exception as error:
        raise RestoreError(f"{label}: {what} ({error}); {UNCHANGED}") from error
