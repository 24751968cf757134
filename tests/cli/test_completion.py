"""A shell completes verbs, options, choices and codes; whoever asks for nothing pays nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kerasguard.cli import program
from kerasguard.cli.program import main

Captured = pytest.CaptureFixture[str]


def completed(line: str, folder: Path) -> set[str]:
    """What would follow on a command line, as argcomplete's script asks for it."""
    pytest.importorskip("argcomplete", reason="kerasguard[completion] is not installed")
    out = folder / "words"
    environment = {
        **os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(out),
        "COMP_LINE": line, "COMP_POINT": str(len(line)), "IFS": "\n", "COMP_TYPE": "9",
        "_ARGCOMPLETE_IFS": "\n",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "from kerasguard.cli import main; main()"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {word.strip() for word in out.read_text("utf-8").split("\n")}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kerasguard ve", {"verify"}),
        ("kerasguard scan --on", {"--only"}),
        ("kerasguard scan . --only dif", {"differs"}),
        ("kerasguard explain KG20", {f"KG20{n}" for n in range(1, 8)}),
    ],
)
def test_verbs_options_choices_and_codes_are_completed(
    line: str, expected: set[str], tmp_path: Path
) -> None:
    assert expected <= completed(line, tmp_path)


def test_paths_are_completed(tmp_path: Path) -> None:
    (tmp_path / "07.keras").touch()
    assert "07.keras" in completed("kerasguard verify 0", tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed(shell: str, capsys: Captured) -> None:
    pytest.importorskip("argcomplete", reason="kerasguard[completion] is not installed")
    assert main(["completion", shell]) == program.OK
    told = capsys.readouterr()
    assert "kerasguard" in told.out
    assert told.err == ""


def test_bash_takes_the_script_and_completes(tmp_path: Path) -> None:
    pytest.importorskip("argcomplete", reason="kerasguard[completion] is not installed")
    (tmp_path / "kerasguard").write_text(f'#!/bin/sh\nexec {sys.executable} -m kerasguard "$@"\n')
    (tmp_path / "kerasguard").chmod(0o755)
    script = f"""
        PATH={tmp_path}:$PATH
        eval "$(kerasguard completion bash)"
        COMP_LINE='kerasguard insp' COMP_POINT=15 COMP_WORDS=(kerasguard insp)
        COMP_CWORD=1 COMP_TYPE=9
        _python_argcomplete kerasguard insp kerasguard
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["inspect"], done.stderr


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    assert main(["completion", "bash"]) == program.USAGE
    assert "kerasguard[completion]" in capsys.readouterr().err
