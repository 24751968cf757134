"""Instructions carried out on expressions instead of values: what comes out is what is computed.

Both ways of every branch are followed to the end, so that a jump becomes a conditional expression.
Nothing is looked up and nothing is called. Loops, assignments to anything but local variables and
whatever else is not in the tables of instructions end the reading by name.
"""

from __future__ import annotations

from typing import Any

from kerasguard.bytecode.calling import CALLING
from kerasguard.bytecode.code_layouts import Code
from kerasguard.bytecode.expressions import (
    Binary,
    Choice,
    Constant,
    Expression,
    Function,
    NotUnderstoodError,
    Parameter,
    reached,
)
from kerasguard.bytecode.frame import Frame, Handler, Null, Work, popped
from kerasguard.bytecode.instructions import Instruction, instructions, target_of
from kerasguard.bytecode.loading import LOADING
from kerasguard.bytecode.marshalled import MalformedError
from kerasguard.bytecode.opcodes import Version
from kerasguard.bytecode.operating import OPERATING

__all__ = ["function_of"]

_INSTRUCTIONS: dict[str, Handler] = {**CALLING, **LOADING, **OPERATING}
_DEEPEST_FUNCTION = 5
_PREPARE = frozenset({"COPY_FREE_VARS", "MAKE_CELL", "POP_TOP", "RETURN_GENERATOR"})
_STARS, _GENERATES = 0x0C, 0x20 | 0x80 | 0x100 | 0x200

# What an instruction does that is not read, in words; with the starts of their names.
_WORDS = {
    "a loop": "FOR_ITER GET_ITER SETUP_LOOP JUMP_BACKWARD END_FOR LIST_APPEND",
    "an import of everything": "IMPORT_STAR",
    "a global variable that is set": "STORE_GLOBAL DELETE_GLOBAL",
    "an attribute that is set": "STORE_ATTR DELETE_ATTR",
    "an item that is set": "STORE_SUBSCR STORE_SLICE DELETE_SUBSCR DELETE_SLICE",
    "a variable that is deleted": "DELETE_FAST DELETE_NAME DELETE_DEREF",
    "an exception": "RAISE_VARARGS",
    "a try or with block": "SETUP_ BEFORE_WITH PUSH_EXC_INFO",
    "a generator": "YIELD_ RETURN_GENERATOR GET_YIELD",
    "a print statement": "PRINT_",
    "exec": "EXEC_STMT",
    "a class": "BUILD_CLASS LOAD_BUILD_CLASS",
    "a call with *": "CALL_FUNCTION_VAR CALL_FUNCTION_EX",
    "a formatted string": "FORMAT_ BUILD_STRING",
    "a set or a dict": "BUILD_SET BUILD_MAP BUILD_CONST_KEY_MAP",
    "an assertion": "LOAD_ASSERTION_ERROR",
    "a match statement": "MATCH_",
    "a coroutine": "GET_A BEFORE_ASYNC",
    "unpacking with *": "UNPACK_EX",
}


def function_of(
    code: Code,
    version: Version,
    work: Work | None = None,
    depth: int = 0,
) -> Function:
    """What a code object computes, as a version of CPython runs it.

    Args:
        code: of the function.
        version: of CPython.
        work: of the function around it.
        depth: how many functions are around it.

    Raises:
        MalformedError: it is not code of that version.
        NotUnderstoodError: it does more than compute an expression.
    """
    work = work or Work()
    listed = instructions(code, version)
    if version >= (3, 11):
        _check_start(list(listed.values()))
    if code.flags & _STARS:
        raise NotUnderstoodError("parameters with *")
    if code.flags & _GENERATES:
        raise NotUnderstoodError("a generator")
    if depth > _DEEPEST_FUNCTION:
        raise NotUnderstoodError("functions in functions")
    parameters = (*code.parameters, *code.keyword_only)
    frame = Frame(code, version, work, lambda own: function_of(own, version, work, depth + 1))
    frame.local.update({name: Parameter(name) for name in parameters})
    before = len(work.calls)
    body = _path(frame, listed, 0)
    if code.guarded:
        raise NotUnderstoodError("a try or with block")
    within = {id(node) for node in reached(body)}
    for call in work.calls[before:]:
        if id(call) not in within:
            raise NotUnderstoodError("a call whose result is not used, which is a side effect")
    del work.calls[before:]
    return Function(code.name, parameters, len(code.keyword_only), code.free, body)


def _words(name: str) -> str:
    """What an instruction does that is not read."""
    found = (words for words, starts in _WORDS.items() if name.startswith(tuple(starts.split())))
    return next(found, f"the instruction {name}")


def _check_start(steps: list[Instruction]) -> None:
    """Since 3.11 every function resumes after what prepares its variables."""
    names = [s.name for s in steps if s.name not in _PREPARE]
    if not names or names[0] != "RESUME":
        raise MalformedError("it does not begin as a function does")


def _path(frame: Frame, listed: dict[int, Instruction], place: int) -> Expression:
    """What is returned on the way from a place."""
    while True:
        frame.work.step()
        step = listed.get(place)
        if step is None:
            raise MalformedError("a jump leads into an instruction")
        if step.name in ("RETURN_VALUE", "RETURN_CONST"):
            return _returned(frame, step)
        if "JUMP" in step.name and step.name != "JUMP_IF_NOT_EXC_MATCH":
            target = target_of(step, frame.version)
            if target <= place:
                raise NotUnderstoodError("a loop")
            if step.name in ("JUMP_FORWARD", "JUMP_ABSOLUTE"):
                place = target
                continue
            return _branch(frame, listed, step, target)
        carry_out = _INSTRUCTIONS.get(step.name)
        if carry_out is None:
            raise NotUnderstoodError(_words(step.name))
        carry_out(frame, step)
        place = step.after


def _returned(frame: Frame, step: Instruction) -> Expression:
    if step.name == "RETURN_CONST":
        result: Any = frame.made(Constant(frame.constant(step.argument)))
    else:
        (result,) = popped(frame)
    if frame.stack or isinstance(result, Null):
        raise MalformedError("the stack is not empty at the end")
    found: Expression = result
    return found


def _branch(
    frame: Frame, listed: dict[int, Instruction], step: Instruction, target: int
) -> Expression:
    """A jump that depends on something, as a conditional expression of both ways."""
    (test,) = popped(frame)
    if isinstance(test, Null):
        raise MalformedError("a jump depends on nothing")
    ways = frame.copied(), frame
    if "OR_POP" in step.name:
        ways[0].stack.append(test)  # the value itself is the result where it jumps
    jumped = _path(ways[0], listed, target)
    went_on = _path(ways[1], listed, step.after)
    if "NONE" in step.name:
        test = frame.made(Binary("is", test, Constant(None)))
        jumps_if = "NOT_NONE" not in step.name
    else:
        jumps_if = "TRUE" in step.name
    chosen, other = (jumped, went_on) if jumps_if else (went_on, jumped)
    return frame.made(Choice(test, chosen, other))
