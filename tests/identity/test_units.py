"""The unit of identity: a layer with its tensors."""

from __future__ import annotations

from tables import Layer, table

from kerasguard.identity.units import Unit, alike, fits, members, units
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec


def unit(layer: Layer, **options: bool) -> Unit:
    (found,) = units(table([layer], **options)).values()
    return found


def test_a_unit_is_a_layer_with_its_weights_in_table_order() -> None:
    found = units(table([Layer("body", (3, 4)), Layer("head", (4, 2))]))
    assert [(u.key, u.name, u.kind, u.shapes) for u in found.values()] == [
        ("layers/dense", "body", "dense", ((3, 4), (4,))),
        ("layers/dense_1", "head", "dense", ((4, 2), (2,))),
    ]


def test_a_name_that_keras_makes_up_is_weak() -> None:
    assert unit(Layer("dense_7")).weak
    assert unit(Layer("dense")).weak
    assert not unit(Layer("head")).weak
    assert not unit(Layer("dense_head")).weak


def test_optimizer_state_is_no_member() -> None:
    weight = TensorRecord("layers/dense/vars/0", TensorSpec((2,), "float32"), layer="layers/dense")
    slot = TensorRecord("optimizer/vars/1", TensorSpec((2,), "float32"), role="optimizer")
    found = units(
        Table.of([weight, slot], layers={"layers/dense": LayerRecord("layers/dense", "d")})
    )
    assert [list(u.members) for u in found.values()] == [["vars/0"]]


def test_an_unknown_class_is_like_any_other() -> None:
    dense, conv = unit(Layer("a")), unit(Layer("b", cls="Conv1D"))
    assert not alike(dense, conv)
    assert alike(dense, unit(Layer("c", cls="Dense")))


def test_layers_fit_that_have_as_many_elements() -> None:
    assert fits(unit(Layer("a", (2, 6, 4))), unit(Layer("b", (6, 2, 4))))
    assert not fits(unit(Layer("a", (3, 4))), unit(Layer("b", (3, 4), cls="Conv1D")))


def test_layers_of_other_sizes_fit_where_their_variables_have_names() -> None:
    """The rules then say which of the tensors has another shape."""
    small, large = Layer("a", (3, 4)), Layer("b", (5, 4), variables=("kernel",))
    assert fits(unit(small), unit(large))
    assert not fits(unit(small, names=False), unit(large, names=False))


def test_members_pair_by_the_names_of_their_variables() -> None:
    ours = unit(Layer("a", (4, 4), variables=("kernel", "bias")))
    theirs = unit(Layer("b", (4, 4), variables=("bias", "kernel")))
    assert members(ours, theirs) == {
        "layers/dense/vars/0": "layers/dense/vars/1",
        "layers/dense/vars/1": "layers/dense/vars/0",
    }


def test_members_without_names_pair_by_position() -> None:
    ours, theirs = unit(Layer("a"), names=False), unit(Layer("b"), names=False)
    assert members(ours, theirs) == {
        f"layers/dense/vars/{i}": f"layers/dense/vars/{i}" for i in (0, 1)
    }
