"""The floors of the package: imports go down only, foreign libraries stay where they are."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

# Each foreign library and the modules that may import it, anywhere in their text.
HOMES = {
    "fsspec": {"kerasguard/storage/fsspec_files.py"},
    "h5py": {"kerasguard/formats/"},
    "keras": {"kerasguard/models/"},
    "jax": {"kerasguard/models/kerases/backends.py", "kerasguard/models/kerases/workers.py"},
    "tf_keras": {"kerasguard/models/kerases/legacy.py"},
    "torch": {"kerasguard/models/kerases/backends.py"},
    "mlflow": {"kerasguard/tracking/mlflow_tracking.py"},
    "rich": {"kerasguard/cli/console.py"},
    "tensorflow": {"kerasguard/models/"},
}


def test_the_import_contracts_hold(repository: Path) -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("library", HOMES)
def test_a_foreign_library_is_imported_only_where_it_is_at_home(
    repository: Path, library: str
) -> None:
    strangers = {
        str(path.relative_to(repository))
        for path in (repository / "kerasguard").rglob("*.py")
        if library in _imported(path)
        and not str(path.relative_to(repository)).startswith(tuple(HOMES[library]))
    }
    assert not strangers


@pytest.mark.parametrize("room", ["identity", "manifest", "planning", "tensors"])
def test_a_module_of_the_pure_core_has_a_test_file_of_its_name(repository: Path, room: str) -> None:
    modules = {path.stem for path in (repository / "kerasguard" / room).glob("*.py")}
    tests = {path.stem for path in (repository / "tests" / room).glob("*.py")}
    assert not {f"test_{name}" for name in modules - {"__init__"}} - tests


def test_no_module_has_a_name_that_says_nothing(repository: Path) -> None:
    names = {path.stem for path in (repository / "kerasguard").rglob("*.py")}
    assert not names & {"base", "common", "config", "core", "helpers", "misc", "utils"}


@cache
def _imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found
