"""The report on a run: what stands out, the heat map as a page and as a drawing."""

from __future__ import annotations

import importlib
import json
import math
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from browser import look

from kerasguard.errors import MissingPackageError
from kerasguard.report.drift import DriftReport, Saved

if TYPE_CHECKING:
    from pathlib import Path

SAVED = tuple(
    Saved(f"/home/somebody/run/0{n}.keras", n, "intact", metrics={"loss": 1 / n}) for n in (1, 2, 3)
)
LAYERS = {
    "encoder/frozen": (0.0, 0.0),
    "encoder/slow": (5e-6, 0.002),
    "head": (0.25, 0.5),
    "<b>late</b>": (None, 0.04),
}
NORMS = dict.fromkeys(LAYERS, (1.0, 1.0, 1.0))
RUN = DriftReport("/home/somebody/run", SAVED, LAYERS, NORMS, ("/home/somebody/run/best.keras",))


def diverged() -> DriftReport:
    """A run whose head became NaN, and whose second checkpoint is damaged."""
    saved = (SAVED[0], Saved("run/02.keras", 2, "differs", "KG302 head/kernel"), SAVED[2])
    return DriftReport("run", saved, {"head": (math.inf,)}, {"head": (1.0, None)})


def test_what_never_moved_and_what_diverged_is_named() -> None:
    assert RUN.ok
    assert RUN.still == ("encoder/frozen",)
    assert RUN.verdict == "3 checkpoints, 3 as recorded, all weights finite"
    bad = diverged()
    assert not bad.ok
    assert bad.diverged == ("head",)
    assert [one.name for one in bad.usable] == ["01.keras", "03.keras"]
    assert "NaN or Inf in 1 layer" in bad.verdict
    assert "KG302 head/kernel" in str(bad)


def test_rows_are_one_for_each_layer_and_step() -> None:
    rows = RUN.rows()
    assert len(rows) == 8
    assert rows[5] == {
        "layer": "head", "checkpoint": "03.keras", "epochs": 3, "before": "02.keras", "drift": 0.5,
    }  # fmt: skip


def test_the_dict_survives_strict_json() -> None:
    told = json.loads(json.dumps(diverged().to_dict(), allow_nan=False))
    assert told["layers"]["head"] == ["inf"]
    assert told["saved"][1]["state"] == "differs"


def test_the_page_shows_each_step_of_each_layer_and_escapes_names() -> None:
    page = RUN.html
    assert page.count("<title>") == 1 + sum(map(len, LAYERS.values()))
    assert "<title>03.keras: 50.00%</title>" in page
    assert "&lt;b&gt;late" in page
    assert "<b>" not in page
    assert "/home/somebody" not in page
    assert "best.<wbr>keras" in page
    ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    assert "NaN or Inf</strong>" in diverged().html


def test_a_colour_means_the_same_on_every_page() -> None:
    page = RUN.html
    assert 'class="h0" x="0"' in page  # at rest
    assert 'class="hnone"' in page  # unknown
    assert 'class="h7" x="10"' in page  # more than 30 %
    assert 'class="hbad" x="0"' in diverged().html


def test_a_notebook_shows_the_verdict_and_a_line_for_each_layer() -> None:
    told = RUN._repr_html_()
    assert "3 checkpoints" in told
    assert told.count("<tr>") == 1 + len(LAYERS)
    assert "\n" not in repr(RUN)


def test_the_drawing_has_a_row_for_each_layer_and_a_column_for_each_step() -> None:
    pytest.importorskip("matplotlib").use("agg")
    axes = RUN.plot_drift()
    assert [label.get_text() for label in axes.get_yticklabels()] == list(LAYERS)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "3"]
    image = axes.get_images()[0].get_array()
    assert image.shape == (4, 2)
    assert image[2, 1] == pytest.approx(0.5)
    assert diverged().plot_drift(axes) is axes
    importlib.import_module("matplotlib.pyplot").close("all")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"kerasguard\[plot\]"):
        RUN.plot_drift()
    assert importlib.import_module("kerasguard.report.plot")


@pytest.mark.slow
@pytest.mark.parametrize("width", [650, 1400])
def test_a_browser_shows_it_readable_at_any_width_light_and_dark(
    tmp_path: Path, width: int
) -> None:
    light = look(RUN.html, tmp_path, "run", width=width, dark=False)
    dark = look(RUN.html, tmp_path, "run", width=width, dark=True)
    assert light.picture != dark.picture
    for seen in (light, dark):
        assert seen.wider == 0
        assert not seen.broken
        assert not seen.faint
