"""What `import kerasguard` gives, and what it costs."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import kerasguard
from kerasguard import errors

_FRAMEWORKS = {"keras", "mlflow", "tensorflow", "tf_keras", "torch", "jax", "h5py", "rich"}
_COST = """
import json, sys, time
before = set(sys.modules)
start = time.process_time()
import kerasguard
print(json.dumps([time.process_time() - start, sorted(set(sys.modules) - before)]))
"""


def _fresh(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_kerasguard_imports_no_framework_and_takes_less_than_a_fifth_of_a_second() -> (
    None
):
    seconds, modules = json.loads(_fresh(_COST))
    assert not _FRAMEWORKS & {name.partition(".")[0] for name in modules}
    assert seconds < 0.2


def test_there_are_at_most_30_public_names() -> None:
    assert len(kerasguard.__all__) <= 30
    assert sorted(kerasguard.__all__) == list(kerasguard.__all__)


@pytest.mark.keras
@pytest.mark.parametrize("name", kerasguard.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(kerasguard, name)
    assert value.__doc__
    assert name in dir(kerasguard)


@pytest.mark.keras
def test_no_public_name_is_hidden_by_a_module_of_the_same_name() -> None:
    parts = {info.name for info in pkgutil.iter_modules(kerasguard.__path__)}
    assert not parts & set(kerasguard.__all__)


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        getattr(kerasguard, "lod")  # noqa: B009


def test_every_error_is_exported_and_stands_in_the_tree_of_its_module() -> None:
    classes = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert set(errors.__all__) == set(classes)
    for name, value in classes.items():
        assert issubclass(value, errors.KerasguardError)
        assert name in (errors.__doc__ or "")


def test_the_version_is_the_one_in_setup_cfg(repository: Path) -> None:
    lines = (repository / "setup.cfg").read_text("utf-8").splitlines()
    assert f"version = {kerasguard.__version__}" in lines


def test_type_checkers_and_the_interpreter_see_the_same_names(repository: Path) -> None:
    tree = ast.parse((repository / "kerasguard" / "__init__.py").read_text("utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    pairs = {
        alias.name: str(node.module)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert pairs == {n: f"kerasguard.{home}" for n, home in kerasguard._HOME.items()}
    assert set(pairs) == set(kerasguard.__all__)
