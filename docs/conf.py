"""The documentation site: `sphinx-build -W docs site` (what it needs: `kerasguard[docs]`).

Pages that code or another file tells are made in `docs/_made` while the site is built and not kept:
the first page is the README, `codes/KG201` what `kerasguard explain KG201` prints, the reference
the docstrings and the help of the command line.
"""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kerasguard
from kerasguard.checkpoints.explain import Explanation, explanations

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
MADE = DOCS / "_made"

project = "kerasguard"
copyright = f"the {kerasguard.__name__} contributors"  # noqa: A001  # Sphinx calls it so
release = kerasguard.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"kerasguard {release}"
root_doc = "_made/index"
exclude_patterns = ["Thumbs.db"]
default_role = "code"  # docstrings write `names` with one backtick
add_module_names = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_use_rtype = False
myst_heading_anchors = 3

TOPICS = {
    "Record": ("patch", "patched", "unpatch", "record", "WeightManifestCallback"),
    "Load": ("load", "restore", "plan"),
    "Look": (
        "inspect",
        "verify",
        "scan",
        "latest",
        "read",
        "compare",
        "drift",
        "replica_differences",
        "explain",
    ),
    "Write": ("repair", "convert", "average"),
}
VALUES = {
    "Manifest": ("kerasguard.manifest.Manifest", "kerasguard.tensors.TensorSpec"),
    "What is found and done": (
        "kerasguard.planning.findings.Finding",
        "kerasguard.planning.findings.Severity",
        "kerasguard.planning.operations.Safety",
        "kerasguard.planning.plan.RepairPlan",
        "kerasguard.report.report.Report",
        "kerasguard.report.drift.DriftReport",
    ),
    "What functions give": (
        "kerasguard.loader.attempt.Restored",
        "kerasguard.loader.arrays.Arrays",
        "kerasguard.checkpoints.latest.Latest",
        "kerasguard.checkpoints.scan.Found",
        "kerasguard.checkpoints.difference.Change",
    ),
}
CONTENTS = {
    "Tutorial by job": ("../jobs", "../mlflow", "../distribution", "../gate"),
    "Reference": (
        "python",
        "values",
        "errors",
        "command-line",
        "../codes",
        "../manifest",
        "../formats",
    ),
    "Background": ("../failures", "../security", "contributing", "changelog"),
}


def setup(app: Sphinx) -> None:
    """Make the pages, and tell how docstrings and tables of codes become pages."""
    shutil.rmtree(MADE, ignore_errors=True)
    for name, text in _pages():
        place = MADE / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
    app.connect("source-read", _linked)
    app.connect("autodoc-process-docstring", _with_blocks)


def _pages() -> Iterator[tuple[str, str]]:
    root = DOCS.parent
    yield "index.md", _moved((root / "README.md").read_text("utf-8")) + _contents()
    yield "contributing.md", _moved((root / "CONTRIBUTING.md").read_text("utf-8"))
    yield "changelog.md", _moved((root / "CHANGELOG.md").read_text("utf-8"))
    yield "python.rst", _python()
    yield "values.rst", _values()
    yield "errors.rst", f"{_title('Errors')}.. automodule:: kerasguard.errors\n"
    yield "command-line.md", _command_line()
    for entry in explanations().values():
        yield f"codes/{entry.code}.md", _code(entry)


def _moved(text: str) -> str:
    """Links of a file in the root, for a page of the site."""
    text = re.sub(r"\]\(docs/", "](../", text)
    return text.replace("](CONTRIBUTING.md)", "](contributing.md)")


def _contents() -> str:
    known = {name for names in CONTENTS.values() for name in names}
    others = sorted(f"../{page.stem}" for page in DOCS.glob("*.md"))
    more = {"Background": (*CONTENTS["Background"], *(p for p in others if p not in known))}
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(names) + "\n```\n"
        for caption, names in {**CONTENTS, **more}.items()
    )


def _title(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n\n"


def _python() -> str:
    known = {name for names in TOPICS.values() for name in names}
    others = tuple(n for n in kerasguard.__all__ if n[0].islower() and n not in known)
    topics = {**TOPICS, "More": others} if others else TOPICS
    text = _title("Python") + "Everything here is an attribute of ``kerasguard``.\n\n"
    for topic, names in topics.items():
        text += _title(topic, "-")
        for name in names:
            kind = "autofunction" if name[0].islower() else "autoclass"
            text += f".. {kind}:: kerasguard.{name}\n\n"
    return text + _title("MLflow", "-") + ".. automodule:: kerasguard.mlflow\n"


def _values() -> str:
    text = _title("Values") + "What functions take and give.\n\n"
    for topic, names in VALUES.items():
        text += _title(topic, "-") + "".join(_value(name) for name in names)
    return text


def _value(name: str) -> str:
    """A class with all that it inherits from classes of the package."""
    return f".. autoclass:: {name}\n   :inherited-members: Mapping, Enum, str, PathLike\n\n"


def _command_line() -> str:
    os.environ.update(COLUMNS="92", NO_COLOR="1")
    from kerasguard.cli import program
    from kerasguard.cli.parser import parser

    whole = parser()
    codes = textwrap.dedent((program.__doc__ or "").partition("stderr.\n\n")[2])
    parts = [f"# Command line\n\n{_block(whole.format_help())}"]
    parts.append(f"## Exit codes\n\n{_block(codes)}")
    verbs: Any = getattr(whole, "below", ())
    parts += [f"## {v.prog.rpartition(' ')[2]}\n\n{_block(v.format_help())}" for v in verbs]
    return "\n".join(parts)


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```\n"


def _code(entry: Explanation) -> str:
    parts = []
    for paragraph in entry.text.split("\n\n"):
        title, colon, rest = paragraph.partition(":")
        if colon and title.startswith(("What it", "Why it", "Source", "When")):
            rest = rest.strip()
            first = rest[:1] if title == "Source" else rest[:1].upper()
            parts.append(f"**{title}.** {first}{rest[1:]}")
        else:
            parts.append(paragraph)
    text = "\n\n".join(parts)
    return (
        "---\norphan: true\n---\n\n"
        f"# {entry.code}\n\n*{entry.summary}*\n\n{text}\n\n"
        f"Given by `{entry.module}`; in a shell: `kerasguard explain {entry.code}`. "
        "[All codes](../../codes.md).\n"
    )


def _linked(_: Sphinx, page: str, content: list[str]) -> None:
    """Codes in tables lead to their pages."""
    if page not in ("codes", "failures"):
        return
    known = explanations()

    def link(found: re.Match[str]) -> str:
        return f"[{found[0]}](_made/codes/{found[0]}.md)" if found[0] in known else found[0]

    lines = content[0].splitlines()
    content[0] = "\n".join(
        re.sub(r"\bKG\d{3}\b(?![^`]*`[^`]*$)", link, line) if line.startswith("|") else line
        for line in lines
    )


def _with_blocks(*arguments: Any) -> None:
    """Indented lines of a docstring that belong to no section are shown as they stand."""
    lines: list[str] = arguments[-1]
    made: list[str] = []
    section = False
    for line, before in zip(lines, ["", *lines], strict=False):
        section = bool(re.match(r"[A-Z]\w+:$", line)) or (section and line[:1] in ("", " "))
        inside = line.startswith("    ") and not section
        if inside and not before.strip() and (not made or not made[-1].startswith("    ")):
            made += ["::", ""]
        made.append(line)
    lines[:] = made
