"""Marshal data that nobody's Python wrote: refused within budgets, never run."""

from __future__ import annotations

import base64
import marshal
import random
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from kerasguard.bytecode.code_layouts import LAYOUTS
from kerasguard.bytecode.expressions import NotUnderstoodError
from kerasguard.bytecode.functions import Budget, read
from kerasguard.bytecode.marshalled import MalformedError, parse

NONE = b"N"


def number(value: int) -> bytes:
    return struct.pack("<i", value)


def code(constants: bytes, instructions: bytes = b"\x97\x00d\x00S\x00") -> bytes:
    """A code object of 3.11 with constants of one's own."""
    text = b"s" + number(len(instructions)) + instructions
    empty, name = b")\x00", b"Z\x01f"
    head = b"c" + number(0) * 3 + number(1) + number(3)
    behind = empty + empty + b"s" + number(0) + name + name + name + number(1)
    return head + text + constants + behind + (b"s" + number(0)) * 2


def deep(levels: int) -> bytes:
    return b")\x01" * levels + NONE


def doubled(times: int) -> bytes:
    """A tuple that holds one twice, which holds one twice, ..."""
    inner = b"\xa9\x02NN"
    for level in range(times):
        inner = b"\xa9\x02" + inner + b"r" + number(times - level - 1)
    return inner


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "a number": b"i" + number(1),
    "no such kind": b"q",
    "a list": code(b"[" + number(1) + NONE),
    "a dict": code(b"{0"),
    "a set": code(b"<" + number(0)),
    "a null": code(b")\x010"),
    "an exception": code(b")\x01S"),
    "a huge tuple": code(b"(" + number(0x7FFFFFFF)),
    "a negative tuple": code(b"(" + number(-1)),
    "a huge string": code(b")\x01s" + number(0x7FFFFFF0)),
    "a huge integer": code(b")\x01l" + number(0x7FFFFFF)),
    "an integer of wrong digits": code(b")\x01l" + number(1) + b"\xff\xff"),
    "too many digits": code(b")\x01l" + number(65) + b"\x01\x00" * 65),
    "a wrong float": code(b")\x01f\x03abc"),
    "wrong utf-8": code(b")\x01u" + number(1) + b"\xff"),
    "wrong ascii": code(b")\x01z\x01\xff"),
    "very deep": code(deep(100_000)),
    "rather deep": code(deep(60)),
    "a cycle": code(b"\xa9\x01r" + number(0)),
    "a reference to nothing": code(b")\x01r" + number(9)),
    "a negative reference": code(b")\x01r" + number(-1)),
    "an interned reference": code(b")\x01R" + number(0)),
    "doubled thirty times": code(doubled(30)),
    "a code in itself": b"\xe3" + code(b")\x01r" + number(0))[1:],
    "instructions that are not bytes": b"c" + number(0) * 5 + NONE,
    "negative parameters": b"c" + number(-5) + code(b")\x01N")[5:],
    "too many parameters": b"c" + number(99) + code(b")\x01N")[5:],
    "something behind it": code(b")\x01N") + b"N",
    "a set of tuples": code(b")\x01>" + number(1) + b")\x00"),
    "a string of four megabytes": code(b")\x01s" + number(1 << 22) + bytes(1 << 22)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_data_are_refused_by_name_within_two_megabytes(name: str) -> None:
    data = base64.b64encode(HOSTILE[name]).decode()
    tracemalloc.start()
    with pytest.raises(NotUnderstoodError, match=r"\w+"):
        read([data, None, None])
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 2 << 20, name


def test_the_code_that_the_hostile_data_are_made_of_is_read() -> None:
    assert read([base64.b64encode(code(b")\x01N")).decode(), None, None]).source.endswith("None")


INSTRUCTIONS = {
    "an unknown instruction": b"\x97\x00\x02\x00d\x00S\x00",
    "a constant that does not exist": b"\x97\x00d\x05S\x00",
    "a name that does not exist": b"\x97\x00t\x02" + bytes(10) + b"S\x00",
    "an empty stack": b"\x97\x00S\x00",
    "a stack that is too deep": b"\x97\x00" + b"d\x00" * 9 + b"S\x00",
    "a value that is left": b"\x97\x00d\x00d\x00S\x00",
    "no end": b"\x97\x00d\x00",
    "a jump out of it": b"\x97\x00n\xffd\x00S\x00",
    "a jump in a circle": b"\x97\x00\x8c\x01d\x00S\x00",
    "only prefixes": b"\x97\x00" + b"\x90\xff" * 5,
    "a prefix at the end": b"\x97\x00d\x00\x90\x00",
    "half an instruction": b"\x97\x00d\x00S",
    "a filled cache": b"\x97\x00d\x00d\x00z\x00\x01\x01S\x00",
    "no beginning": b"d\x00S\x00",
}


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_instructions_that_no_python_wrote_are_refused(name: str) -> None:
    data = code(b")\x01N", INSTRUCTIONS[name])
    with pytest.raises(NotUnderstoodError):
        read([base64.b64encode(data).decode(), None, None])


def branching(times: int) -> str:
    lines = "\n".join(f"    y = y + {n} if flag{n} else y * {n}" for n in range(times))
    names = ", ".join(f"flag{n}" for n in range(times))
    space: dict[str, Any] = {}
    exec(f"def f(x, {names}):\n    y = x\n{lines}\n    return y", space)  # the test's own text
    return base64.b64encode(marshal.dumps(space["f"].__code__)).decode()


def test_branches_without_end_are_cut_off_by_their_number() -> None:
    with pytest.raises(NotUnderstoodError, match=r"too many ways|more than"):
        read([branching(40), None, None])


def test_many_functions_of_many_ways_are_cut_off_together() -> None:
    line = base64.b64encode(marshal.dumps(SEEDS[0].__code__)).decode()
    budget, data = Budget(), branching(5)
    for _ in range(100):
        read([line, None, None], budget)
    assert budget.steps < 5_000
    while budget.steps <= 100_000:
        read([data, None, None], budget)
    with pytest.raises(NotUnderstoodError, match="used up the steps"):
        read([line, None, None], budget)


def test_an_expression_that_doubles_again_and_again_is_cut_off() -> None:
    lines = "\n".join("    x = x + x" for _ in range(60))
    space: dict[str, Any] = {}
    exec(f"def f(x):\n{lines}\n    return x", space)  # the test's own text
    data = base64.b64encode(marshal.dumps(space["f"].__code__)).decode()
    with pytest.raises(NotUnderstoodError, match="more than"):
        read([data, None, None])


SEEDS: tuple[Callable[..., Any], ...] = (
    lambda x: x / 127.5 - 1.0,
    lambda x, a=2: x[:, 1:3, ..., ::-1] * a if a > 1 else (x, a),
    lambda x: (lambda y, n=3: y * n)(x),
)


def test_damaged_functions_are_read_or_refused_and_raise_nothing_else() -> None:
    rng = random.Random(16)
    seeds = [marshal.dumps(function.__code__) for function in SEEDS]
    for _ in range(3_000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        for layout in LAYOUTS:
            try:
                parse(bytes(data), layout)
            except MalformedError:
                continue
        try:
            read([base64.b64encode(data).decode(), None, None])
        except NotUnderstoodError:
            continue
