"""Files with Lambda layers: inspected, refused, loaded with leave, repaired for Keras alone."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
from keras_zoo import MARKS  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402
from kerasguard.cli.program import UNREPAIRABLE, main  # noqa: E402

pytestmark = MARKS
NAMES = ("squash", "attention", "closure")


@pytest.fixture(scope="module")
def files(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three functions as TensorFlow 2.15.1 wrote them, in three formats each."""
    folder = tmp_path_factory.mktemp("lambdas")
    place = repository / "tests" / "golden" / "lambdas" / "tf2.15.1.tar.xz"
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(place.read_bytes()))) as archive:
        wanted = [
            x for x in archive.getmembers() if x.name.partition(".")[0] in (*NAMES, "written")
        ]
        archive.extractall(folder, wanted, filter="data")
    return folder


def told(files: Path, name: str) -> tuple[Any, Any]:
    one = json.loads((files / "written.json").read_text())[name]
    inputs = [np.array(x, "float32") for x in one["x"]]
    return inputs if len(inputs) > 1 else inputs[0], np.array(one["y"][0])


@pytest.mark.parametrize("suffix", ["h5", "tf", "keras"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_refused_without_leave_and_loads_right_with_it(
    files: Path, name: str, suffix: str
) -> None:
    path = files / f"{name}.{suffix}"
    with pytest.raises(kg.KerasguardError, match='allow="lambdas"'):
        kg.load(path)
    restored = kg.restore(path, allow="lambdas")
    x, y = told(files, name)
    assert np.allclose(restored.model(x), y, atol=1e-5)
    (finding,) = [f for f in restored.report.findings if f.code == "KG421"]
    assert finding.severity is kg.Severity.WARNING
    assert "was not run" in str(finding)


def test_inspect_shows_what_every_lambda_computes(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in ("h5", "tf", "keras"):
        assert main(["inspect", str(files / f"closure.{suffix}")]) == 0
        told = capsys.readouterr().out
        assert "Lambda lambda: lambda x: x * scale  # with scale = 2.5" in told
        assert "never run; with --allow lambdas" in told
    assert main(["inspect", "--json", str(files / "closure.h5")]) == 0
    found = json.loads(capsys.readouterr().out)["lambdas"]
    assert found == {"lambda": "lambda x: x * scale  # with scale = 2.5"}


def test_the_command_line_allows_lambdas_too(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(files / "squash.h5")
    assert main(["plan", path]) == UNREPAIRABLE
    assert main(["plan", path, "--allow", "lambdas"]) == 0
    assert "def squash(x, axis=-1)" in capsys.readouterr().out


def test_a_repaired_file_is_loaded_by_keras_alone_in_safe_mode(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "squash.keras"
    kg.repair(files / "squash.h5", out, allow="lambdas")
    x, y = told(files, "squash")
    assert np.allclose(keras.saving.load_model(out, safe_mode=True)(x), y, atol=1e-5)


@pytest.mark.parametrize("allow", ["lambda", ("lambdas", "all"), True, None, b"lambdas"])
def test_what_is_allowed_is_checked_before_a_file_is_opened(allow: Any) -> None:
    with pytest.raises(ValueError, match="allow="):
        kg.load("nowhere.h5", allow=allow)


def test_the_lambdas_of_public_files_compute_what_their_functions_do(shared: Path) -> None:
    fixtures = shared / "fixtures"
    depth = {"space_to_depth_x2": lambda x: tf.nn.space_to_depth(x, 2)}
    functions: dict[str, dict[str, Any]] = {
        "dl4j/modelimport~keras~examples~lambda~model_lambda.h5": {
            "lambda_3": lambda x: x**2,
            "lambda_4": lambda x: x * 3,
        },
        "dl4j/modelimport~keras~weights~space_to_depth_graph_tensorflow_2.h5": depth,
        "dl4j/modelimport~keras~weights~space_to_depth_simple_tensorflow_2.h5": depth,
        "wild/050_car-behavioral-cloning_model-h5/model.h5": {"lambda_1": lambda x: x / 127.5 - 1},
    }
    for name, supplied in functions.items():
        restored = kg.restore(fixtures / name, allow="lambdas")
        found = [f for f in restored.report.findings if f.code == "KG421"]
        assert [f.severity for f in found] == [kg.Severity.WARNING] * len(supplied)
        known = kg.load(fixtures / name, custom_objects=supplied)
        rng = np.random.default_rng(16)
        x = [rng.uniform(0, 9, (2, *t.shape[1:])).astype("float32") for t in known.inputs]
        given = x if len(x) > 1 else x[0]
        assert np.allclose(restored.model(given), known(given), atol=1e-5), name
