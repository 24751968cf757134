"""A code's bytes as instructions, in the encoding of one version of CPython."""

from __future__ import annotations

from dataclasses import dataclass

from kerasguard.bytecode.code_layouts import Code
from kerasguard.bytecode.marshalled import MalformedError
from kerasguard.bytecode.opcodes import CACHES, OPCODES, Version

__all__ = ["Instruction", "instructions", "target_of"]

_HAVE_ARGUMENT = 90
_MOST = 4_000


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Args:
        name: CPython's.
        argument: its argument; 0 where it takes none.
        after: where the next one starts.
    """

    name: str
    argument: int
    after: int


def instructions(code: Code, version: Version) -> dict[int, Instruction]:
    """The instructions by the place where they start; prefixes belong to what they extend.

    Raises:
        MalformedError: these bytes are not what that version writes.
    """
    if not _lines_fit(code, version):
        raise MalformedError("the line numbers are those of other instructions")
    if version >= (3, 6) and len(code.code) % 2:
        raise MalformedError("half an instruction is left")
    found: dict[int, Instruction] = {}
    place = 0
    while place < len(code.code):
        start = place
        name, argument, place = _one(code.code, place, version)
        empty = 2 * CACHES.get(version, {}).get(name, 0)
        if any(code.code[place : place + empty]) or place + empty > len(code.code):
            raise MalformedError(f"{name} has a cache that is not empty")
        place += empty
        found[start] = Instruction(name, argument, place)
        if len(found) > _MOST:
            raise MalformedError(f"it has more than {_MOST} instructions")
    return found


def _one(code: bytes, place: int, version: Version) -> tuple[str, int, int]:
    """Name and argument of an instruction, and where it ends."""
    extended = 0
    for _ in range(4):
        number, place = code[place], place + 1
        name = OPCODES[version].get(number)
        if name is None or name == "CACHE":
            raise MalformedError(
                f"{number} is not an instruction of Python {version[0]}.{version[1]}"
            )
        argument = 0
        if version >= (3, 6):
            argument, place = code[place], place + 1
        elif number >= _HAVE_ARGUMENT:
            if place + 2 > len(code):
                raise MalformedError("an instruction is cut off")
            argument, place = int.from_bytes(code[place : place + 2], "little"), place + 2
        if name != "EXTENDED_ARG":
            return name, extended | argument, place
        extended = (extended | argument) << (8 if version >= (3, 6) else 16)
        if place >= len(code):
            break
    raise MalformedError("nothing follows the prefix of an instruction")


def target_of(instruction: Instruction, version: Version) -> int:
    """Where a jump goes."""
    unit = 2 if version >= (3, 10) else 1
    name = instruction.name
    backward = "BACKWARD" in name
    relative = version >= (3, 11) or name == "JUMP_FORWARD"
    if not relative:
        return instruction.argument * unit
    return instruction.after + (-unit if backward else unit) * instruction.argument


def _lines_fit(code: Code, version: Version) -> bool:
    """Whether the table of lines covers just these instructions, in the version's encoding."""
    covered = sum(code.lines[::2])
    if version < (3, 10):
        return len(code.lines) % 2 == 0 and covered < max(len(code.code), 1)
    if version == (3, 10):
        return len(code.lines) % 2 == 0 and covered == len(code.code)
    return True
