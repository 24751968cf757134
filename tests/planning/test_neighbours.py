"""Stored layers by what is before and behind them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tables import Layer, table

from kerasguard.identity.pair import pair
from kerasguard.planning.neighbours import beside_places, rows

OURS = table([Layer("a", (3, 4)), Layer("b", (4, 5)), Layer("c", (5, 2))])


@pytest.mark.parametrize(
    ("places", "left", "ends", "beside"),
    [
        # The stored layer in the middle is nobody's; the model leaves its second layer out.
        ([0, None, 2], [1], False, [True]),
        ([0, None, 2], [], False, [False]),
        # It lies behind the last one that is wanted; what is left out is before that.
        ([0, 2, None], [1], False, [False]),
        ([0, 1, None], [2], False, [True]),
        ([None, 0, None], [2], False, [False, True]),
        # Who says what is wanted does not miss what comes before or after it.
        ([None, 1, None, 2], [0], True, [True, False]),
    ],
)
def test_a_layer_is_beside_what_is_left_out_between_the_same_neighbours(
    places: list[int | None], left: list[int], ends: bool, beside: list[bool]
) -> None:
    found = zip(places, beside_places(places, left, 3, ends=ends), strict=True)
    assert [near for place, near in found if place is None] == beside


def test_a_graph_tells_the_order_of_all_layers() -> None:
    (found,) = rows(pair(OURS, OURS), OURS)
    assert found == (list(OURS.layers), list(OURS.layers))


def test_without_one_the_layers_of_a_class_are_counted_by_themselves() -> None:
    mixed = table([Layer("a"), Layer("b", cls="Conv1D"), Layer("c")], graph=False)
    found = sorted(ours for ours, _ in rows(pair(mixed, mixed), mixed))
    assert found == [["layers/conv1d"], ["layers/dense", "layers/dense_1"]]
    (listed,) = rows(pair(mixed, mixed), replace(mixed, addressing="order"))
    assert len(listed[0]) == 3
