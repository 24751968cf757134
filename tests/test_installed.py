"""The package as it is installed: a type checker sees it, and a wheel works without TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from run_folders import leave

pytestmark = pytest.mark.slow

PROGRAM = """
import kerasguard as kg
import kerasguard.mlflow

model = kg.load("run/07.keras")
report: kg.Report = kg.verify("run/07.keras")
reveal_type(report.ok)
for found in kg.scan("run"):
    reveal_type(found.path)
callback = kg.WeightManifestCallback(keep=3)
"""


def run(*command: str | Path, folder: Path, code: int = 0) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder, env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def environment(folder: Path) -> Path:
    """A fresh environment's Python."""
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def test_mypy_sees_the_editable_install_that_the_readme_prescribes(
    repository: Path, tmp_path: Path
) -> None:
    python = environment(tmp_path / "env")
    # What it needs is here already, and is not what is asked about.
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"])
    install = ("-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e")
    run(python, *install, repository, folder=tmp_path)
    (tmp_path / "user.py").write_text(PROGRAM)
    checked = ("-m", "mypy", "--strict", "--python-executable", python, "user.py")
    told = run(sys.executable, *checked, folder=tmp_path)
    assert 'Revealed type is "bool"' in told
    assert 'Revealed type is "str"' in told
    (tmp_path / "user.py").write_text("import kerasguard as kg\n\nkg.lod('run/07.keras')\n")
    told = run(sys.executable, *checked, folder=tmp_path, code=1)
    assert 'maybe "load"' in told


def test_a_wheel_without_tensorflow_looks_at_files_and_says_what_the_rest_needs(
    repository: Path, tmp_path: Path
) -> None:
    wheels = tmp_path / "wheels"
    build = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")
    copy = tmp_path / "source"
    copy.mkdir()
    for name in ("setup.py", "setup.cfg", "README.md", "LICENSE"):
        (copy / name).write_bytes((repository / name).read_bytes())
    for path in (repository / "kerasguard").rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            place = copy / path.relative_to(repository)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    run(*build, "-w", wheels, copy, folder=tmp_path)
    python = environment(tmp_path / "env")
    (wheel,) = wheels.iterdir()
    run(python, "-m", "pip", "install", "-q", wheel, folder=tmp_path)
    leave(tmp_path / "run" / "01.keras", 1, epoch=0)
    leave(tmp_path / "run" / "02.keras", 2, epoch=1)
    kerasguard = tmp_path / "env" / "bin" / "kerasguard"
    first, second = "run/01.keras", "run/02.keras"
    for arguments in (
        ("verify", first), ("inspect", first), ("scan", "run"), ("report", first),
        ("report", "run"), ("latest", "run"), ("record", "run"), ("explain", "KG201"),
    ):  # fmt: skip
        run(kerasguard, *arguments, folder=tmp_path)
    run(kerasguard, "diff", first, second, folder=tmp_path, code=1)
    code = f"import kerasguard as kg; print(sorted(kg.read({first!r})), kg.drift('run').ok)"
    assert "True" in run(python, "-c", code, folder=tmp_path)
    for needing in (["plan", first], ["repair", first, "new.keras"]):
        told = run(kerasguard, *needing, folder=tmp_path, code=2)
        assert "kerasguard[tensorflow]" in told
    told = json.loads(run(kerasguard, "doctor", "--json", folder=tmp_path, code=2))
    assert told["versions"]["tensorflow"] is None
    packages = run(python, "-m", "pip", "list", folder=tmp_path).lower()
    assert "tensorflow" not in packages
    assert "keras " not in packages
