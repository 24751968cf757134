"""What class, shapes and order still prove of layers that nothing else decided."""

from __future__ import annotations

from tables import Layer, table

from kerasguard.identity.leftovers import remaining
from kerasguard.identity.units import Unit, units


def named(*layers: Layer) -> dict[str, Unit]:
    return units(table(layers))


def test_a_whole_bucket_that_is_where_the_format_puts_it_is_settled() -> None:
    ours, theirs = named(Layer("a"), Layer("b")), named(Layer("c"), Layer("d"))
    address = {key: key for key in ours}
    assert remaining(ours, theirs, {}, address, {}, graph=False) == (address, {})


def test_the_only_layer_that_fits_is_taken() -> None:
    ours = named(Layer("a", (3, 4)))
    theirs = {"elsewhere": next(iter(named(Layer("dense_4", (3, 4))).values()))}
    assert remaining(ours, theirs, {}, {}, {}, graph=False)[0] == {"layers/dense": "elsewhere"}


def test_it_is_not_taken_where_the_graphs_left_it_open() -> None:
    ours = named(Layer("a", (3, 4)))
    theirs = {"elsewhere": next(iter(named(Layer("dense_4", (3, 4))).values()))}
    settled, doubts = remaining(ours, theirs, {}, {}, {}, graph=True)
    assert settled == {}
    assert doubts["layers/dense"].candidates == ("elsewhere",)


def test_another_given_name_at_another_place_is_in_doubt() -> None:
    ours = named(Layer("left", (3, 4)))
    theirs = {"elsewhere": next(iter(named(Layer("gate", (3, 4))).values()))}
    settled, doubts = remaining(ours, theirs, {}, {}, {}, graph=False)
    assert settled == {}
    assert "name differ" in doubts["layers/dense"].reason


def test_several_that_fit_are_in_doubt_with_their_candidates() -> None:
    ours = named(Layer("a"))
    theirs = {f"s{i}": unit for i, unit in enumerate(named(Layer("x"), Layer("y")).values())}
    settled, doubts = remaining(ours, theirs, {}, {}, {}, graph=False)
    assert settled == {}
    assert set(doubts["layers/dense"].candidates) == {"s0", "s1"}
