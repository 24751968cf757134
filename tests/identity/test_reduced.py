"""Tables as if the model had been made without some of its layers."""

from __future__ import annotations

from dataclasses import replace

from tables import Layer, table

from kerasguard.identity.reduced import (
    around,
    inner_model,
    opened_model,
    reduced,
    without,
    without_tail,
)
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec

ROW = table([Layer("a"), Layer("b"), Layer("c")])
SECOND = ("layers/dense_1/vars/0", "layers/dense_1/vars/1")


def weight(layer: str) -> TensorRecord:
    return TensorRecord(f"{layer}/vars/0", TensorSpec((2,), "float32"), layer=layer)


def test_what_followed_a_layer_that_is_gone_follows_what_that_followed() -> None:
    rest = reduced(ROW, SECOND)
    assert list(rest.layers) == ["layers/dense", "layers/dense_2"]
    assert rest.layers["layers/dense_2"].inbound == ((("layers/dense", 0, 0),),)


def test_a_layer_of_which_a_tensor_is_left_stays() -> None:
    rest = reduced(ROW, SECOND[:1])
    assert rest.layers == ROW.layers
    assert SECOND[0] not in rest.tensors
    assert SECOND[1] in rest.tensors
    assert without(ROW, SECOND[:1]) == rest


def test_ends_that_name_a_layer_that_is_gone_are_not_known_any_more() -> None:
    last = (("layers/dense_2", 0, 0),)
    whole = replace(ROW, ends={"": ((("layers/dense", 0, 0),), last)})
    assert reduced(whole, SECOND).ends == whole.ends
    assert reduced(whole, ["layers/dense_2/vars/0", "layers/dense_2/vars/1"]).ends == {}


def test_a_path_is_in_itself_and_in_all_that_is_around_it() -> None:
    assert list(around("a/layers/b")) == ["a", "a/layers", "a/layers/b"]


def test_an_activation_behind_a_head_that_is_gone_goes_too() -> None:
    layers = [Layer("body"), Layer("head"), Layer("last", cls="Softmax", variables=())]
    whole = table(layers)
    gone = reduced(whole, ["layers/dense_1/vars/0", "layers/dense_1/vars/1"])
    assert "layers/softmax" in gone.layers
    ours, theirs = without_tail((gone, gone), (whole, whole))
    assert list(ours.layers) == list(theirs.layers) == ["layers/dense"]


def test_where_nothing_was_taken_from_the_end_nothing_else_is() -> None:
    tail = Layer("last", cls="Softmax", variables=())
    whole = table([Layer("a"), Layer("b"), Layer("c"), tail])
    rest = reduced(whole, SECOND)
    assert without_tail((rest, rest), (whole, whole)) == (rest, rest)


def test_the_model_that_has_all_weights_is_opened() -> None:
    inside = "layers/functional"
    keys = [f"{inside}/layers/dense", f"{inside}/layers/dense_1"]
    names = [*keys, inside, "layers/softmax"]
    layers = {key: LayerRecord(key, key.rpartition("/")[2]) for key in names}
    model = Table.of([weight(key) for key in keys], layers=layers)
    assert inner_model(model) == inside
    opened = opened_model(model)
    assert opened is not None
    assert sorted(opened.layers) == sorted(keys)

    beside = Table.of([*map(weight, keys), weight("layers/dense")], layers=layers)
    assert inner_model(beside) == ""
    assert opened_model(beside) is None
    assert inner_model(beside, [f"{key}/vars/0" for key in keys]) == inside
