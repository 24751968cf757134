"""The README and the pages say what is so: code and commands run, tables come from the code.

`python tests/test_docs.py` writes the tables of codes, of failure classes and of writers into their
pages anew; the last one from what `python tests/support/corpora.py writers --table` has measured.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from corpora import MEASURED, writers_table
from failure_classes import CLASSES, classes_table

from kerasguard.checkpoints.explain import Explanation, explanations
from kerasguard.cli.program import main

RUN = """
space = {{"__name__": "readme"}}
for line, block in {blocks!r}:
    exec(compile("\\n" * line + block, {readme!r}, "exec"), space)
"""


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def tour(repository: Path, readme: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the Python blocks of the README and then of the pages have run."""
    folder = tmp_path_factory.mktemp("tour")
    texts = [readme, *(page.read_text("utf-8") for page in pages(repository))]
    found = [block for text in texts for block in blocks(text, "python")]
    code = RUN.format(readme=str(repository / "README.md"), blocks=found)
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    # MLflow loads each model in a process of its own to see which packages it imports, but for 1 s.
    environment["MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.keras
def test_every_python_block_of_the_readme_runs(tour: Path) -> None:
    assert (tour / "run" / "02.keras.manifest.json").is_file()


@pytest.mark.keras
def test_every_command_of_the_readme_runs(
    tour: Path, readme: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tour)
    commands = [line for _, block in blocks(readme, "console") for line in block.splitlines()]
    assert len(commands) >= 4
    for command in commands:
        prompt, program, *arguments = command.split()
        assert (prompt, program) == ("$", "kerasguard")
        assert main(arguments) == 0, (command, capsys.readouterr().err)


def test_the_readme_has_no_code_block_that_nothing_runs(readme: str) -> None:
    languages = re.findall(r"^```(\S+)$", readme, re.MULTILINE)
    assert set(languages) == {"bash", "console", "python"}
    assert readme.count("\n```\n") == len(languages)


def test_the_pages_have_no_code_block_that_nothing_runs(repository: Path) -> None:
    for page in pages(repository):
        text = page.read_text("utf-8")
        languages = re.findall(r"^```(\S+)$", text, re.MULTILINE)
        assert set(languages) <= {"python"} or page.name == "gate.md", page.name  # test_gate.py
        assert text.count("\n```\n") == len(languages), page.name


def test_the_readme_is_read_in_a_few_minutes(readme: str) -> None:
    assert readme.count("\n") <= 250


def test_every_link_to_a_file_leads_somewhere(repository: Path) -> None:
    for page in (repository / "README.md", repository / "CONTRIBUTING.md", *pages(repository)):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8").replace("\n", " ")):
            assert (page.parent / target).exists(), (page.name, target)


def test_ci_runs_the_test_command_of_the_readme_and_its_quickstart(
    repository: Path, readme: str
) -> None:
    script = (repository / ".ci" / "run").read_text("utf-8")
    first, second = (block.strip() for _, block in blocks(readme, "bash"))
    assert f"\n{second}\n" in script
    assert f"\n{first.rpartition(' && ')[2]}\n" in script


def test_the_table_of_rules_is_what_the_rules_say(repository: Path) -> None:
    table = between((repository / "docs" / "codes.md").read_text("utf-8"), "rules")
    assert table == rules_table(explanations()), "python tests/test_docs.py writes it anew"


def test_the_table_of_failure_classes_is_what_their_tests_hold(repository: Path) -> None:
    table = between((repository / "docs" / "failures.md").read_text("utf-8"), "classes")
    assert table == classes_table(CLASSES), "python tests/test_docs.py writes it anew"


def test_the_table_of_writers_is_what_was_measured(repository: Path) -> None:
    table = between((repository / "docs" / "formats.md").read_text("utf-8"), "writers")
    found = json.loads(MEASURED.read_text("utf-8"))
    assert table == writers_table(found), "python tests/test_docs.py writes it anew"


@pytest.mark.parametrize("entry", explanations().values(), ids=lambda entry: entry.code)
def test_every_rule_and_migration_tells_its_four_parts(entry: Explanation) -> None:
    parts = ("What it looks like", "Why it happens", "Source", "When (the repair|it) is exact")
    for heading in parts:
        assert re.search(rf"^{heading}:", entry.text, re.MULTILINE), f"{entry.module}: {heading}?"


def pages(repository: Path) -> list[Path]:
    """What the README leads to, in an order in which their blocks can run."""
    return sorted((repository / "docs").glob("*.md"))


def blocks(text: str, language: str) -> list[tuple[int, str]]:
    """The code blocks of a language, each with the number of lines before it."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, m.start(1)), m.group(1)) for m in pattern.finditer(text)]


def between(text: str, name: str) -> str:
    """What stands between `<!-- name: begin -->` and `<!-- name: end -->`."""
    return text.partition(f"<!-- {name}: begin -->\n")[2].partition(f"<!-- {name}: end -->")[0]


def rules_table(known: dict[str, Explanation]) -> str:
    """One row per code: what it is, what it looks like."""
    rows = [
        f"| {entry.code} | {entry.summary} | {part(entry.text, 'What it looks like')} |"
        for entry in known.values()
    ]
    return "\n".join(["| code | what | what it looks like |", "|---|---|---|", *rows, ""])


def part(text: str, name: str) -> str:
    """One of the parts of a rule's docstring, on one line."""
    paragraph = text.partition(f"{name}:")[2].partition("\n\n")[0]
    return " ".join(paragraph.split()).replace("|", "\\|")


if __name__ == "__main__":
    folder = Path(__file__).resolve().parent.parent / "docs"
    for page, name, table in (
        ("codes.md", "rules", rules_table(explanations())),
        ("failures.md", "classes", classes_table(CLASSES)),
        ("formats.md", "writers", writers_table(json.loads(MEASURED.read_text("utf-8")))),
    ):
        text = (folder / page).read_text("utf-8")
        (folder / page).write_text(text.replace(between(text, name), table), "utf-8")
