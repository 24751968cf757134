"""Checkpoints that older versions of kerasguard recorded load as they did then."""

from __future__ import annotations

import importlib.util
import json
import tarfile
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import kerasguard as kg
from kerasguard.manifest import Manifest
from kerasguard.planning.findings import Severity

CASES = ("functional.keras", "functional.weights.h5", "half.keras", "subclassed.weights.h5")
FOLDER = Path(__file__).parent / "golden" / "manifests"
ARCHIVES = sorted(path.name for path in FOLDER.glob("*.tar.xz"))


@pytest.fixture(scope="module", params=ARCHIVES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("golden")
    with tarfile.open(FOLDER / request.param) as archive:
        archive.extractall(out, filter="data")
    return out


@pytest.fixture(scope="module")
def writer() -> Any:
    spec = importlib.util.spec_from_file_location("golden_manifests", FOLDER / "write.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", CASES)
def test_into_the_code_that_wrote_it(name: str, folder: Path, writer: Any) -> None:
    model = writer.CASES[name]()
    report = kg.restore(folder / name, model=model, manifest="require").report
    _judged(report, model, folder / f"{name}.npz")


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith(".keras")])
def test_as_a_whole_model(name: str, folder: Path) -> None:
    restored = kg.restore(folder / name, manifest="require")
    _judged(restored.report, restored.model, folder / f"{name}.npz")


@pytest.mark.parametrize("name", CASES)
def test_its_manifest_is_read_without_a_loss(name: str, folder: Path) -> None:
    data = json.loads((folder / f"{name}.manifest.json").read_text("utf-8"))
    again = Manifest.from_dict(data).to_dict()
    assert {key: again[key] for key in data} == data
    schema = resources.files("kerasguard").joinpath("manifest.schema.json").read_text("utf-8")
    jsonschema.validate(data, json.loads(schema))


def _judged(report: Any, model: Any, arrays: Path) -> None:
    assert [str(f) for f in report.findings if f.severity is not Severity.INFO] == []
    with np.load(arrays) as saved:
        found = np.asarray(model(saved["x"]), "float32")
        # Processors add up bfloat16 in other orders: two units in its last place.
        close = 2**-6 if "bfloat16" in str(model.layers[-1].compute_dtype) else 1e-5
        np.testing.assert_allclose(found, saved["y"], rtol=close, atol=close)
