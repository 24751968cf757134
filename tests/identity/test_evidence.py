"""What speaks for two layers being the same, and what speaks against the format's addressing."""

from __future__ import annotations

from tables import Layer, table

from kerasguard.identity.evidence import addressed, given_names, reordered, same_layers
from kerasguard.identity.units import Unit, units


def named(*names: str, cls: str = "Dense") -> dict[str, Unit]:
    return units(table([Layer(name, cls=cls) for name in names]))


def test_keys_address_what_has_the_same_key() -> None:
    assert addressed(named("a", "b"), named("c", "d"), "key") == {
        "layers/dense": "layers/dense",
        "layers/dense_1": "layers/dense_1",
    }


def test_an_order_addresses_only_as_many_layers_as_there_are() -> None:
    ours = named("a", "b")
    theirs = {f"group/{i}": unit for i, unit in enumerate(named("x", "y").values())}
    assert addressed(ours, theirs, "order") == {
        "layers/dense": "group/0",
        "layers/dense_1": "group/1",
    }
    del theirs["group/1"]
    assert addressed(ours, theirs, "order") == {}


def test_only_names_that_a_person_gave_count() -> None:
    assert given_names(named("head", "dense_1"), named("dense_1", "head")) == {
        "layers/dense": "layers/dense_1"
    }


def test_made_up_names_in_another_order_speak_against_the_addressing() -> None:
    address = {"layers/dense": "layers/dense", "layers/dense_1": "layers/dense_1"}
    assert reordered(named("dense_7", "dense_8"), named("dense", "dense_1"), address) == {}
    assert reordered(named("dense_8", "dense_7"), named("dense", "dense_1"), address) == address


def test_a_name_inside_another_layers_name_speaks_against_the_addressing() -> None:
    address = {"layers/dense": "layers/dense", "layers/dense_1": "layers/dense_1"}
    ours, theirs = named("new_right", "new_left"), named("left", "right")
    assert reordered(ours, theirs, address) == address
    assert reordered(named("new_left", "new_right"), theirs, address) == {}


def test_tables_have_the_same_layers_or_not() -> None:
    assert same_layers(table([Layer("a")]), table([Layer("a")]))
    assert not same_layers(table([Layer("a")]), table([Layer("a", config="other")]))


def test_a_shared_layer_s_second_place_and_a_model_have_no_weights_of_their_own_to_miss() -> None:
    from kerasguard.identity.evidence import weightless
    from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec

    def layer(key: str, name: str, kind: str) -> LayerRecord:
        return LayerRecord(key, name, kind, f"digest of {kind}", inbound=())

    layers = {
        r.key: r
        for r in (
            layer("layers/dense", "trunk", "Dense"),
            layer("layers/functional", "part", "Functional"),
            layer("layers/functional/layers/dense", "trunk", "Dense"),
            layer("layers/dense_1", "spare", "Dense"),
            layer("layers/dropout", "dropout", "Dropout"),
        )
    }
    kernel = TensorRecord(
        "layers/dense/vars/0", TensorSpec((2, 2), "float32"), layer="layers/dense"
    )
    found = weightless(Table.of([kernel], layers=layers))
    assert set(found) == {"layers/dense_1", "layers/dropout"}
