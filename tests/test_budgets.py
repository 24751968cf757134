"""Sizes that keep every file readable in one sitting."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

MODULE_LINES, FUNCTION_LINES, LINE_LENGTH = 300, 40, 100


@pytest.fixture(scope="module")
def sources(repository: Path) -> dict[str, str]:
    folder = repository / "kerasguard"
    return {
        str(path.relative_to(repository)): path.read_text("utf-8") for path in folder.rglob("*.py")
    }


def test_no_module_is_longer_than_300_lines(sources: dict[str, str]) -> None:
    lengths = {name: text.count("\n") for name, text in sources.items()}
    assert not {name: n for name, n in lengths.items() if n > MODULE_LINES}


def test_no_function_is_longer_than_40_lines(sources: dict[str, str]) -> None:
    long = {
        f"{name}:{node.lineno} {node.name}": length
        for name, text in sources.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (length := _length(node)) > FUNCTION_LINES
    }
    assert not long


def test_no_line_is_longer_than_100_characters(sources: dict[str, str]) -> None:
    assert not [
        f"{name}:{number}"
        for name, text in sources.items()
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > LINE_LENGTH
    ]


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, without the docstring."""
    end = node.end_lineno or node.lineno
    first = node.body[0]
    documented = ast.get_docstring(node) is not None
    return end - node.lineno + 1 - ((first.end_lineno or 0) - first.lineno + 1) * documented
