"""The examples do what they say; each is a program that somebody runs to see something."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.keras]


def run(repository: Path, name: str, folder: Path) -> str:
    """What an example prints."""
    environment = {**os.environ, "PYTHONPATH": str(repository), "NO_COLOR": "1"}
    for name_of_store in ("MLFLOW_TRACKING_URI", "KERASGUARD_OUTBOX"):
        environment.pop(name_of_store, None)
    done = subprocess.run(
        [sys.executable, str(repository / "examples" / name), str(folder)],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_transfer_learning_keeps_the_backbone_bit_for_bit(repository: Path, tmp_path: Path) -> None:
    told = run(repository, "transfer_learning.py", tmp_path)
    assert "refused:     KG203 head/kernel" in told
    assert 'skip=["head"] leaves it as it is' in told
    assert "left fresh:  head/kernel, head/bias" in told
    assert "never moved: backbone/edges, backbone/parts" in told
    assert "changed:     nothing of the backbone" in told
    six, three = (float(found) for found in re.findall(r"accuracy (\S+)", told))
    assert six > 0.4
    assert three > 0.6
    assert "backbone.weights.h5, as recorded" in told


@pytest.mark.mlflow
def test_a_tracked_run_tells_its_verdict_and_refuses_a_replaced_checkpoint(
    repository: Path, tmp_path: Path
) -> None:
    told = run(repository, "mlflow_tracking.py", tmp_path)
    assert "verdict:   recorded, all finite" in told
    assert "artifact:  kerasguard/run.html" in told
    assert told.count(".keras.manifest.json") == 5
    assert "05.keras predicts the same" in told
    assert re.search(r"replaced:  UnrepairableError KG302", told)


@pytest.mark.mlflow
def test_what_changed_in_the_registry_is_not_served(repository: Path, tmp_path: Path) -> None:
    told = run(repository, "serve_from_registry.py", tmp_path)
    first, second, back = re.findall(r"served: +\[(.*)\]", told)
    assert first == back != second
    assert "silently" in told
    assert re.search(r"refused: .*not repairable", told)


def test_the_notebook_runs_from_its_first_cell_to_its_last(
    repository: Path, tmp_path: Path
) -> None:
    nbclient = pytest.importorskip("nbclient", reason="kerasguard[test] brings it")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel", reason="kerasguard[test] brings it")
    path = repository / "examples" / "a_run_in_a_notebook.ipynb"
    assert not any(cell.get("outputs") for cell in json.loads(path.read_text("utf-8"))["cells"])
    notebook = nbformat.read(path, as_version=4)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(repository)
    try:
        nbclient.NotebookClient(
            notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}
        ).execute()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    pages = [text for cell in notebook.cells for text in _shown(cell, "text/html")]
    assert any("8 checkpoints, 8 as recorded" in page for page in pages)
    assert any("differs from its manifest" in page for page in pages)
    assert any(_shown(cell, "image/png") for cell in notebook.cells)
    told = "".join(o.get("text", "") for c in notebook.cells for o in c.get("outputs", ()))
    assert "KG302 hidden/kernel" in told
    assert "initial_epoch 7" in told


def _shown(cell: Any, kind: str) -> list[str]:
    """The outputs of a cell in one form."""
    return [o["data"][kind] for o in cell.get("outputs", ()) if kind in o.get("data", {})]


def test_two_workers_load_what_one_of_them_lost(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("tf_keras")
    told = run(repository, "multi_worker.py", tmp_path)
    assert "saved by 2 workers: ['run.keras', 'run.keras.manifest.json']" in told
    assert "without repair, on both:" in told
    assert "worker 1: " in told.partition("without repair")[2]
    assert "restored, 24 tensors, 24 proven by the manifest" in told
    assert "KG307 the checkpoint of worker 1" in told
    assert "copies that differ: {}" in told
