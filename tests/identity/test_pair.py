"""Which stored layer is which expected layer."""

from __future__ import annotations

from typing import Any, Literal

from tables import Layer, by_name, table

from kerasguard.identity.pair import pair
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec


def kernels(expected: Table, stored: Table, **options: Any) -> dict[str, str]:
    """Names of the layers that were paired, expected to stored."""
    pairing = pair(expected, stored, **options)
    found = by_name(pairing.tensors, expected, stored)
    return {
        a.removesuffix("/kernel"): b.removesuffix("/kernel")
        for a, b in found.items()
        if a.endswith("/kernel")
    }


def unnamed(layers: list[Layer]) -> Table:
    """What a `.weights.h5` without a manifest tells: layer names, no classes, no graph."""
    return table(layers, graph=False, names=False, classes=False)


def test_a_file_is_paired_with_the_architecture_that_wrote_it_by_address() -> None:
    layers = [Layer("dense"), Layer("dense_1"), Layer("head", (4, 2))]
    pairing = pair(table(layers), table(layers))
    assert pairing.addressed
    assert {a: b for a, b in pairing.tensors.items() if a != b} == {}
    assert len(pairing.tensors) == 6


def test_layers_made_from_the_stored_graph_are_numbered_by_it_and_not_by_the_code() -> None:
    stored, expected = [Layer("dense_1"), Layer("dense")], [Layer("dense_7"), Layer("dense_8")]
    assert not pair(table(expected), table(stored)).layers
    assert pair(table(expected), table(stored), own=True).addressed
    assert not pair(unnamed(expected), table(stored), own=True).layers  # its graph says nothing


def test_auto_names_that_drifted_between_processes_are_no_contradiction() -> None:
    stored = [Layer("dense_7"), Layer("dense_8"), Layer("dense_9")]
    expected = [Layer("dense"), Layer("dense_1"), Layer("dense_2")]
    for make in (table, unnamed):
        pairing = pair(table(expected), make(stored))
        assert pairing.addressed
        assert len(pairing.layers) == 3


def test_a_renamed_head_is_paired_by_address() -> None:
    expected = [Layer("body"), Layer("output")]
    stored = [Layer("body"), Layer("head")]
    assert kernels(table(expected), unnamed(stored)) == {"body": "body", "output": "head"}


def test_swapped_layers_with_names_that_a_person_gave_follow_their_names() -> None:
    stored = [Layer("query", inputs=()), Layer("key", inputs=())]
    expected = [Layer("key", inputs=()), Layer("query", inputs=())]
    for make in (table, unnamed):
        assert kernels(table(expected), make(stored)) == {"query": "query", "key": "key"}


def test_a_renamed_layer_between_two_that_kept_their_names_takes_what_is_left() -> None:
    stored = [Layer("first", (2, 2)), Layer("q"), Layer("k")]
    expected = [Layer("first", (2, 2)), Layer("new", (3, 3)), Layer("query"), Layer("k")]
    found = kernels(table(expected), unnamed(stored))
    assert found == {"first": "first", "k": "k", "query": "q"}


def test_a_layer_that_was_renamed_and_moved_is_not_told_from_a_new_one() -> None:
    stored = [Layer("q", inputs=()), Layer("k", inputs=())]
    expected = [Layer("k", inputs=()), Layer("query", inputs=())]
    pairing = pair(table(expected), unnamed(stored))
    assert pairing.layers == {"layers/dense": "layers/dense_1"}
    assert pairing.doubts["layers/dense_1"].candidates == ("layers/dense",)


def test_branches_declared_in_another_order_follow_the_graph() -> None:
    stored = [Layer("dense", config="relu", inputs=()), Layer("dense_1", config="tanh", inputs=())]
    expected = [stored[1], stored[0]]
    pairing = pair(table(expected), table(stored))
    assert pairing.layers == {"layers/dense": "layers/dense_1", "layers/dense_1": "layers/dense"}
    assert set(pairing.evidence.values()) == {"graph"}


def test_an_inserted_auto_named_layer_leaves_its_neighbours_in_doubt_without_a_graph() -> None:
    stored = [Layer("dense"), Layer("dense_1")]
    expected = [Layer("dense"), Layer("dense_1"), Layer("dense_2")]
    pairing = pair(table(expected), unnamed(stored))
    assert pairing.layers == {}
    assert len(pairing.doubts) == 3
    assert "fit" in next(iter(pairing.doubts.values())).reason


