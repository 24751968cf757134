"""Layers of two models in pairs, with weights and without."""

from __future__ import annotations

from dataclasses import replace

from tables import Layer, table

from kerasguard.identity.counterparts import (
    comparable,
    counterparts,
    enclosing,
    never_built,
    same_place,
)
from kerasguard.tensors import LayerRecord, Table, Use


def pooled(*names: str) -> Table:
    layers = [Layer("a"), *(Layer(n, cls="MaxPooling1D", config="2", variables=()) for n in names)]
    return table(layers)


def test_layers_with_weights_bring_along_what_is_inside_them() -> None:
    ours, theirs = table([Layer("a"), Layer("b")]), table([Layer("b"), Layer("a")])
    paired = {"layers/dense": "layers/dense_1", "layers/dense_1": "layers/dense"}
    found = counterparts(ours, theirs, paired)
    assert {e: record.key for e, (_, record) in found.items()} == paired


def test_layers_of_different_classes_are_no_pair() -> None:
    ours, theirs = table([Layer("a")]), table([Layer("a", cls="EinsumDense")])
    assert counterparts(ours, theirs, {"layers/dense": "layers/einsum_dense"}) == {}


def test_a_layer_that_another_takes_is_nobody_elses() -> None:
    ours, theirs = table([Layer("a"), Layer("b")]), table([Layer("x"), Layer("y")])
    found = counterparts(ours, theirs, {"layers/dense": "layers/dense_1"})
    assert list(found) == ["layers/dense"]


def test_layers_without_weights_are_the_same_by_key_and_config() -> None:
    same = pooled("max_pooling1d")
    assert same_place(same, same) == {"layers/max_pooling1d": "layers/max_pooling1d"}
    other = replace(same.layers["layers/max_pooling1d"], config_digest="3")
    changed = replace(same, layers={**same.layers, other.key: other})
    assert same_place(same, changed) == {}


def test_a_name_that_somebody_gave_leads_to_a_layer_wherever_it_is() -> None:
    ours, theirs = pooled("first", "second"), pooled("second", "first")
    first, second = "layers/max_pooling1d", "layers/max_pooling1d_1"
    assert same_place(ours, theirs) == {first: second, second: first}


def test_a_layer_that_had_no_weights_yet_is_told_apart() -> None:
    ours = table([Layer("a"), Layer("b")])
    waiting = replace(ours.layers["layers/dense_1"], use=Use(built=False))
    theirs = replace(ours, layers={**ours.layers, waiting.key: waiting})
    assert never_built(ours, theirs, {"layers/dense": "layers/dense"}) == {"layers/dense_1"}
    assert never_built(ours, ours, {"layers/dense": "layers/dense"}) == set()


def test_a_graph_that_only_one_side_tells_is_not_compared() -> None:
    plain = table([Layer("a"), Layer("b")], graph=False)
    traced = Use(graph=((("layers/dense", 0, 0),),))
    second = replace(plain.layers["layers/dense_1"], use=traced)
    first = replace(plain.layers["layers/dense"], use=Use(graph=((),)))
    told = replace(plain, layers={first.key: first, second.key: second})
    both = comparable(told, told)
    assert both[0].layers["layers/dense_1"].inbound == ((("layers/dense", 0, 0),),)
    assert both[0] == both[1]
    # Nobody recorded what the code does with the layers: nothing is taken from it.
    assert comparable(told, plain) == (told, plain)


def test_what_encloses_paired_parts_is_paired() -> None:
    def table(*keys: str) -> Table:
        kinds = {"lstm": "LSTM", "lstm_1": "LSTM", "cell": "LSTMCell", "model": "Functional"}
        return Table({}, {k: LayerRecord(k, k, kinds[k.rpartition("/")[2]]) for k in keys})

    ours = table("layers/lstm", "layers/lstm/cell")
    theirs = table("layers/lstm_1", "layers/lstm_1/cell")
    pairs = {"layers/lstm/cell": "layers/lstm_1/cell"}
    assert enclosing(ours, theirs, pairs) == {"layers/lstm": "layers/lstm_1"}
    models = table("layers/model", "layers/model/cell")
    assert enclosing(models, models, {"layers/model/cell": "layers/model/cell"}) == {}
