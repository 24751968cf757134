"""Keys of a part of a model, as Keras would give them to the part by itself."""

from __future__ import annotations

from kerasguard.identity.reduced import inner_model, without
from kerasguard.identity.renumbered import renumbered
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec


def table(*paths: str) -> Table:
    kinds = {"dense": "Dense", "functional": "Functional", "conv2d": "Conv2D"}
    parts = {p[:end] for p in paths for end in [*_ends(p), len(p)]}
    layers = {
        part: LayerRecord(part, part.rpartition("/")[2], kinds[_stem(part)])
        for part in sorted(parts)
        if _stem(part) in kinds
    }
    weights = [
        TensorRecord(f"{p}/vars/0", TensorSpec((2,), "float32"), layer=p, role="weight")
        for p in paths
    ]
    return Table.of(weights, layers=layers)


def _ends(path: str) -> list[int]:
    return [place for place, sign in enumerate(path) if sign == "/"]


def _stem(path: str) -> str:
    return path.rpartition("/")[2].rstrip("0123456789").rstrip("_")


def test_a_list_is_counted_anew_and_classes_are_counted_apart() -> None:
    whole = table("layers/dense", "layers/dense_1", "layers/conv2d_1", "layers/dense_3")
    rest = without(whole, {"layers/dense/vars/0"})
    rest = Table(rest.tensors, {k: r for k, r in rest.layers.items() if k != "layers/dense"})
    found = renumbered(rest)
    assert list(found.table.tensors) == [
        "layers/dense/vars/0",
        "layers/conv2d/vars/0",
        "layers/dense_1/vars/0",
    ]
    assert found.old["layers/dense_1/vars/0"] == "layers/dense_3/vars/0"
    assert found.old["layers/dense"] == "layers/dense_1"


def test_what_lies_in_one_inner_model_has_that_models_keys() -> None:
    whole = table("layers/functional/layers/dense", "layers/functional/layers/dense_1")
    assert inner_model(whole) == "layers/functional"
    found = renumbered(whole)
    assert list(found.table.tensors) == ["layers/dense/vars/0", "layers/dense_1/vars/0"]
    assert found.old["layers/dense"] == "layers/functional/layers/dense"


def test_a_table_as_keras_would_number_it_stays_as_it_is() -> None:
    whole = table("layers/conv2d", "layers/dense", "layers/dense_1")
    found = renumbered(whole)
    assert list(found.table.tensors) == list(whole.tensors)
    assert all(old == new for new, old in found.old.items())