def test_a_removed_auto_named_layer_leaves_the_others_in_doubt() -> None:
    stored = [Layer("dense"), Layer("dense_1"), Layer("dense_2")]
    expected = [Layer("dense"), Layer("dense_1")]
    assert pair(table(expected), unnamed(stored)).layers == {}


def test_an_inserted_layer_with_a_name_does_not_disturb_the_named_ones() -> None:
    stored = [Layer("a"), Layer("b")]
    expected = [Layer("a"), Layer("new"), Layer("b")]
    assert kernels(table(expected), unnamed(stored)) == {"a": "a", "b": "b"}


def test_the_graph_finds_a_layer_behind_one_that_was_inserted() -> None:
    stored = [Layer("dense", config="in"), Layer("dense_1", config="mid"), Layer("x", (4, 2))]
    expected = [
        Layer("dense", config="in"),
        Layer("dense_1", config="new"),
        Layer("dense_2", config="mid"),
        Layer("x", (4, 2)),
    ]
    found = kernels(table(expected), table(stored))
    assert found["dense"] == "dense"
    assert found["dense_2"] == "dense_1"
    assert "dense_1" not in found


def test_graph_evidence_that_disagrees_with_itself_is_a_doubt() -> None:
    stored = [Layer("dense"), Layer("dense_1"), Layer("dense_2")]
    expected = [Layer("dense")]
    pairing = pair(table(expected), table(stored))
    assert pairing.layers == {}
    assert set(pairing.doubts) == {"layers/dense"}


def test_layers_of_another_shape_do_not_stand_in_the_way_of_the_only_assignment() -> None:
    stored = [Layer("dense", (4, 8)), Layer("dense_1", (8, 3))]
    expected = [Layer("dense", (4, 8)), Layer("dense_1", (8, 8)), Layer("dense_2", (8, 3))]
    assert kernels(table(expected), unnamed(stored)) == {"dense": "dense", "dense_2": "dense_1"}


def test_renames_settle_what_is_in_doubt() -> None:
    stored = [Layer("old_a"), Layer("old_b"), Layer("old_c")]
    expected = [Layer("new_b"), Layer("new_a")]
    pairs = kernels(
        table(expected, graph=False),
        unnamed(stored),
        renames={"old_a": "new_a", "old_b": "new_b"},
    )
    assert pairs == {"new_a": "old_a", "new_b": "old_b"}
    pairs = kernels(table(expected, graph=False), unnamed(stored), renames={"old_*": "new_*"})
    assert pairs == {"new_a": "old_a", "new_b": "old_b"}


def test_variables_of_one_layer_follow_their_names_where_both_sides_know_them() -> None:
    stored = table([Layer("pair", (4,), "Custom", variables=("scale", "shift"))])
    expected = table([Layer("pair", (4,), "Custom", variables=("shift", "scale"))])
    found = by_name(pair(expected, stored).tensors, expected, stored)
    assert found == {"pair/scale": "pair/scale", "pair/shift": "pair/shift"}


def test_a_variable_of_another_name_is_not_taken_for_the_one_that_is_missing() -> None:
    stored = table([Layer("bn", (4,), "BatchNormalization", variables=("gamma", "mean"))])
    expected = table([Layer("bn", (4,), "BatchNormalization", variables=("beta", "mean"))])
    found = by_name(pair(expected, stored).tensors, expected, stored)
    assert found == {"bn/mean": "bn/mean"}


def test_a_class_that_differs_is_never_paired() -> None:
    stored = table([Layer("a", (4, 4), "Dense")])
    expected = table([Layer("b", (4, 4), "EinsumDense")])
    assert pair(expected, stored).tensors == {}


def test_a_layer_that_came_is_not_taken_for_one_that_went() -> None:
    stored = [Layer("left"), Layer("gone"), Layer("right")]
    expected = [Layer("right"), Layer("came"), Layer("left")]
    moved = [Layer("right"), Layer("left"), Layer("came")]
    for wanted in (expected, moved):
        found = kernels(table(wanted, graph=False), unnamed(stored))
        assert found["left"] == "left"
        assert found.get("came") in (None, "gone")
    pairing = pair(table(moved, graph=False), unnamed(stored))
    assert list(pairing.doubts) == ["layers/dense_2"]


