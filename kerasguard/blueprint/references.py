"""What a stored config would have Keras fetch, open or run: found without Keras.

A config names classes and functions by module and name. Those of Keras that models are made of are
fine, and so is what the caller supplies; all else is a `Doubt`, and so are bytecode and places of
files. The whole config is looked through, read by Keras or not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from kerasguard.blueprint.allowlist import FUNCTION, KERAS, PROGRAMS, VALUES, hostile, is_part
from kerasguard.blueprint.objects import short_name

__all__ = ["Doubt", "Reason", "called_by_name", "doubts", "looked_up"]

Reason = Literal["bytecode", "class", "function", "hostile", "path", "program"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing in a config that is not loaded because a file says so.

    Args:
        reason: what kind of thing: `hostile` is what no model needs and would act on the machine.
        owner: name of the layer that it is part of; empty where none is known.
        message: what it is and what the caller can do.
    """

    reason: Reason
    owner: str
    message: str

    @property
    def supplied(self) -> bool:
        """Whether a load takes it from a caller; all else is refused."""
        return self.reason in ("class", "function")


# Entries of which no layer of Keras holds a string, but words, numbers or nothing.
_LISTS = frozenset({"bin_boundaries", "idf_weights", "vocabulary"})
_NAMES = frozenset({"class_name", "name", "registered_name"})
_NOT_RUN = "it holds Python bytecode, which is never run"
_NOT_READ = "no file is read just because another file says so"
_PLACES = frozenset({"cache_dir", "file", "filename", "filepath", "origin", "path", "url"})


def doubts(
    config: Any,
    known: Callable[[str], bool] = lambda _: False,
    registered: Mapping[str, bool] = MappingProxyType({}),
) -> Iterator[Doubt]:
    """Everything in a config that is not loaded only because a file says so.

    Args:
        config: of a model, a layer or a training: JSON.
        known: whether the class or function of a name is supplied, by the caller or registered.
        registered: what this process has registered with Keras and the caller did not pass, by
            name; False where no file may have it called.
    """
    fine: set[tuple[str | None, str, str, str | None]] = set()
    stack: list[tuple[str, bool, bool, Any]] = [("", False, False, config)]
    while stack:
        owner, theirs, asked, value = stack.pop()
        if isinstance(value, (list, tuple)):
            inner = [item for item in value if isinstance(item, (dict, list))]
            stack += [(owner, theirs, asked, item) for item in inner]
            continue
        if not isinstance(value, dict):
            continue
        if "class_name" in value:
            reference = _reference(value)
            owner = _named(value) or owner
            names = looked_up(value)
            theirs = any(map(known, names))
            asked = theirs and not any(name in registered for name in names)
            if reference not in fine:  # a few classes make up the largest model
                found = _judged(owner, reference, known if theirs else None, registered)
                if found is None:
                    fine.add(reference)
                else:
                    yield found
        for key, item in value.items():
            if key == "function" and isinstance(item, list) and not asked:
                yield Doubt("bytecode", owner, _NOT_RUN)  # whatever kind it says it is
            elif isinstance(item, (dict, list)):
                stack.append((owner, theirs, asked, item))
            elif isinstance(item, str) and item and not asked:
                yield from _told(owner, key, item, theirs=theirs)


def called_by_name(training: Any, registered: Mapping[str, bool]) -> Iterator[Doubt]:
    """Losses and metrics that are strings, by which Keras finds what somebody has registered.

    Args:
        training: what a model is compiled with.
        registered: as in `doubts`.
    """
    stack: list[tuple[str, Any]] = [("", training)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, dict):
            stack += value.items()
        elif isinstance(value, (list, tuple)):
            stack += [("", item) for item in value]
        elif isinstance(value, str) and key not in _NAMES and registered.get(value) is False:
            yield _only_registered("function", "", value)


def looked_up(item: Mapping[str, Any]) -> tuple[str, ...]:
    """The names by which a caller may supply what an object refers to, the first as Keras does.

    Of a function that is its own name, whatever it says it was registered as; of a class what it
    was registered as, then its name. Values that Keras spells (`__lambda__`) are nobody's.
    """
    _, class_name, name, registered = _reference(item)
    if class_name.startswith("__"):
        return ()
    if class_name == "function" or registered is None:
        return (name,)
    return registered, name


