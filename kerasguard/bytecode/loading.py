"""Instructions that fetch and keep: constants, variables, globals, attributes, modules."""

from __future__ import annotations

from typing import Any

from kerasguard.bytecode.expressions import (
    Attribute,
    Closed,
    Constant,
    Expression,
    Global,
    Imported,
    NotUnderstoodError,
)
from kerasguard.bytecode.frame import Frame, Handler, Null, popped, pushed, values
from kerasguard.bytecode.instructions import Instruction

__all__ = ["LOADING"]


def _constant(frame: Frame, step: Instruction) -> None:
    pushed(frame, _constant_of(frame.constant(step.argument), frame.version[0] == 2))


def _constant_of(value: Any, old: bool) -> Constant:
    """A constant; what Python 2 calls a string is one here too."""
    return Constant(_text(value) if old else value)


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return tuple(map(_text, value)) if isinstance(value, tuple) else value


def _load(frame: Frame, step: Instruction) -> None:
    pushed(frame, _local(frame, frame.variable(step.argument)))


def _load_two(frame: Frame, step: Instruction) -> None:
    for number in (step.argument >> 4, step.argument & 15):
        pushed(frame, _local(frame, frame.variable(number)))


def _local(frame: Frame, name: str) -> Expression:
    if frame.version >= (3, 13):
        frame.captured.add(name)  # of a variable in a cell, this gives the cell
    if name in frame.local:
        return frame.local[name]
    if name not in frame.code.free:
        raise NotUnderstoodError(f"the variable {name}, which may have no value")
    return Closed(name)


def _store(frame: Frame, step: Instruction) -> None:
    (frame.local[frame.variable(step.argument)],) = values(frame, 1)


def _store_two(frame: Frame, step: Instruction) -> None:
    _store(frame, Instruction("", step.argument >> 4, 0))
    _store(frame, Instruction("", step.argument & 15, 0))


def _store_load(frame: Frame, step: Instruction) -> None:
    _store(frame, Instruction("", step.argument >> 4, 0))
    _load(frame, Instruction("", step.argument & 15, 0))


def _load_cell(frame: Frame, step: Instruction) -> None:
    name = frame.cell(step.argument)
    if name not in frame.local and name not in frame.code.free:
        raise NotUnderstoodError(f"the variable {name}, which may have no value")
    pushed(frame, frame.local.get(name) or Closed(name))


def _store_cell(frame: Frame, step: Instruction) -> None:
    name = frame.cell(step.argument)
    if name in frame.code.free or name in frame.captured:
        raise NotUnderstoodError(f"the variable {name}, which several functions share and one sets")
    (frame.local[name],) = values(frame, 1)


def _load_closure(frame: Frame, step: Instruction) -> None:
    """The cell itself: it stands for what the variable holds, which must stay so."""
    frame.captured.add(frame.cell(step.argument))
    _load_cell(frame, step)


def _global(frame: Frame, step: Instruction) -> None:
    version = frame.version
    number = step.argument >> 1 if version >= (3, 11) else step.argument
    with_null = version >= (3, 11) and step.argument & 1
    if with_null and version < (3, 13):
        pushed(frame, Null())
    pushed(frame, Global(frame.name(number)))
    if with_null and version >= (3, 13):
        pushed(frame, Null())


def _plain_name(frame: Frame, step: Instruction) -> None:
    pushed(frame, Global(frame.name(step.argument)))


def _attribute(frame: Frame, step: Instruction) -> None:
    version = frame.version
    number = step.argument >> 1 if version >= (3, 12) else step.argument
    method = version >= (3, 12) and step.argument & 1
    (owner,) = values(frame, 1)
    if method and version == (3, 12):
        pushed(frame, Null())
    pushed(frame, Attribute(owner, frame.name(number)))
    if method and version >= (3, 13):
        pushed(frame, Null())


def _method(frame: Frame, step: Instruction) -> None:
    (owner,) = values(frame, 1)
    pushed(frame, Null())
    pushed(frame, Attribute(owner, frame.name(step.argument)))


def _import(frame: Frame, step: Instruction) -> None:
    """A module by its name: nothing is imported, the name is all that is kept."""
    level, names = values(frame, 2)
    if level not in (Constant(0), Constant(-1)):
        raise NotUnderstoodError("a relative import")
    name = frame.name(step.argument)
    # `import a.b` gives `a`; `import a.b as c` asks it for `b` next, `from a.b import c` for `c`.
    whole = isinstance(names, Constant) and names.value is not None
    pushed(frame, Imported(name if whole else name.partition(".")[0]))


def _import_from(frame: Frame, step: Instruction) -> None:
    (module,) = popped(frame)
    pushed(frame, module)
    pushed(frame, Attribute(module, frame.name(step.argument)))


LOADING: dict[str, Handler] = {
    "IMPORT_FROM": _import_from,
    "IMPORT_NAME": _import,
    "LOAD_ATTR": _attribute,
    "LOAD_CLOSURE": _load_closure,
    "LOAD_CONST": _constant,
    "LOAD_DEREF": _load_cell,
    "LOAD_FAST": _load,
    "LOAD_FAST_CHECK": _load,
    "LOAD_FAST_LOAD_FAST": _load_two,
    "LOAD_GLOBAL": _global,
    "LOAD_METHOD": _method,
    "LOAD_NAME": _plain_name,
    "STORE_DEREF": _store_cell,
    "STORE_FAST": _store,
    "STORE_FAST_LOAD_FAST": _store_load,
    "STORE_FAST_STORE_FAST": _store_two,
}