def test_a_stored_layer_whose_new_name_is_elsewhere_is_left_in_doubt() -> None:
    stored = ["gone", "norm", "body", "final"]
    expected = ["v2_final", "body", "norm"]

    def made(names: list[str]) -> Table:
        return table([Layer(name, cls="Dense" if name == "body" else "Norm") for name in names])

    found = kernels(made(expected), made(stored))
    assert found["body"] == "body"
    assert found.get("norm") in (None, "norm")
    assert found.get("v2_final") in (None, "final")


def stacked(unit: str, *cells: str) -> Table:
    """An RNN of two cells that a Keras 3 file names and a TensorFlow checkpoint numbers."""
    made = [
        TensorRecord(
            *(f"{unit}/cell/cells/{cell}/{leaf}", TensorSpec((size, size), "float32")),
            *(f"rnn/{variable}", variable, unit),
        )
        for cell, size in zip(cells, (3, 4), strict=True)
        for leaf, variable in ((variable, variable) for variable in ("kernel", "bias"))
    ]
    layers = {unit: LayerRecord(unit, "rnn", "RNN", position=0)}
    return Table({record.key: record for record in made}, layers, "order")


def test_cells_that_are_numbered_follow_the_order_of_those_that_are_named() -> None:
    expected = stacked("layers/rnn", "lstm_cell", "gru_cell")
    for numbers in (("0", "1"), ("1", "3")):  # a cell without weights is in neither
        stored = stacked("layer_with_weights-0", *numbers)
        pairs = pair(expected, stored).tensors
        assert pairs == dict(zip(expected.tensors, stored.tensors, strict=True))


def test_variables_named_after_the_outer_layer_alone_are_told_by_their_own_names() -> None:
    """TensorFlow 1 saved `lstm/kernel` and `bidirectional/forward_lstm/kernel` by name."""

    def both(unit: str, *places: str, addressing: Literal["key", "name"]) -> Table:
        made = [
            TensorRecord(f"{unit}/{p}{v}", TensorSpec((4, 4), "float32"), v, v, unit)
            for p in places
            for v in ("kernel", "bias")
        ]
        layers = {unit: LayerRecord(unit, "rnn", position=0)}
        return Table({record.key: record for record in made}, layers, addressing)

    inside = ("backward_layer/cell/", "forward_layer/cell/")
    expected = both("layers/rnn", *inside, addressing="key")
    stored = both("rnn", "backward_lstm/", "forward_lstm/", addressing="name")
    assert pair(expected, stored).tensors == dict(
        zip(expected.tensors, stored.tensors, strict=True)
    )


def one_layer(unit: str, class_name: str, *keys: tuple[str, str]) -> Table:
    """A layer whose tensors have these keys and variables' names."""
    spec = TensorSpec((2, 2), "float32")
    made = [TensorRecord(f"{unit}/{key}", spec, key, variable, unit) for key, variable in keys]
    layers = {unit: LayerRecord(unit, "mine", class_name, position=0)}
    return Table({record.key: record for record in made}, layers, "order")


def test_what_keras_3_stores_twice_and_tensorflow_once_is_filled_twice() -> None:
    stored = one_layer("layer_with_weights-0", "", ("_lookup_layer/idf_weights", "idf_weights"))
    keys = ("vars/idf_weights", ""), ("_lookup_layer/vars/idf_weights", "")
    expected = one_layer("layers/text", "TextVectorization", *keys)
    source = "layer_with_weights-0/_lookup_layer/idf_weights"
    assert pair(expected, stored).tensors == dict.fromkeys(expected.tensors, source)
    other = one_layer("layers/text", "Other", *keys)
    assert list(pair(other, stored).tensors) == ["layers/text/_lookup_layer/vars/idf_weights"]


def test_a_lone_variable_without_a_name_is_the_only_one_that_is_stored() -> None:
    expected = one_layer("layers/scale", "Scale", ("vars/0", "variable_3"))
    stored = one_layer("layer_with_weights-0", "", ("gamma", "gamma"))
    assert pair(expected, stored).tensors == {"layers/scale/vars/0": "layer_with_weights-0/gamma"}
    named = one_layer("layers/scale", "Scale", ("vars/0", "beta"))
    assert pair(named, stored).tensors == {}
