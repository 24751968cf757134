"""Vocabularies that a SavedModel's program puts into its tables."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

import kerasguard
from kerasguard.formats.tensorflow.keras_metadata import read_program
from kerasguard.formats.tensorflow.lookup_tables import Vocabulary, vocabularies

pytestmark = pytest.mark.keras

GOLDEN = Path(__file__).parent.parent / "golden" / "lookups" / "tf2.8.4.tar.xz"


@pytest.fixture
def lookups(tmp_path: Path) -> Path:
    with tarfile.open(GOLDEN) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.mark.slow
def test_vocabularies_of_constants_files_and_document_weights_are_found(lookups: Path) -> None:
    import tensorflow as tf

    with np.load(lookups / "arrays.npz") as found:
        arrays = dict(found)
    inputs = [tf.constant(arrays["x0"].tolist()), tf.constant(arrays["x1"])]
    model = kerasguard.load(lookups / "model")
    np.testing.assert_allclose(model(inputs), arrays["y0"], rtol=1e-6)
    assert model.get_layer("filed").get_vocabulary() == ["[UNK]", "x", "b", "ä", "a"]
    model.save(lookups / "again.keras")
    again = kerasguard.load(lookups / "again.keras")
    np.testing.assert_array_equal(again(inputs), model(inputs))


def test_a_vocabulary_whose_file_is_gone_is_refused(lookups: Path) -> None:
    (lookups / "model/assets/words.txt").unlink()
    with pytest.raises(kerasguard.UnrepairableError, match="KG106 filed/vocabulary"):
        kerasguard.load(lookups / "model")


def test_only_tables_that_count_through_are_vocabularies(tmp_path: Path) -> None:
    import tensorflow as tf

    def table(keys: list[object], values: list[object]) -> tf.Module:
        start = tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.constant(values))
        module = tf.Module()
        default = "" if isinstance(values[0], str) else -1
        module.lookup_table = tf.lookup.StaticHashTable(start, default)
        return module

    module = tf.Module()
    module.turned = table(["b", "a"], [3, 2])
    module.inverted = table([1, 2], ["x", "y"])
    module.same = table(["a", "b"], [1, 1])
    module.gap = table(["a", "b"], [1, 3])
    tf.saved_model.save(module, str(tmp_path))
    data = (tmp_path / "saved_model.pb").read_bytes()
    nodes = read_program(data).nodes
    found = vocabularies(data, nodes, lambda name: pytest.fail(name))
    names = {node: edge for edge, node in nodes[0].children}
    assert {names[node]: vocabulary for node, vocabulary in found.items()} == {
        "turned": Vocabulary(("a", "b"), 2),
        "inverted": Vocabulary(("x", "y"), 1),
    }
