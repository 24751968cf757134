"""A report tells the same in text, JSON and HTML, and is safe to show in each."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from kerasguard.planning.findings import Finding, Severity
from kerasguard.report import Outcome, Report, printable

HOSTILE = "head/\x1b[31m<script>alert(1)</script>\r\u202e"
BAD = Finding("KG302", "layers/head/vars/0", "head/kernel: values differ from the manifest")
NOTE = Finding("KG105", "layers/old/vars/0", "old/kernel: not expected", Severity.INFO)


class _Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


def _verified(*findings: Finding, origin: str = "recorded") -> Report:
    return Report("verify", "run/07.keras", "keras_zip", findings, origin=origin)  # type: ignore[arg-type]


def test_a_verification_without_errors_is_ok() -> None:
    report = _verified(NOTE)
    assert report.ok
    assert report.summary == "run/07.keras (keras_zip): as recorded"


def test_a_verification_with_an_error_differs_and_names_the_tensor() -> None:
    report = _verified(BAD, NOTE)
    assert not report.ok
    assert report.unresolved == (BAD,)
    assert "differs from its manifest in 1 place" in report.text
    assert "KG302 head/kernel" in report.text


def test_a_checkpoint_without_manifest_is_never_called_intact() -> None:
    assert "no manifest" in _verified(origin="unrecorded").text


def test_a_restore_counts_what_the_manifest_proves() -> None:
    outcomes = (
        Outcome("layers/a/vars/0", "layers/a/vars/0", "xxh3:00", True),
        Outcome("layers/b/vars/0", "b/kernel", "xxh3:01", None, "cast to float32"),
    )
    report = Report("restore", "m.keras", "keras_zip", outcomes=outcomes, origin="recorded")
    assert report.proven == 1
    assert "restored, 2 tensors, 1 proven by the manifest" in report.text
    assert "layers/b/vars/0: cast to float32" in report.text


def test_an_optimizer_that_was_not_restored_is_told() -> None:
    report = Report("restore", "m.keras", "keras_zip", optimizer="not restored: another class")
    assert "optimizer not restored: another class" in report.text


@pytest.mark.parametrize("report", [_verified(), _verified(BAD, NOTE)])
def test_the_dict_survives_json(report: Report) -> None:
    data = report.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["schema"] == "kerasguard/report/1"
    assert data["ok"] is report.ok


def test_a_name_in_a_file_can_neither_run_in_a_page_nor_move_the_cursor() -> None:
    finding = Finding("KG101", HOSTILE, f"{HOSTILE}: missing")
    outcome = Outcome(HOSTILE, HOSTILE, "xxh3:00", False, HOSTILE)
    report = Report("restore", HOSTILE, "keras_zip", (finding,), outcomes=(outcome,))
    page = _Tags(report.html)
    assert "script" not in page.tags
    assert not {"src", "href", "onload", "onclick"} & page.attributes
    for text in (report.text, report.html):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "\r" not in report.text


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    page = _verified(BAD).html
    assert _Tags(page).tags[0] == "html"
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


def test_printable_keeps_newlines_and_letters_of_every_script() -> None:
    assert printable("größe 模型\n") == "größe 模型\n"
    assert printable("a\tb\x00") == "a\\tb\\x00"
