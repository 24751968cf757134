"""The README says what is so: its code and commands run, its tables come from the code.

`python tests/test_docs.py` writes the tables of rules, of failure classes and of writers into the
README anew; the last one from what `python tests/corpora.py writers --table` has measured.
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

from kerasguard.cli.program import main
from kerasguard.explanations import Explanation, explanations

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
    """The folder in which the README's Python blocks have run, one after the other."""
    folder = tmp_path_factory.mktemp("tour")
    code = RUN.format(readme=str(repository / "README.md"), blocks=blocks(readme, "python"))
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


def test_ci_runs_the_test_command_of_the_readme_and_its_quickstart(
    repository: Path, readme: str
) -> None:
    script = (repository / ".ci" / "run").read_text("utf-8")
    first, second = (block.strip() for _, block in blocks(readme, "bash"))
    assert f"\n{second}\n" in script
    assert f"\n{first.rpartition(' && ')[2]}\n" in script


def test_the_table_of_rules_is_what_the_rules_say(readme: str) -> None:
    table = between(readme, "rules")
    assert table == rules_table(explanations()), "python tests/test_docs.py writes it anew"


def test_the_table_of_failure_classes_is_what_their_tests_hold(readme: str) -> None:
    table = between(readme, "classes")
    assert table == classes_table(CLASSES), "python tests/test_docs.py writes it anew"


def test_the_table_of_writers_is_what_was_measured(readme: str) -> None:
    table = between(readme, "writers")
    found = json.loads(MEASURED.read_text("utf-8"))
    assert table == writers_table(found), "python tests/test_docs.py writes it anew"


@pytest.mark.parametrize("entry", explanations().values(), ids=lambda entry: entry.code)
def test_every_rule_and_migration_tells_its_four_parts(entry: Explanation) -> None:
    parts = ("What it looks like", "Why it happens", "Source", "When (the repair|it) is exact")
    for heading in parts:
        assert re.search(rf"^{heading}:", entry.text, re.MULTILINE), f"{entry.module}: {heading}?"


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
    page = Path(__file__).resolve().parent.parent / "README.md"
    text = page.read_text("utf-8")
    for name, table in (
        ("rules", rules_table(explanations())),
        ("classes", classes_table(CLASSES)),
        ("writers", writers_table(json.loads(MEASURED.read_text("utf-8")))),
    ):
        text = text.replace(between(text, name), table)
    page.write_text(text, "utf-8")
