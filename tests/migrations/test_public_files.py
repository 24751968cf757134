"""The architectures of files that other people's Keras wrote, read where they lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kerasguard.migrations import migrate
from kerasguard.planning.findings import Severity

# By what the caller must supply, or what Keras 3 cannot compute.
REFUSED = {
    "Acceptor.h5": "ConvDNA",
    "mtsplice0.h5": "SplineWeight1D",
    "mtsplice_deep0.h5": "SplineWeight1D",
    "model.h5": "lambda_1",
    "modelimport~keras~examples~lambda~model_lambda.h5": "lambda_3",
    "modelimport~keras~weights~space_to_depth_graph_tensorflow_2.h5": "space_to_depth_x2",
    "modelimport~keras~weights~space_to_depth_simple_tensorflow_2.h5": "space_to_depth_x2",
}


def architectures(folder: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    h5py = pytest.importorskip("h5py")
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or not h5py.is_hdf5(path):
            continue
        with h5py.File(path) as file:
            if "model_config" not in file.attrs:
                continue
            told = {
                k: _text(file.attrs[k]) for k in ("keras_version", "backend") if k in file.attrs
            }
            writer = {"config": "legacy", "backend": told.get("backend", "")}
            if "keras_version" in told:
                writer["keras"] = told["keras_version"]
            yield path.name, json.loads(_text(file.attrs["model_config"])), writer


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("corpus", ["dl4j", "wild"])
def test_every_public_architecture_is_migrated_or_refused_by_name(
    shared: Path, corpus: str
) -> None:
    seen = 0
    for name, old, writer in architectures(shared / "fixtures" / corpus):
        _, findings = migrate(old, writer)
        errors = " ".join(str(f) for f in findings if f.severity is Severity.ERROR)
        assert (REFUSED.get(name, "") in errors) if errors else name not in REFUSED, (name, errors)
        assert not errors or name in REFUSED, (name, errors)
        seen += 1
    assert seen > 20


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("corpus", ["dl4j", "wild"])
def test_keras_3_builds_every_public_architecture(
    shared: Path, build: Callable[..., Any], corpus: str
) -> None:
    for name, old, writer in architectures(shared / "fixtures" / corpus):
        new, findings = migrate(old, writer)
        if not any(f.severity is Severity.ERROR for f in findings):
            assert build(new).built, name
