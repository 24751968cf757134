"""What ten TensorFlow versions wrote, in every format that they had, is loaded right.

The golden files of `tests/golden/writers`; the table of `docs/formats.md` counts the same verdicts.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from corpora import GOLDEN, LOADERS, MEASURED, judge, written_by

import kerasguard

pytestmark = pytest.mark.keras

WRITERS = sorted(path.name.removesuffix(".tar.xz") for path in GOLDEN.glob("*.tar.xz"))
# One model of each writer in one format, so that every kind of layer and format is met once.
SAMPLE = {
    ("tf1.12.3", "cnn_bn", "h5"),
    ("tf1.15.5", "siamese", "ckpt"),
    ("tf2.0.4", "nested", "savedmodel"),
    ("tf2.3.1", "gru", "weights_h5"),
    ("tf2.4.4", "tfops", "h5"),
    ("tf2.8.4", "custom", "savedmodel"),
    ("tf2.11.1", "optimizer_state", "ckpt"),
    ("tf2.12.1", "bidir", "keras"),
    ("tf2.15.1", "float64", "keras"),
    ("tf2.21.0", "activations", "weights_h5"),
}
SECOND = {"h5", "keras", "savedmodel"}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where archives are unpacked, once for all tests."""
    return tmp_path_factory.mktemp("writers")


@pytest.mark.parametrize(("writer", "name", "kind"), sorted(SAMPLE))
def test_a_file_of_every_writer_predicts_what_it_did(
    scratch: Path, writer: str, name: str, kind: str
) -> None:
    (case,) = (c for c in written_by(writer, scratch) if (c.name, c.format) == (name, kind))
    verdict = judge(case)
    assert verdict.kind == "right", verdict.why


@pytest.mark.slow
@pytest.mark.parametrize("writer", WRITERS)
def test_every_file_of_every_writer_is_right_as_the_readme_tells(
    scratch: Path, writer: str
) -> None:
    """A model of layers is also saved and loaded again, to the same weights and predictions."""
    told = json.loads(MEASURED.read_text("utf-8"))[writer]
    found: dict[str, Counter[str]] = {}
    bad = {}
    for case in written_by(writer, scratch):
        again = case.format in SECOND and case.name != "subclassed"
        again = again and not case.options.get("allow_graph")
        verdict = judge(case, LOADERS["round-trip" if again else "kerasguard"])
        found.setdefault(case.format, Counter())[verdict.kind] += 1
        if verdict.kind != "right":
            bad[str(case)] = verdict.why
    assert bad == {}
    assert found == {kind: Counter(counts) for kind, counts in told.items()}


def test_a_file_of_an_old_keras_that_is_recorded_with_its_model_is_read_as_old(
    scratch: Path,
) -> None:
    """Its `hard_sigmoid` is another function than that of the Keras that records it."""
    (case,) = (
        c for c in written_by("tf2.15.1", scratch) if (c.name, c.format) == ("activations", "keras")
    )
    model = kerasguard.load(case.path)
    manifest = kerasguard.record(case.path, model)
    assert manifest.versions["keras"] == "2.15.0"
    verdict = judge(case)
    assert verdict.kind == "right", verdict.why
