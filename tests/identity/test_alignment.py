"""Two graphs, and the pairs that every reading of them has in common."""

from __future__ import annotations

from collections.abc import Hashable

from tables import Layer, table

from kerasguard.identity.alignment import Alignment, align
from kerasguard.identity.graph import Graph


def aligned(ours: list[Layer], theirs: list[Layer], facts: dict[str, str]) -> Alignment:
    mine, other = Graph.of(table(ours).layers), Graph.of(table(theirs).layers)

    def look(graph: Graph) -> object:
        def whole(key: str) -> Hashable:
            layer = graph.layers[key]
            return layer.class_name, layer.config_digest

        return whole

    return align(mine, other, facts, [(look(mine), look(other))], lambda e, s: True)  # type: ignore[list-item]


ROW = [Layer("a", (4, 4)), Layer("b", (4, 8)), Layer("c", (8, 4))]


def test_layers_that_look_unlike_all_others_are_paired() -> None:
    found = aligned(ROW, ROW, {})
    assert found.pairs == {k: k for k in ("layers/dense", "layers/dense_1", "layers/dense_2")}
    assert not found.contested


def test_an_inserted_layer_moves_the_keys_and_not_the_pairs() -> None:
    more = [ROW[0], Layer("new", (4, 4), config="new"), *ROW[1:]]
    found = aligned(more, ROW, {})
    assert found.pairs["layers/dense_2"] == "layers/dense_1"
    assert found.pairs["layers/dense_3"] == "layers/dense_2"
    assert "layers/dense_1" not in found.pairs


def test_a_fact_that_contradicts_the_graph_is_withdrawn() -> None:
    found = aligned(ROW, ROW, {"layers/dense": "layers/dense_2"})
    assert found.pairs.get("layers/dense") != "layers/dense_2"


def test_equal_layers_side_by_side_are_told_apart_by_nothing() -> None:
    twins = [Layer("i", (4, 4)), Layer("x", inputs=("i",)), Layer("y", inputs=("i",))]
    twins += [Layer("z", cls="Add", inputs=("x", "y"), variables=())]
    swapped = [twins[0], twins[2], twins[1], Layer("z", cls="Add", inputs=("y", "x"), variables=())]
    found = aligned(twins, swapped, {})
    # The arguments of Add tell them apart; whichever way, no stored layer is given twice.
    assert len(set(found.pairs.values())) == len(found.pairs)
