"""Pages as a headless Chromium shows them: pictures, and what it measured."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest

# Text whose contrast with what is behind it is below 4.5, words that were broken in what must not
# be, and how much wider than the window the page is.
_MEASURE = r"""
const light = c => {
  const [r, g, b] = c.match(/[\d.]+/g).slice(0, 3).map(v => {
    v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b };
const behind = e => {
  for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (!/, 0\)$/.test(c) && c !== "transparent") return c }
  return "rgb(255, 255, 255)" };
const faint = [], broken = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, parent = node.parentElement;
  if (!node.data.trim() || /script|style/i.test(parent.tagName)) continue;
  const [a, b] = [light(getComputedStyle(parent).color), light(behind(parent))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < 4.5) faint.push([node.data.trim(), contrast]);
  if (parent.closest("th, code")) {
    for (const word of node.data.matchAll(/[A-Za-z0-9]+/g)) {
      const range = document.createRange();
      range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map(r => Math.round(r.top)));
      if (lines.size > 1) broken.push(word[0]) } } }
const root = document.documentElement;
const result = { wider: root.scrollWidth - root.clientWidth, faint, broken };
document.body.innerHTML = ""; document.title = JSON.stringify(result);
"""


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page."""

    picture: bytes
    wider: int
    faint: list[tuple[str, float]]
    broken: list[str]


def look(page: str, folder: Path, name: str, *, width: int, dark: bool) -> Seen:
    """Show a page in a window of `width`; the picture is left in `folder`.

    `KERASGUARD_PICTURES` names another folder for the pictures, where people look at them.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("needs chromium (Debian: apt-get install chromium)")
    plain, measured = folder / f"{name}.html", folder / f"{name}.measured.html"
    plain.write_text(page, "utf-8")
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    measured.write_text(free.replace("</body>", f"<script>{_MEASURE}</script></body>"), "utf-8")
    pictures = Path(os.environ.get("KERASGUARD_PICTURES", folder))
    picture = pictures / f"{name}-{width}-{'dark' if dark else 'light'}.png"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder}/profile", f"--window-size={width},1400"]
    command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    _run([*command, f"--screenshot={picture}", plain.as_uri()])
    dom = _run([*command, "--dump-dom", measured.as_uri()])
    found = re.search(r"<title>(\{.*?\})</title>", dom, re.DOTALL)
    assert found is not None, dom[:2000]
    return Seen(picture.read_bytes(), **json.loads(unescape(found[1])))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
