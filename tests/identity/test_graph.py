"""The flat graph of calls, and what a layer sees of known ones."""

from __future__ import annotations

from tables import Layer, table

from kerasguard.identity.graph import Graph


def towers() -> Graph:
    layers = [
        Layer("in_a", inputs=()),
        Layer("in_b", inputs=()),
        Layer("a", inputs=("in_a",)),
        Layer("b", inputs=("in_b",)),
        Layer("join", cls="Add", inputs=("a", "b"), variables=()),
    ]
    return Graph.of(table(layers).layers)


def test_every_call_comes_after_its_sources() -> None:
    graph = towers()
    place = {call: i for i, call in enumerate(graph.order)}
    assert len(place) == 5
    assert all(place[s] < place[call] for call, found in graph.sources.items() for s in found)


def test_a_layer_sees_what_it_is_reached_from_and_what_it_reaches() -> None:
    graph = towers()
    seen = graph.seen({"layers/dense": 0, "layers/add": 1}, {})
    assert seen["layers/dense_2"].above == ((0b01,),)
    assert seen["layers/dense_2"].below == 0b10
    assert seen["layers/dense_3"].above == ((0b00,),)
    assert seen["layers/dense_3"].below == 0b10


def test_arguments_are_told_apart() -> None:
    seen = towers().seen({"layers/add": 0}, {})
    assert seen["layers/dense_2"].arguments != seen["layers/dense_3"].arguments


def test_layers_whose_calls_are_unknown_are_no_part_of_it() -> None:
    assert not Graph.of(table([Layer("a"), Layer("b")], graph=False).layers).layers
