"""Paths of variables go under a model's keys only where one way of naming gives all of them."""

from __future__ import annotations

from collections.abc import Mapping

from kerasguard.formats.variable_paths import state_table
from kerasguard.layouts import as_walked
from kerasguard.tensors import TensorRecord, TensorSpec

KERNEL = TensorSpec((3, 3), "float32")


def tree(*paths: str) -> dict[str, TensorSpec]:
    return {f"trainable_variables/{path}/kernel": KERNEL for path in paths}


def model(*paths: str, role: str = "weight") -> Mapping[tuple[str, str], list[TensorRecord]]:
    """Layers under the keys 0, 1, ... in this order."""
    return {
        (role, f"{path}/kernel"): [TensorRecord(f"{n}/vars/0", KERNEL, layer=str(n))]
        for n, path in enumerate(paths)
    }


def given(stored: Mapping[str, TensorSpec], *paths: str) -> list[str] | None:
    """How the tree calls what each of the model's layers gets."""
    found = as_walked(state_table(stored), model(*paths), same=False)
    if found is None:
        return None
    assert found.addressing == "key"
    return [found.tensors[f"{n}/vars/0"].stored_as.split("/", 1)[1] for n in range(len(paths))]


def test_a_name_around_all_layers_may_come_or_go() -> None:
    assert given(tree("net/a", "net/b"), "b", "a") == ["net/b/kernel", "net/a/kernel"]
    assert given(tree("b", "a"), "net/a", "net/b") == ["a/kernel", "b/kernel"]


def test_numbers_that_the_process_gave_are_counted_anew() -> None:
    assert given(tree("dense_4", "dense_11"), "dense", "dense_1") == [
        "dense_4/kernel",
        "dense_11/kernel",
    ]


def test_numbers_that_agree_by_chance_decide_nothing() -> None:
    found = given(tree("dense_1", "dense_2", "dense_3"), "dense_2", "dense_3", "dense_4")
    assert found == ["dense_1/kernel", "dense_2/kernel", "dense_3/kernel"]


def test_a_layer_too_many_or_of_another_shape_leaves_the_tree_alone() -> None:
    assert given(tree("a", "b"), "a") is None
    wide = {"trainable_variables/a/kernel": TensorSpec((3, 4), "float32")}
    assert given(wide, "a") is None


def test_slots_belong_to_the_weight_under_its_new_key() -> None:
    stored = tree("net/a", "net/a_b")
    stored |= {"optimizer_variables/adam/net_a_b_kernel_momentum": KERNEL}
    found = as_walked(state_table(stored), model("a", "a_b"), same=False)
    assert found is not None
    slot = found.tensors["optimizer_variables/adam/net_a_b_kernel_momentum"]
    assert (slot.role, slot.slot, slot.slot_of) == ("optimizer", "momentum", "1/vars/0")


def test_of_several_seeds_no_config_tells_which_is_which() -> None:
    seed = TensorSpec((2,), "uint32")

    def seeds(count: int) -> dict[str, TensorSpec]:
        names = [f"seed_generator_{n}/seed_generator_state" for n in range(count)]
        return {f"non_trainable_variables/{name}": seed for name in names}

    def places(count: int) -> dict[tuple[str, str], list[TensorRecord]]:
        return {
            ("weight", f"s_{n}/seed_generator_state"): [TensorRecord(f"s{n}", seed, role="seed")]
            for n in range(count)
        }

    for count, restored in ((1, {"s0"}), (2, set())):
        stored = state_table({**tree("a"), **seeds(count)})
        found = as_walked(stored, {**model("a"), **places(count)}, same=False)
        assert found is not None
        assert found.tensors.keys() & {"s0", "s1"} == restored
