"""The quickstart does what the README says of it, and shows what it claims of stock Keras."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def told(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the quickstart prints, by the title of the step."""
    folder = tmp_path_factory.mktemp("quickstart")
    done = subprocess.run(
        [sys.executable, str(repository / "examples" / "quickstart.py"), str(folder)],
        env={**os.environ, "PYTHONPATH": str(repository)},
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    titles = re.split(r"^== (.*)$", done.stdout, flags=re.MULTILINE)[1:]
    return dict(zip(titles[::2], titles[1::2], strict=True))


def _step(told: dict[str, str], start: str) -> tuple[str, str]:
    """What stock Keras did in a step, and everything that followed."""
    text = next(text for title, text in told.items() if title.startswith(start))
    stock, _, ours = text.partition("\n   kerasguard")
    return stock, ours


def _difference(text: str) -> float:
    found = re.search(r"predictions differ by up to (\S+)", text)
    assert found, text
    return float(found.group(1))


def test_a_recorded_checkpoint_is_proven_tensor_by_tensor(told: dict[str, str]) -> None:
    stock, ours = _step(told, "Train")
    assert _difference(stock) == 0
    assert _difference(ours) == 0
    assert re.search(r"(\d\d) tensors, \1 proven by the manifest", ours), ours


def test_a_renamed_output_layer_is_told_and_loaded(told: dict[str, str]) -> None:
    _, ours = _step(told, "The output layer was renamed")
    assert _difference(ours) == 0
    assert "KG103 angle" in ours


def test_stock_keras_swaps_layers_in_silence_and_kerasguard_does_not(told: dict[str, str]) -> None:
    stock, ours = _step(told, "Two layers of the same shape")
    assert _difference(stock) > 1
    assert _difference(ours) == 0
    assert "KG104" in ours


def test_stock_keras_loads_a_flipped_bit_and_kerasguard_does_not(told: dict[str, str]) -> None:
    stock, ours = _step(told, "One bit")
    assert _difference(stock) > 0
    assert "UnrepairableError" in ours
    assert "KG302 coarse/kernel" in ours


def test_float64_is_refused_with_its_error_and_taken_when_allowed(told: dict[str, str]) -> None:
    stock, ours = _step(told, "float64")
    assert 0 < _difference(stock) < 1e-3
    refused, _, lossy = ours.partition('with "lossy"')
    assert re.search(r"KG202 \S+/kernel: .* a cast rounds by up to \d", refused)
    assert 0 < _difference(lossy) < 1e-3


def test_weights_that_keras_does_not_write_are_kept_and_put_back(
    told: dict[str, str],
) -> None:
    stock, ours = _step(told, "A custom layer")
    assert "no objection" in stock
    assert _difference(stock) > 0.1
    assert _difference(ours) == 0
    assert "proven by the manifest" in ours


def test_verify_says_that_the_file_is_as_recorded(told: dict[str, str]) -> None:
    assert "as recorded" in _step(told, "Is the file")[1]
