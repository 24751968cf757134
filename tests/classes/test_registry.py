"""The registry is whole: every known class is in it, has a test, and no end is left open."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from failure_classes import CLASSES, OPEN

from kerasguard.checkpoints.explain import explanations


def test_every_class_of_the_survey_is_in_the_registry(shared: Path) -> None:
    text = (shared / "background" / "taxonomy.md").read_text("utf-8")
    known = re.findall(r"^### (\S+)  \(", text, re.MULTILINE)
    assert sorted(known) == sorted(c.id for c in CLASSES)
    assert len(known) == 100


def test_every_class_has_a_test_of_its_name() -> None:
    names = [
        node.name
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    assert [c.id for c in CLASSES if names.count(f"test_{c.test}") != 1] == []


def test_every_verdict_names_a_finding_or_an_error() -> None:
    known = set(explanations())
    for case in CLASSES:
        for verdict in filter(None, (case.recorded, case.alone)):
            kind, _, code = verdict.partition(" ")
            assert kind in ("right", "refused", "reported", "unseen"), case
            assert code or kind in ("right", "unseen"), case
            assert not code.startswith("KG") or code in known or case.id in OPEN, case


def test_no_class_is_loaded_wrong_without_a_finding() -> None:
    """What no file tells, a manifest does."""
    assert OPEN == {}
    for case in CLASSES:
        assert case.alone != "unseen" or case.recorded, case


def test_what_can_be_repaired_is_loaded_right() -> None:
    repairable = {c.id for c in CLASSES if c.repairable}
    right = {c.id for c in CLASSES if "right" in f"{c.recorded} {c.alone}".split()}
    assert len(repairable) > 60
    assert len(repairable & right) >= 0.95 * len(repairable), sorted(repairable - right)
    assert set(OPEN) <= {c.id for c in CLASSES}
