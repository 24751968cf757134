from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kerasguard.formats.tf_checkpoint import TFCheckpoint

pytestmark = pytest.mark.keras

NAME = "weights_valid_0268.hdf5"


@pytest.fixture(scope="module")
def example(repository: Path) -> ModuleType:
    path = repository / "examples" / "deep_orientation.py"
    spec = importlib.util.spec_from_file_location("deep_orientation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(shared: Path) -> Path:
    return shared / "fixtures" / "deep_orientation"


def test_the_network_predicts_what_it_predicted_in_2019(example: ModuleType, data: Path) -> None:
    """The reader and the network alone, tensors assigned in the order of the checkpoint."""
    model = example.beyer_mod_relu()
    with TFCheckpoint(data / "checkpoint" / NAME) as checkpoint:
        model.set_weights([checkpoint.read(key) for key in checkpoint.table().tensors])
    errors = example.angular_errors(model, data)
    assert errors.shape == (39,)
    assert errors.mean() == pytest.approx(4.5533, abs=0.001)
    assert errors.max() == pytest.approx(14.572, abs=0.001)


def test_the_example_loads_the_checkpoint_that_keras_refuses(
    example: ModuleType, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = example.main([str(data / "checkpoint" / NAME)])
    assert result["stock"].startswith("FileNotFoundError")
    assert result["mean"] == pytest.approx(4.5533, abs=0.001)
    assert result["largest"] == pytest.approx(14.572, abs=0.001)
    printed = capsys.readouterr().out
    assert "44 tensors to restore, 0 of them converted" in printed
    assert "mean absolute angular error 4.5533 degrees" in printed


def test_an_8_bit_and_a_16_bit_pgm_are_read(example: ModuleType, tmp_path: Path) -> None:
    small, deep = tmp_path / "a.pgm", tmp_path / "b.pgm"
    small.write_bytes(b"P5\n# a comment\n3 2\n255\n" + bytes(range(6)))
    deep.write_bytes(b"P5 2 1 65535\n\x01\x00\x00\x02")
    np.testing.assert_array_equal(example.read_pgm(small), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(example.read_pgm(deep), [[256, 2]])
    small.write_bytes(b"P6 nothing")
    with pytest.raises(ValueError, match="no binary PGM"):
        example.read_pgm(small)
