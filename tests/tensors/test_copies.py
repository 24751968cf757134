"""Layers that are one, recorded once."""

from __future__ import annotations

from kerasguard.tensors import LayerRecord, Node
from kerasguard.tensors.copies import ends_without_copies, first_places, layers_without_copies


def _layers(*told: tuple[str, tuple[Node, ...]]) -> dict[str, LayerRecord]:
    return {
        key: LayerRecord(key, "", "Dense", "d", calls, n) for n, (key, calls) in enumerate(told)
    }


A, B = "layers/functional", "layers/functional_1"
ONE, AGAIN = f"{A}/layers/dense", f"{B}/layers/dense"


def test_what_a_second_one_feeds_the_first_one_feeds() -> None:
    last = f"{B}/layers/dense_1"
    layers = _layers(
        (A, ((),)), (ONE, ((),)), (B, ((),)), (AGAIN, ((),)), (last, (((AGAIN, 0, 0),),))
    )
    found = layers_without_copies(layers, {AGAIN: ONE})
    assert list(found) == [A, ONE, B, last]
    assert found[last].inbound == (((ONE, 0, 0),),)
    ends = {"": (((A, 0, 0),), ((B, 0, 0),)), B: (((AGAIN, 0, 0),), ((last, 0, 0),))}
    assert ends_without_copies(ends, {AGAIN: ONE})[B] == (((ONE, 0, 0),), ((last, 0, 0),))


def test_the_calls_are_those_in_the_model_around_that_comes_first() -> None:
    outside = "layers/dense"
    layers = _layers((A, ((),)), (ONE, ((),)), (outside, (((A, 0, 0),),)))
    found = layers_without_copies(layers, {outside: ONE})
    assert found[ONE].inbound == (((A, 0, 0),),)
    assert found[ONE].position == 2


def test_what_is_in_a_second_model_goes_with_it() -> None:
    layers = _layers((A, ((),)), (ONE, ((),)), (B, ((),)), (AGAIN, ((),)))
    assert list(layers_without_copies(layers, {B: A})) == [A, ONE]
    assert ends_without_copies({B: ((), ()), A: ((), ())}, {B: A}) == {A: ((), ())}


def test_layers_of_two_classes_or_configs_are_not_one() -> None:
    layers = _layers((ONE, ((),)), (AGAIN, ((),)))
    assert first_places(layers, {AGAIN: ONE, "layers/gone": ONE}) == {AGAIN: ONE}
    layers[AGAIN] = LayerRecord(AGAIN, "", "Dense", "other")
    assert first_places(layers, {AGAIN: ONE}) == {}
