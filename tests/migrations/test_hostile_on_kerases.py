"""What a file names is refused alike on every Keras, and causes nothing: no import, no open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = [pytest.mark.keras, pytest.mark.slow]

JOB = Path(__file__).parents[1] / "support" / "hostile_job.py"
OTHER = "3.6.0"
PACKAGES = (f"keras=={OTHER}", "jax", "numpy", "h5py", "ml_dtypes", "xxhash", "google-crc32c",
            "rich", "jinja2", "pytest")  # fmt: skip


def told(python: Path | str, repository: Path, backend: str) -> dict[str, object]:
    paths = os.pathsep.join((str(repository), str(repository / "tests" / "support")))
    done = subprocess.run(
        [python, JOB],
        env={**os.environ, "PYTHONPATH": paths, "KERAS_BACKEND": backend},
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_on_the_keras_that_is_installed(repository: Path) -> None:
    found = told(sys.executable, repository, os.environ.get("KERAS_BACKEND", "tensorflow"))
    assert found["bad"] == []
    assert int(str(found["count"])) >= 250


def test_on_an_older_keras(tmp_path: Path, repository: Path) -> None:
    folder = os.environ.get("KERASGUARD_ENVIRONMENTS", "")
    python = Path(folder, f"keras{OTHER}", "bin", "python")
    if not python.exists():
        python = tmp_path / "bin" / "python"
        venv.create(tmp_path, with_pip=False, symlinks=True)
        command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
        done = subprocess.run(
            [*command, "--prefer-binary", *PACKAGES],
            capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"keras {OTHER} cannot be had here: {done.stderr.strip()[-200:]}")
    found = told(python, repository, "jax")
    assert found["keras"] == OTHER
    assert found["bad"] == []
