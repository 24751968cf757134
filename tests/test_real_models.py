"""Unmodified programs in the manner of Keras' examples, through every format and back."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
from keras_zoo import MARKS

import kerasguard as kg

pytest.importorskip("keras")
sys.path.insert(0, str(Path(__file__).resolve().parent / "benchmarks"))
from example_programs import PROGRAMS
from real_models import checked, made, saved, truth

# Keras warns of layers that it cannot quantise, or that were never built; neither is of this test.
pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore::UserWarning")]
# A `.h5` file's own config does not say enough of them: Keras refuses it, or builds another model.
NOT_WHOLE = {
    "tied_weights",
    "vae",
    "lists_and_dicts",
    "einsum_attention",
    "cycle_gan",
    "functional_subclass",
    "shared_trunk",  # two layers where there was one, and KG209 says so
    "two_holders_of_one_layer",
}
# What is refused of unmodified pairs; the benchmark tells what.
OPEN = {"adapted_text", "tf_idf_text"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PROGRAMS.keys() - OPEN))
def test_an_unmodified_program_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    model, inputs = made(PROGRAMS[name], 1)
    weights, predictions = truth(model, inputs)
    with kg.patched():
        refused = saved(model, tmp_path)
    (tmp_path / "truth").write_bytes(pickle.dumps((weights, predictions, inputs, refused)))
    cells = list(checked(name, PROGRAMS[name], tmp_path))
    wrong = [cell for cell in cells if cell.verdict != "right"]
    # What Keras itself cannot load may be refused, with the reason.
    wrong = [c for c in wrong if not (c.verdict == "refused" and "stock: ValueError" in c.detail)]
    if name in NOT_WHOLE:
        wrong = [cell for cell in wrong if (cell.format, cell.way) != ("h5", "whole")]
    assert len(cells) >= 8
    assert not wrong
