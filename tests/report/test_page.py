"""The page of a report: what it says first, what it hides, and how a browser shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import look

from kerasguard.manifest import FileRecord, Manifest
from kerasguard.planning.findings import Finding, Severity
from kerasguard.report import Report
from kerasguard.report.page import fragment, page
from kerasguard.report.statistics import pooled, statistics_of
from kerasguard.report.table import Fold, folded, rows
from kerasguard.tensors import Table, TensorRecord, TensorSpec
from kerasguard.tracking.mlflow_sending import report_of_save

RANDOM = np.random.default_rng(0)
BAD = Finding("KG302", "layers/head/vars/0", "head/kernel: values differ from the manifest")
NOTE = Finding("KG105", "", "/home/ada/run/07.keras: old/kernel is not expected", Severity.INFO)


def _records(blocks: int = 12) -> list[TensorRecord]:
    def record(key: str, name: str, shape: tuple[int, ...]) -> TensorRecord:
        spec = TensorSpec(shape, "float32")
        return TensorRecord(key, spec, name=name, digest="xxh3:0", nonfinite=0)

    made = [record("layers/head/vars/0", "head/kernel", (8, 4))]
    deep = "attention_of_many/kernel"
    numbers = range(1, blocks + 1)
    return made + [record(f"layers/b{i}/vars/0", f"block{i}/{deep}", (8, 8)) for i in numbers]


def _report(*findings: Finding, measured: bool = True) -> Report:
    records = _records()
    told = {r.key: statistics_of(RANDOM.normal(size=r.spec.shape)) for r in records}
    return Report(
        "verify", "/home/ada/run/07.keras", "keras_zip", findings, origin="recorded",
        records=tuple(records), versions={"keras": "3.15.1", "format": "keras_zip"},
        statistics={k: s for k, s in told.items() if s} if measured else {},
    )  # fmt: skip


def test_the_verdict_comes_first_and_the_versions_last() -> None:
    text = page(_report(BAD))
    order = ["Differs from its manifest", "What to do", "KG302", "head/", "kerasguard verify"]
    places = [text.index(part, text.index("<header")) for part in order]
    assert places == sorted(places)
    assert "Written by keras 3.15.1." in text[places[-1] :]


def test_no_folder_of_the_machine_is_named_unless_asked_for() -> None:
    assert "ada" not in page(_report(NOTE))
    assert "/home/ada/run/07.keras" in page(_report(NOTE), paths=True)


def test_tensors_go_by_the_paths_of_their_variables() -> None:
    text = page(_report())
    assert "head/<wbr>kernel" in text
    assert "layers/head/vars/0" not in text


def test_blocks_that_are_as_recorded_are_folded_and_trouble_is_not() -> None:
    trouble = Finding("KG302", "layers/b3/vars/0", "block3: differs")
    items = folded(rows(_report(trouble)))
    names = [item.name if isinstance(item, Fold) else item.tensor for item in items]
    assert names[0] == "block3/attention_of_many/kernel"
    assert "block{1,2,4,5,..12}/attention_of_many/kernel" in names
    assert len(items) == 3


def test_a_fold_tells_the_statistics_of_all_its_values() -> None:
    arrays = [RANDOM.normal(i, 1 + i, size=50 + i) for i in range(4)]
    together = statistics_of(np.concatenate(arrays))
    parts = [s for s in map(statistics_of, arrays) if s]
    found = pooled(parts)
    assert together is not None
    assert found.count == together.count
    assert sum(found.histogram) == found.count
    for name in ("mean", "std", "low", "high"):
        assert getattr(found, name) == pytest.approx(getattr(together, name))


def test_statistics_count_what_is_no_number() -> None:
    found = statistics_of(np.array([[np.nan, np.inf, -np.inf], [0.0, 1.0, 3.0]], "float32"))
    assert found is not None
    assert (found.count, found.zeros, found.nan, found.infinite) == (6, 1, 1, 2)
    assert (found.low, found.high, sum(found.histogram)) == (0.0, 3.0, 3)
    assert found.mean == pytest.approx(4 / 3)


@pytest.mark.parametrize("array", [np.full(3, np.nan), np.zeros((0, 4)), np.array(7)])
def test_statistics_of_nothing_finite_of_nothing_and_of_one(array: np.ndarray) -> None:
    found = statistics_of(array)
    assert found is not None
    assert found.count == array.size
    assert (found.mean is None) == (not np.isfinite(array).any())


def test_statistics_of_strings_are_none() -> None:
    assert statistics_of(np.array([b"word"], object)) is None


def test_rows_are_what_a_data_frame_takes() -> None:
    row = _report(BAD).rows()[0]
    assert row["tensor"] == "head/kernel"
    assert row["status"] == "differs"
    assert row["codes"] == ["KG302"]
    assert isinstance(row["mean"], float)
    assert "histogram" not in row


def test_a_notebook_shows_the_verdict_and_the_findings_and_repr_is_one_line() -> None:
    report = _report(BAD)
    assert "differs from its manifest" in fragment(report)
    assert "KG302" in report._repr_html_()
    assert "\n" not in repr(report)
    assert len(repr(report)) < 200


def test_the_page_of_a_save_says_what_was_recorded() -> None:
    manifest = Manifest(
        "keras_zip", (FileRecord("07.keras", 1, "0" * 64, "xxh3:0"),), Table.of(_records())
    )
    text = report_of_save("07.keras", manifest).html
    assert "head/<wbr>kernel" in text
    assert "Recorded" in text
    assert "As recorded" not in text  # nothing was compared


@pytest.mark.slow
@pytest.mark.parametrize("width", [650, 1400])
@pytest.mark.parametrize("findings", [(), (BAD, NOTE)], ids=["good", "bad"])
def test_a_browser_shows_it_readable_at_any_width_light_and_dark(
    tmp_path: Path, width: int, findings: tuple[Finding, ...]
) -> None:
    text, name = page(_report(*findings)), f"report-{len(findings)}"
    light = look(text, tmp_path, name, width=width, dark=False)
    dark = look(text, tmp_path, name, width=width, dark=True)
    assert light.picture != dark.picture
    for seen in (light, dark):
        assert seen.wider == 0
        assert not seen.broken
        assert not seen.faint
