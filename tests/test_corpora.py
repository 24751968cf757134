"""Real legacy files load with the predictions of their writers, or are refused with the reason."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from corpora import Verdict, cases, judge

pytestmark = pytest.mark.keras


def verdicts(corpus: str, shared: Path, scratch: Path, *parts: str) -> dict[str, Verdict]:
    """Verdicts on the HDF5 files of a corpus, by case."""
    return {
        str(case): judge(case)
        for case in cases(corpus, shared, scratch)
        if case.format in ("h5", "weights_h5")
        and not case.path.name.endswith(".weights.h5")
        and (not parts or any(part in str(case) for part in parts))
    }


def counted(found: dict[str, Verdict]) -> Counter[str]:
    return Counter(verdict.kind for verdict in found.values())


@pytest.mark.slow
def test_import_tests_of_another_project_load_and_none_is_wrong(
    shared: Path, tmp_path: Path
) -> None:
    found = verdicts("dl4j", shared, tmp_path)
    files = {case: v for case, v in found.items() if "(recorded)" not in case}
    recorded = {case: v for case, v in found.items() if "(recorded)" in case}
    assert {case: v for case, v in found.items() if v.kind == "wrong"} == {}
    assert len(files) == 112
    assert counted(files)["refused"] <= 9
    assert set(counted(recorded)) == {"right"}


@pytest.mark.slow
def test_public_models_are_right_or_say_what_they_need(shared: Path, tmp_path: Path) -> None:
    found = verdicts("wild", shared, tmp_path)
    refused = {case: v.why for case, v in found.items() if v.kind == "refused"}
    assert counted(found)["wrong"] == 0
    assert sorted(case.split("/")[2][:3] for case in refused) == ["032", "034", "035", "050"]
    assert all("custom_objects={" in why for why in refused.values())
