"""Evidence against pairs of layers whose place and shapes fit."""

from __future__ import annotations

from tables import Layer, table

from kerasguard.identity.contradictions import Side, suspicions
from kerasguard.identity.graph import Graph
from kerasguard.identity.pair import pair
from kerasguard.identity.units import units


def side(layers: list[Layer], *, told: bool = True) -> Side:
    """A table with its graph, or what a file without config tells."""
    made = table(layers, graph=told, names=told, classes=told)
    return Side(made, units(made), Graph.of(made.layers))


def doubted(stored: list[Layer], expected: list[Layer], **trusted: str) -> dict[str, str]:
    """Reasons against the pairs that the format's addressing gives, by expected layer."""
    ours, theirs = side(expected), side(stored)
    same = {key: key for key in ours.units}
    found = suspicions(ours, theirs, same, {key: key for key in same if key in trusted.values()})
    return {key.removeprefix("layers/"): doubt.reason for key, doubt in found.items()}


def dense(name: str, activation: str, *inputs: str) -> Layer:
    return Layer(name, config=activation, inputs=inputs or None)


def test_two_layers_with_each_others_arguments_are_in_doubt() -> None:
    stored = [dense("dense", "relu"), dense("dense_1", "tanh")]
    found = doubted(stored, [dense("dense", "tanh"), dense("dense_1", "relu")])
    assert found.keys() == {"dense", "dense_1"}
    assert all("another matches" in reason for reason in found.values())
    assert not pair(table([dense("dense", "tanh"), dense("dense_1", "relu")]), table(stored)).layers


def test_a_layer_that_got_other_arguments_is_itself() -> None:
    stored = [dense("dense", "relu"), dense("dense_1", "tanh")]
    assert doubted(stored, [dense("dense", "relu"), dense("dense_1", "selu")]) == {}


def test_what_a_name_decided_is_not_doubted() -> None:
    stored, expected = [dense("a", "relu"), dense("b", "tanh")], [dense("a", "tanh")]
    expected.append(dense("b", "relu"))
    assert doubted(stored, expected, a="layers/dense", b="layers/dense_1") == {}
    assert pair(table(expected), table(stored)).addressed


def test_another_name_and_other_arguments_among_alike_layers_are_another_layer() -> None:
    stored = [dense("a", "relu"), dense("b", "relu")]
    expected = [dense("a", "relu"), dense("new", "tanh")]
    assert "another name and is configured differently" in doubted(stored, expected)["dense_1"]
    assert pair(table(expected), table(stored)).layers == {"layers/dense": "layers/dense"}


def test_a_head_of_its_own_shape_may_change_name_and_arguments() -> None:
    stored = [dense("a", "relu"), Layer("probabilities", (4, 2), config="softmax")]
    expected = [dense("a", "relu"), Layer("logits", (4, 2), config="linear")]
    assert pair(table(expected), table(stored)).addressed


def test_a_nameless_layer_in_the_place_of_a_named_one_is_in_doubt_where_others_kept_names() -> None:
    stored, expected = [Layer("a"), Layer("b")], [Layer("a"), Layer("dense")]
    found = pair(table(expected), side(stored, told=False).table)
    assert found.layers == {"layers/dense": "layers/dense"}
    assert "had a user-given name" in found.doubts["layers/dense_1"].reason


def test_a_model_written_without_names_takes_the_weights_of_a_named_one() -> None:
    stored, expected = [Layer("a"), Layer("b")], [Layer("dense"), Layer("dense_1")]
    assert pair(table(expected), table(stored)).addressed
    assert pair(table(expected), side(stored, told=False).table).addressed


def towers(first: str, second: str, prefix: str = "dense_") -> list[Layer]:
    """Two inputs, and a layer behind each; the inputs in order of their use."""
    inputs = [Layer(name, cls="InputLayer", inputs=(), variables=()) for name in (first, second)]
    return [*inputs, *(dense(prefix + name, "relu", name) for name in (first, second))]


def test_towers_follow_the_inputs_that_a_person_named() -> None:
    stored, expected = towers("left", "right", "old_"), towers("right", "left", "new_")
    found = pair(table(expected), table(stored))
    assert found.layers == {"layers/dense": "layers/dense_1", "layers/dense_1": "layers/dense"}


def test_a_layer_behind_other_named_inputs_than_before_is_in_doubt() -> None:
    found = doubted(towers("left", "right"), towers("right", "left"))
    assert found.keys() == {"dense", "dense_1"}
    assert all("its inputs are not those" in reason for reason in found.values())
    assert doubted(towers("left", "right"), towers("left", "right")) == {}


def test_a_row_of_equals_proves_nothing_where_named_layers_changed_places() -> None:
    stored = [Layer("dense"), Layer("a"), Layer("dense_1"), Layer("b")]
    expected = [Layer("b"), Layer("a"), Layer("dense"), Layer("dense_1")]
    found = pair(table(expected), table(stored))
    assert found.layers == {"layers/dense": "layers/dense_3", "layers/dense_1": "layers/dense_1"}
    assert set(found.doubts) == {"layers/dense_2", "layers/dense_3"}
