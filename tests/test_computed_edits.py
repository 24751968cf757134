"""What is computed with the weights is recorded, too: no edit of it loads without a finding.

With the probe off. Each program is saved, loaded into the code that saved it, where nothing may be
found, and into the edited code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from computed_edits import EDITS, INPUT  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402
from kerasguard.planning.findings import Severity  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`"),
    # From Keras 3.16 on, where an edit takes the mask away.
    pytest.mark.filterwarnings("ignore:.*was passed an input with a mask attached to it"),
]
PAIRS = [
    (name, file)
    for name, edit in EDITS.items()
    for file in ("a.weights.h5", "a.keras")
    if edit.whole or file != "a.keras"
]
# Called so that the same weights give something else each time.
RANDOM = ("training=True on dropout", "training=True on noise")


def _inputs(model: Any) -> Any:
    draw = np.random.default_rng(0)
    count = len(getattr(model, "inputs", None) or [None])
    found = [draw.normal(size=(2, *INPUT)).astype("float32") for _ in range(count)]
    return found if len(found) > 1 else found[0]


def _outputs(model: Any) -> list[Any]:
    made = keras.tree.flatten(model(_inputs(model)))
    return [np.asarray(keras.ops.convert_to_numpy(tensor), "float64") for tensor in made]


def _differ(a: list[Any], b: list[Any]) -> bool:
    return not all(
        x.shape == y.shape and np.allclose(x, y, rtol=1e-6, atol=1e-6)
        for x, y in zip(a, b, strict=True)
    )


def _told(path: Path, model: Any) -> list[str]:
    """Findings that a user sees; those that refuse the load included."""
    try:
        report = kg.restore(path, model=model, probe=False).report
    except kg.UnrepairableError as error:
        report = error.report
    return [str(f) for f in report.findings if f.severity is not Severity.INFO]


def _judge(name: str, file: str, folder: Path) -> None:
    edit, path = EDITS[name], folder / file
    keras.utils.set_random_seed(1)
    model = edit.saved()
    draw = np.random.default_rng(2)
    for variable in model.weights:
        variable.assign(np.abs(draw.normal(0.3, 0.2, variable.shape)) + 0.01)
    with kg.patched():
        (model.save_weights if file.endswith(".h5") else model.save)(path)
    saved = _outputs(model)

    keras.utils.set_random_seed(3)
    same = edit.saved()
    assert _told(path, same) == []
    assert name.startswith(RANDOM) or not _differ(_outputs(same), saved)

    edited = edit.loaded()
    told = _told(path, edited)
    if edit.repaired:
        assert not _differ(_outputs(edited), saved), told
    else:
        assert told


@pytest.mark.parametrize(("name", "file"), PAIRS[::9])
def test_an_edit_is_told_and_no_edit_is_not(name: str, file: str, tmp_path: Path) -> None:
    _judge(name, file, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file"), [p for i, p in enumerate(PAIRS) if i % 9])
def test_every_other_edit_is_told_and_no_edit_is_not(name: str, file: str, tmp_path: Path) -> None:
    _judge(name, file, tmp_path)


def test_there_are_a_hundred_edits_and_more() -> None:
    assert len(EDITS) >= 100
