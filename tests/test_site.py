"""The documentation site is built without a warning, and its pages are readable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import look

from kerasguard.checkpoints.explain import explanations

pytestmark = [pytest.mark.slow, pytest.mark.keras]


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason="kerasguard[docs] is not installed")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", f"{out}/trees"]
    done = subprocess.run(
        [*command, str(repository / "docs"), str(out)],
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def words(page: Path) -> str:
    """What a page says."""
    return re.sub(r"<[^>]+>", "", page.read_text("utf-8"))


def test_every_code_has_a_page_that_the_table_leads_to(site: Path) -> None:
    table = (site / "codes.html").read_text("utf-8")
    for code, entry in explanations().items():
        assert f'href="_made/codes/{code}.html"' in table
        text = words(site / "_made" / "codes" / f"{code}.html")
        assert "Why it happens" in text, code
        assert entry.module in text


def test_the_reference_has_every_public_function_and_every_verb(site: Path) -> None:
    import kerasguard
    from kerasguard.cli.parser import parser

    page = (site / "_made" / "python.html").read_text("utf-8")
    for name in (n for n in kerasguard.__all__ if n[0].islower()):
        assert re.search(rf'id="kerasguard\.[\w.]*{name}"', page), name
    verbs = words(site / "_made" / "command-line.html")
    for verb in parser().below:  # type: ignore[attr-defined]
        assert f"usage: {verb.prog}" in verbs


def test_the_first_page_is_the_readme_and_leads_to_all_others(site: Path) -> None:
    first = (site / "_made" / "index.html").read_text("utf-8")
    assert "never" in first
    for page in ("../jobs", "../mlflow", "../gate", "python", "command-line", "../codes"):
        assert f'href="{page}.html"' in first


@pytest.mark.parametrize("width", [650, 1400])
def test_a_browser_shows_the_first_page_without_scrolling_sideways(
    site: Path, tmp_path: Path, width: int
) -> None:
    page = (site / "_made" / "index.html").read_text("utf-8")
    base = f'<head><base href="{(site / "_made").as_uri()}/">'
    page = page.replace("<head>", base, 1)
    light = look(page, tmp_path, "site", width=width, dark=False)
    dark = look(page, tmp_path, "site", width=width, dark=True)
    assert light.picture != dark.picture
    assert (light.wider, dark.wider) == (0, 0)
