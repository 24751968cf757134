"""What a format is stands on the format: nobody outside `formats/` asks for its name."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kerasguard.formats import FORMATS, candidates, parts_of
from kerasguard.formats.arrays import GivenArrays, MadeArrays

# Where bytes and names on the disk are the subject.
HOMES = ("kerasguard/formats/", "kerasguard/storage/")
KINDS: tuple[Any, ...] = (*FORMATS, GivenArrays, MadeArrays)
NAMES = {kind.name for kind in KINDS}
CLASSES = {kind.__name__ for kind in KINDS}
SUFFIXES = {suffix for kind in FORMATS for suffix in kind.traits.suffixes}
MARKS = (b"PK\3\4", b"PK\5\6", b"\x89HDF", "saved_model.pb", ".index", ".data-")


def test_nobody_outside_formats_decides_by_a_formats_name(repository: Path) -> None:
    assert not [
        f"{place}:{node.lineno} {node.value!r}"
        for place, node in _code_constants(repository)
        if node.value in NAMES or node.value in SUFFIXES
    ]


def test_nobody_outside_formats_asks_which_class_a_checkpoint_is(repository: Path) -> None:
    imported = {
        (place, alias.name)
        for place, tree in _outside(repository)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if (node.module or "").startswith("kerasguard.formats") and alias.name in CLASSES
    }
    # Arrays have no path to be recognised by.
    assert imported == {
        ("kerasguard/loader/sources.py", "GivenArrays"),
        ("kerasguard/loader/arrays.py", "MadeArrays"),
    }


def test_marks_of_formats_are_known_to_formats_and_storage_only(repository: Path) -> None:
    assert not [
        f"{place}:{node.lineno} {node.value!r}"
        for place, node in _code_constants(repository)
        if isinstance(node.value, (str, bytes)) and _marked(node.value)
    ]


def _marked(value: str | bytes) -> bool:
    if isinstance(value, str):
        return any(mark in value for mark in MARKS if isinstance(mark, str))
    return any(mark in value for mark in MARKS if isinstance(mark, bytes))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_says_what_it_is(kind: Any) -> None:
    known = ("walk", "order", "objects", "variables", "listed", "paths")
    assert kind.traits.keys in known
    assert kind.parts([]).get("x", set()) == set()


def test_parts_are_no_checkpoints_of_their_own() -> None:
    names = [
        "a.keras",
        "a.keras.manifest.json",
        "a.keras.companion-0123abcd.safetensors",
        "big.weights.json",
        "big_00000.weights.h5",
        "big_00001-0123abcd.weights.h5",
        "other_00000.weights.h5",
        "checkpoint",
        "ckpt-1.data-00000-of-00002",
        "ckpt-1.data-00001-of-00002",
        "ckpt-1.index",
        "lost.data-00000-of-00001",
    ]
    assert candidates(names) == [
        "a.keras",
        "big.weights.json",
        "ckpt-1",
        "lost.data-00000-of-00001",
        "other_00000.weights.h5",
    ]
    assert parts_of("big.weights.json", names) == {
        "big_00000.weights.h5",
        "big_00001-0123abcd.weights.h5",
    }
    assert len(parts_of("ckpt-1", names)) == 3
    assert parts_of("a.keras", names) == set()


@cache
def _outside(repository: Path) -> tuple[tuple[str, ast.Module], ...]:
    places = {str(path.relative_to(repository)): path for path in _modules(repository)}
    return tuple(
        (place, ast.parse(path.read_text("utf-8")))
        for place, path in places.items()
        if not place.startswith(HOMES)
    )


def _modules(repository: Path) -> list[Path]:
    return sorted((repository / "kerasguard").rglob("*.py"))


@cache
def _code_constants(repository: Path) -> list[tuple[str, ast.Constant]]:
    """Every constant outside that is no docstring, with the module's place."""
    found: list[tuple[str, ast.Constant]] = []
    for place, tree in _outside(repository):
        nodes = list(ast.walk(tree))
        texts = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        found += (
            (place, node)
            for node in nodes
            if isinstance(node, ast.Constant) and id(node) not in texts
        )
    return found
