"""Evidence from strong to weak: no step takes back what one before it claimed."""

from __future__ import annotations

from tables import Layer, table

from kerasguard.identity.alignment import Alignment
from kerasguard.identity.decision import Claims, Decision
from kerasguard.identity.units import Unit, units


def named(*names: str) -> dict[str, Unit]:
    return units(table([Layer(name) for name in names]))


def test_a_layer_is_claimed_once_on_either_side() -> None:
    claims = Claims()
    claims.add({"a": "x"}, "name")
    claims.add({"a": "y", "b": "x", "c": "z"}, "graph")
    assert claims.layers == {"a": "x", "c": "z"}
    assert claims.evidence == {"a": "name", "c": "graph"}


def test_what_is_withdrawn_leaves_its_stored_layer_to_nobody() -> None:
    claims = Claims()
    claims.add({"a": "x"}, "graph")
    claims.withdraw(["a"])
    claims.add({"b": "x"}, "shape")
    assert claims.layers == {}


def test_a_given_name_is_stronger_than_the_graph() -> None:
    ours, theirs, claims = named("head", "neck"), named("neck", "head"), Claims()
    names = {"layers/dense": "layers/dense_1"}
    graph = Alignment({"layers/dense": "layers/dense"}, {})
    doubts = Decision(ours, theirs, claims, names, graph, {}, {}).doubts_left()
    assert claims.layers["layers/dense"] == "layers/dense_1"
    assert claims.evidence["layers/dense"] == "name"
    assert "layers/dense" not in doubts


def test_what_the_graph_contests_is_in_doubt() -> None:
    ours, theirs = named("dense_4", "dense_5"), named("dense", "dense_1")
    graph = Alignment({}, {"layers/dense": "layers/dense_1"})
    doubts = Decision(ours, theirs, Claims(), {}, graph, {}, {}).doubts_left()
    assert doubts["layers/dense"].candidates == ("layers/dense_1",)
    assert "position in the graph" in doubts["layers/dense"].reason
