"""The law of resuming: three epochs are two, saved and loaded, and one more, bit for bit.

Over every optimizer of Keras, kinds of models in which its state is easily lost, the formats, and
both ways to load. What cannot be so is reported, and the report names the variables: HDF5 files of
Keras hold the state of one optimizer, and the class of no model.

The default run has a cell of each kind, the slow one all cells of one optimizer; `pytest -m grid
tests/test_resume_law.py` runs them all.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("the models train by a GradientTape", allow_module_level=True)
from keras_zoo import MARKS  # noqa: E402  needs keras
from resume_models import FORMATS, KINDS, OPTIMIZERS, X, Y, states  # noqa: E402

import kerasguard as kg  # noqa: E402

pytestmark = [
    *MARKS,
    pytest.mark.filterwarnings("ignore:`compile.*was not called:UserWarning"),
    pytest.mark.filterwarnings("ignore:You are saving a model that has not yet:UserWarning"),
]

WAYS = ("whole", "fresh")
QUICK = [
    ("adam", kind, *(("m.keras", "whole") if n % 2 else ("m.weights.h5", "fresh")))
    for n, kind in enumerate(KINDS)
]
REST = [c for c in itertools.product(OPTIMIZERS, KINDS, FORMATS, WAYS) if c not in QUICK]
SLOW = "adadelta"


def cells() -> Iterator[Any]:
    for cell in QUICK:
        yield pytest.param(*cell, id="-".join(cell))
    for cell in REST:
        mark = pytest.mark.slow if cell[0] == SLOW else pytest.mark.grid
        yield pytest.param(*cell, id="-".join(cell), marks=mark)


def save(model: Any, path: Path) -> None:
    with kg.patched():
        if path.suffix == ".json":
            model.save_weights(path, max_shard_size=1)
        elif ".weights." in path.name:
            model.save_weights(path)
        elif path.suffix:
            model.save(path)
        else:
            keras.saving.save_model(model, path, zipped=False)


def resumed(model: Any) -> list[tuple[str, bytes]]:
    model.run_eagerly = True  # of which `.h5` keeps nothing
    model.fit(X, Y, epochs=1, shuffle=False, verbose=0)
    return states(model)


@pytest.mark.parametrize(("optimizer", "kind", "name", "way"), list(cells()))
def test_three_epochs_are_two_saved_and_loaded_and_one_more(
    optimizer: str, kind: str, name: str, way: str, tmp_path: Path
) -> None:
    if way == "whole" and ".weights." in name:
        pytest.skip("weights alone make no model")
    make = OPTIMIZERS[optimizer]
    keras.utils.set_random_seed(7)
    model = KINDS[kind](make)
    model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    try:
        save(model, tmp_path / name)
    except (NotImplementedError, ValueError) as error:
        pytest.skip(f"Keras cannot write it: {error}")
    keras.utils.set_random_seed(8)
    into = None if way == "whole" else KINDS[kind](make)
    try:
        restored = kg.restore(tmp_path / name, into)
    except kg.KerasguardError:
        assert name == "m.h5", "only this format lacks what a model is rebuilt from"
        return
    expected, found = resumed(model), resumed(restored.model)
    severe = [f for f in restored.report.findings if f.severity.value != "info"]
    if severe:
        assert name == "m.h5", restored.report
        assert {f.code for f in severe} <= {"KG108", "KG110"}, restored.report
        return
    assert len(expected) == len(found)
    wrong = [a[0] for a, b in zip(expected, found, strict=True) if a[1] != b[1]]
    assert not wrong, f"{wrong[:5]}\n{restored.report}"