def _judged(
    owner: str,
    reference: tuple[str | None, str, str, str | None],
    known: Callable[[str], bool] | None,
    registered: Mapping[str, bool],
) -> Doubt | None:
    """What is wrong with a reference, `known` where it is to what is supplied."""
    module, class_name, name, told = reference
    if known is not None:
        # That is taken, whatever else the file calls it.
        mine = known(name) or not hostile(name, module or "")
        return None if mine else _hostile(owner, f"{module or ''}.{name}".strip("."))
    first = name if class_name == "function" or told is None else told
    if first in registered:
        reason: Reason = "function" if class_name == "function" else "class"
        return _only_registered(reason, owner, first)
    return _doubt(owner, module, class_name, name, told)


def _only_registered(reason: Reason, owner: str, name: str) -> Doubt:
    text = f"{name} is registered in this process, which is not enough for a file to have it"
    return Doubt(reason, owner, f"{text}; supply it: {_supplied(name)}")


def _hostile(owner: str, shown: str) -> Doubt:
    text = f"{shown} acts on the machine and is no part of a model: the file is hostile"
    return Doubt("hostile", owner, f"{text}, do not load it")


def _named(item: Mapping[str, Any]) -> str:
    """What the object calls itself; empty where it does not."""
    inner = item.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""


def _reference(item: Mapping[str, Any]) -> tuple[str | None, str, str, str | None]:
    """Module, class, name and registered name of what an object refers to; functions have names."""
    module, class_name = item.get("module"), str(item.get("class_name"))
    inner = item.get("config")
    name = class_name
    if class_name == "function":
        name = str(inner)
    elif class_name == "__typespec__" and isinstance(inner, dict):
        module, name = inner.get("module"), str(inner.get("spec_name"))
    registered = item.get("registered_name")
    told = None if registered in (None, "", "function", class_name, name) else str(registered)
    return module if isinstance(module, str) else None, class_name, name, told


def _doubt(
    owner: str, module: str | None, class_name: str, name: str, registered: str | None
) -> Doubt | None:
    """What is wrong with a reference that nobody supplies; None where it is fine."""
    where = module or ""
    shown = f"{where}.{name}" if where not in ("", "builtins") else name
    if class_name == "__lambda__":
        return Doubt("bytecode", owner, _NOT_RUN)
    if hostile(name, where):
        return _hostile(owner, shown)
    if registered is not None and hostile(registered.replace(">", ".")):
        return _hostile(owner, registered)
    if name in PROGRAMS:
        return Doubt("program", owner, f"{name} is never loaded from a file: {PROGRAMS[name]}")
    if class_name.startswith("__"):
        fine = class_name in VALUES and (module is None or where.startswith(("keras", "tensor")))
        return (
            None
            if fine
            else Doubt("class", owner, f"{class_name} is not a value that Keras writes")
        )
    function = class_name == "function"
    if module is None or module == "builtins":
        return _unnamed(owner, name, function=function)
    reason: Reason = "function" if function else "class"
    text = _foreign(module, name, registered, shown, reason)
    return Doubt(reason, owner, text) if text else None


def _foreign(module: str, name: str, registered: str | None, shown: str, reason: Reason) -> str:
    """Why a name in a module is not looked up there; empty where it is a part of Keras'."""
    supply = _supplied(registered or name)
    if not KERAS.match(module):
        return (
            f"{name} is of the package {module.partition('.')[0]!r}, which is not imported because "
            f"a file names it; import it and supply it: {supply}"
        )
    if not is_part(module, name, function=reason == "function"):
        return f"the {reason} {shown} is not part of a model; if it is meant, supply it: {supply}"
    if registered is not None and not KERAS.match(registered.replace(">", ".")):
        return f"it is registered as {registered!r}, not as Keras' own; supply it under that name"
    return ""


def _supplied(name: str) -> str:
    """What the caller writes to supply a class or function of this name, or registered name."""
    value = short_name(name)
    return f"custom_objects={{{json.dumps(name)}: {value if value.isidentifier() else '...'}}}"


def _unnamed(owner: str, name: str, *, function: bool) -> Doubt | None:
    """A function or class without a module: only a caller has it, unless it is in Keras' tables."""
    if function and not FUNCTION.fullmatch(name):
        return Doubt("function", owner, f"{name!r:.80} is not a name of a function")
    return None


def _told(owner: str, key: str, text: str, *, theirs: bool) -> Iterator[Doubt]:
    """What a string would have opened or run in a class of Keras' own, or in one made of it.

    Of a class that is only registered, an entry is looked at that Keras' classes would open.
    """
    if key in _LISTS:
        yield Doubt("path", owner, f"{key} is {text!r:.80}, where a list belongs: {_NOT_READ}")
    elif theirs:
        return
    elif key in _PLACES:
        yield Doubt("path", owner, f"{key} is {text!r:.80}: {_NOT_READ}")
    elif key.endswith("_type") and text == "lambda":
        yield Doubt("bytecode", owner, _NOT_RUN)
