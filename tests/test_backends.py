"""TensorFlow, JAX and PyTorch, each in an environment of its own, and files that go round them."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from worker_processes import run_workers

pytestmark = [pytest.mark.keras, pytest.mark.slow]

# Without TensorFlow and MLflow. PyTorch's usual wheel brings five gigabytes of CUDA.
PACKAGES = {"jax": ("jax", "orbax-checkpoint"), "torch": ("torch==2.13.0+cpu",)}
BASE = ("keras==3.15.1", "numpy", "h5py", "ml_dtypes", "xxhash", "google-crc32c", "rich", "jinja2")
JOB = Path(__file__).parent / "support" / "backend_job.py"
FILES, JOBS = 12, 8


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Python with one backend; made here unless `KERASGUARD_ENVIRONMENTS` is where it lies."""

    def found(backend: str) -> Path:
        told = os.environ.get("KERASGUARD_ENVIRONMENTS")
        python = Path(told, backend, "bin", "python") if told else None
        if python is None or not python.exists():
            python = tmp_path_factory.mktemp(backend) / "bin" / "python"
            venv.create(python.parents[1], with_pip=False, symlinks=True)
            command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
            done = subprocess.run(
                [*command, "--prefer-binary", *BASE, *PACKAGES[backend]],
                capture_output=True, text=True, check=False, timeout=400,
            )  # fmt: skip
            if done.returncode:
                lines = done.stderr.strip().splitlines()
                raise FileNotFoundError(lines[-1] if lines else "pip failed")
        return python

    return found


def _every_backend(interpreter: Callable[[str], Path]) -> tuple[dict[str, Path], list[str]]:
    """The Pythons of all backends that can be had here, and why the others cannot."""
    pythons, missing = {"tensorflow": Path(sys.executable)}, []
    for backend in PACKAGES:
        try:
            pythons[backend] = interpreter(backend)
        except (OSError, subprocess.SubprocessError) as error:
            missing.append(f"{backend}: {error}")
    return pythons, missing


def test_files_go_from_backend_to_backend_and_each_does_every_job(
    interpreter: Callable[[str], Path], tmp_path: Path, repository: Path
) -> None:
    pythons, missing = _every_backend(interpreter)
    before = ""
    for number, backend in enumerate((*pythons, "tensorflow")):
        name = f"{number}-{backend}"
        done = subprocess.run(
            [pythons[backend], JOB, tmp_path, name, before],
            env={**os.environ, "PYTHONPATH": str(repository), "KERAS_BACKEND": backend},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}"
        cells = [line for line in done.stdout.splitlines() if line.startswith("ok ")]
        jobs = 1 if backend == "tensorflow" else JOBS
        assert len(cells) == (FILES if before else 0) + jobs, done.stdout
        before = name
    if missing:
        pytest.skip(f"the others passed; not to be had here: {'; '.join(missing)}")


def test_two_processes_of_jax_load_the_same_checkpoint_or_none(
    interpreter: Callable[[str], Path], tmp_path: Path
) -> None:
    try:
        python = interpreter("jax")
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"not to be had here: {error}")
    job = JOB.with_name("mesh_worker_job.py")
    first, second = run_workers(job, [tmp_path], tmp_path, 200, python=python)
    for told in (first, second):
        cells = [line for line in told.splitlines() if line.endswith((": ok", ": wrong"))]
        assert len(cells) == 3 * 4 * 2, told
        assert all(cell.endswith(": ok") for cell in cells), told
    assert "saved: as recorded" in first


def test_processes_of_jax_record_the_steps_that_orbax_saves_of_all_of_them(
    interpreter: Callable[[str], Path], tmp_path: Path
) -> None:
    try:
        python = interpreter("jax")
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"not to be had here: {error}")
    job = JOB.with_name("orbax_worker_job.py")
    for rank, told in enumerate(run_workers(job, [tmp_path], tmp_path, 500, python=python)):
        cells = [line for line in told.splitlines() if line.endswith((": ok", ": wrong"))]
        assert len(cells) == 2 * 3 * (1 + 2 * 2) + 2 + rank, told
        assert all(cell.endswith(": ok") for cell in cells), told


def test_steps_of_orbax_go_from_backend_to_backend(
    interpreter: Callable[[str], Path], tmp_path: Path, repository: Path
) -> None:
    pythons, missing = _every_backend(interpreter)
    if "jax" not in pythons:
        pytest.skip(f"not to be had here: {missing}")  # Orbax lies there
    asked = [str(pythons["jax"]), "-c", "import orbax.checkpoint as o; print(*o.__path__)"]
    place = Path(subprocess.check_output(asked, text=True, timeout=100).split()[0]).parents[1]
    before: list[str] = []
    for number, backend in enumerate((*pythons, "tensorflow")):
        name = f"{number}-{backend}"
        done = subprocess.run(
            [pythons[backend], JOB.with_name("orbax_job.py"), place, tmp_path, name, *before],
            env={**os.environ, "PYTHONPATH": str(repository), "KERAS_BACKEND": backend},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}"
        assert done.stdout.count("ok  ") == 2 + 8 * (1 + len(before)), done.stdout
        before = [name]
    if missing:
        pytest.skip(f"the others passed; not to be had here: {'; '.join(missing)}")


def test_checkpoints_go_from_mesh_to_mesh_and_onto_one_device(
    interpreter: Callable[[str], Path], tmp_path: Path, repository: Path
) -> None:
    try:
        python = interpreter("jax")
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"not to be had here: {error}")
    told = []
    eight = "--xla_force_host_platform_device_count=8"
    for parts, flags in ((("files", "strategy", "orbax"), eight), (("one",), "")):
        done = subprocess.run(
            [python, JOB.with_name("mesh_job.py"), tmp_path, *parts],
            env={**os.environ, "PYTHONPATH": str(repository), "XLA_FLAGS": flags},
            capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}"
        told += done.stdout.split("\n")
    shown = subprocess.run(
        [python, repository / "examples" / "model_parallel.py", tmp_path / "example"],
        env={**os.environ, "PYTHONPATH": str(repository), "XLA_FLAGS": eight},
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr[-2000:]
    assert "mesh none: on 1 device(s), bit for bit: True" in shown.stdout
    assert "one flipped bit: refused" in shown.stdout
    lines = ["files: 90 of 90", "strategy: 76 of 76", "orbax: 90 of 90", "one: 18 of 18"]
    assert list(filter(None, told)) == lines
