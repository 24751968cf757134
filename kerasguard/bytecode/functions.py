"""What a config holds of a function: its code, defaults and closure, in every form Keras wrote.

Marshal tells no version of Python, so that the code is read as every version's: the reading is
taken only if all versions that it can be agree.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kerasguard.bytecode.code_layouts import LAYOUTS, Code
from kerasguard.bytecode.expressions import Constant, Function, NotUnderstoodError
from kerasguard.bytecode.frame import Work
from kerasguard.bytecode.instructions import instructions
from kerasguard.bytecode.machine import function_of
from kerasguard.bytecode.marshalled import MalformedError, parse
from kerasguard.bytecode.opcodes import Version
from kerasguard.bytecode.source import source_of_function

__all__ = ["Budget", "Stored", "is_code", "read"]

_LONGEST = 1 << 19
_MOST_VALUES = 50_000
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+=*\s*")
_SLASH = 0x2F
# Less than a second of work; a hundred Lambdas of a line each take a twentieth of it.
_MOST_STEPS_OF_A_FILE = 100_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A function of a file.

    Args:
        function: with the defaults that the file has beside the code.
        closure: values of its free variables, by name.
    """

    function: Function
    closure: Mapping[str, Any]

    @property
    def source(self) -> str:
        """The function in Python, with what its closure holds."""
        text = source_of_function(self.function)
        held = [f"{name} = {value!r:.200}" for name, value in self.closure.items()]
        return f"{text}  # with {', '.join(held)}" if held else text


@dataclass
class Budget:
    """What the functions of one file take together, so that many of them stay cheap.

    Args:
        steps: instructions that were followed so far, on every way through every function and as
            every version of Python.
    """

    steps: int = 0

    def check(self) -> None:
        """Whether there is any left; raises NotUnderstoodError."""
        if self.steps > _MOST_STEPS_OF_A_FILE:
            raise NotUnderstoodError(
                "the functions before it used up the steps that one file may take"
            )


def is_code(value: Any) -> bool:
    """Whether this is a function as bytecode: three parts or, in the oldest files, a string."""
    parts = _parts(value)
    return parts is not None and isinstance(parts[0], str)


def read(value: Any, budget: Budget | None = None) -> Stored:
    """A function as a config holds it.

    Args:
        value: of the config.
        budget: of the file.

    Raises:
        NotUnderstoodError: it does more than compute an expression, or it is not a function of a
            Python from 2.7, 3.4 to 3.13; the text names it, with what can be told of the code.
    """
    parts = _parts(value)
    if parts is None:
        raise NotUnderstoodError("it is not in a form in which Keras writes functions")
    code, defaults, closure = parts
    function = _agreed(_bytes_of(code), budget or Budget())
    given = _listed(defaults, "defaults")
    held = _listed(closure, "closure")
    positional = len(function.parameters) - function.keyword_only
    if len(given) > positional or len(held) != len(function.free):
        raise NotUnderstoodError("its defaults or its closure belong to another function")
    function = replace(function, defaults=tuple(map(Constant, given)))
    return Stored(function, dict(zip(function.free, held, strict=True)))


def _parts(value: Any) -> tuple[Any, Any, Any] | None:
    if isinstance(value, dict) and value.get("class_name") == "__lambda__":
        config = value.get("config")
        if isinstance(config, dict):
            return config.get("code"), config.get("defaults"), config.get("closure")
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        value = value.get("items")
    if isinstance(value, (list, tuple)) and len(value) == 3:
        return value[0], value[1], value[2]
    return None


def _bytes_of(code: Any) -> bytes:
    """Base64, or before Keras 2.1 a character for each byte."""
    if not isinstance(code, str) or not 0 < len(code) <= _LONGEST:
        raise NotUnderstoodError("its code is not text, or too long for a function")
    if _BASE64.fullmatch(code):
        try:
            return base64.b64decode("".join(code.split()), validate=True)
        except binascii.Error:
            raise NotUnderstoodError("its code is neither base64 nor bytes") from None
    try:
        return code.encode("raw_unicode_escape")
    except UnicodeEncodeError:
        raise NotUnderstoodError("its code is neither base64 nor bytes") from None


def _listed(values: Any, what: str) -> list[Any]:
    """Defaults or a closure: numbers, strings and lists of them."""
    if values is None:
        return []
    if isinstance(values, dict) and values.get("class_name") == "__tuple__":
        values = values.get("items")
    if not isinstance(values, (list, tuple)):
        raise NotUnderstoodError(f"its {what} are not a list")
    waiting, count = list(values), 0
    while waiting:
        one = waiting.pop()
        count += 1
        if isinstance(one, list):
            waiting += one
        elif not isinstance(one, (str, int, float, type(None))):
            raise NotUnderstoodError(f"its {what} hold a {type(one).__name__}")
        if count > _MOST_VALUES:
            raise NotUnderstoodError(f"its {what} hold more than {_MOST_VALUES} values")
    return list(values)


def _agreed(data: bytes, budget: Budget) -> Function:
    """The function that the bytes are in every version of Python that can have written them."""
    found: list[Function] = []
    reasons: list[str] = []
    malformed = "they hold nothing"
    budget.check()
    for layout in LAYOUTS:
        try:
            code = parse(data, layout)
        except MalformedError as error:
            malformed = str(error)
            continue
        for version in layout.versions:
            work = Work()
            try:
                _check_slashes(code, version)
                found.append(function_of(code, version, work))
            except MalformedError as error:
                malformed = str(error)
            except NotUnderstoodError as error:
                reasons.append(f"{error} in {_outline(code)}")
            budget.steps += work.steps
    if reasons:
        raise NotUnderstoodError(reasons[0])
    if not found:
        raise NotUnderstoodError(
            f"the bytes are not a function of Python 2.7 or 3.4 to 3.13: {malformed}"
        )
    if any(other != found[0] for other in found[1:]):
        sources = sorted({source_of_function(one) for one in found})
        raise NotUnderstoodError(f"Python versions disagree on what it is: {' or '.join(sources)}")
    return found[0]


def _outline(code: Code) -> str:
    """What can be told of a function that is not read."""
    parameters = ", ".join((*code.parameters, *code.keyword_only))
    start = "lambda" if code.name == "<lambda>" else f"def {code.name}"
    used = f", which uses {', '.join(code.names[:20])}" if code.names else ""
    return f"{start} ({parameters}): ...{used}"


def _check_slashes(code: Code, version: Version) -> None:
    """Refuse a `/` among the bytes that may have been another byte.

    On Windows, Keras replaces every backslash, byte 92, by a slash, byte 47, also inside of numbers
    and instructions: `x[:, 92]` is written as `x[:, 47]`. An absolute path tells that it was not
    there.
    """
    if code.filename.startswith("/"):
        return
    for step in instructions(code, version).values():
        if _SLASH in step.argument.to_bytes(4, "little"):
            raise NotUnderstoodError(_UNCLEAR)
    for value in code.constants:
        if isinstance(value, Code):
            _check_slashes(value, version)
        elif _SLASH in _number_bytes(value):
            raise NotUnderstoodError(_UNCLEAR)


_UNCLEAR = "a byte 47, which Keras on Windows also writes for 92,"


def _number_bytes(value: Any) -> bytes:
    """The bytes that marshal writes for numbers and strings, also in tuples."""
    if isinstance(value, tuple):
        return b"".join(map(_number_bytes, value))
    if isinstance(value, bool):
        return b""
    if isinstance(value, int):
        return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return value if isinstance(value, bytes) else b""
