"""Thousands of layers take the time of their number: what is done for one is counted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from kerasguard.blueprint.edits import Edits, free_name
from kerasguard.blueprint.graphs import remove_unused
from kerasguard.blueprint.nodes import call_of, tensor
from kerasguard.migrations import migrate
from kerasguard.migrations.merged_masks import _MOST, _follow, _Masks

Json = dict[str, Any]
Made = Callable[[int], Json]


def chain(count: int, made: Made, shape: tuple[int | None, ...] = (8, 4)) -> Json:
    """A functional model of Keras 2 of layers one behind the other."""
    config = {"name": "i", "batch_input_shape": [None, *shape]}
    layers: list[Json] = [
        {"class_name": "InputLayer", "name": "i", "config": config, "inbound_nodes": []}
    ]
    for n in range(count):
        before = f"l{n - 1}" if n else "i"
        layer = {"inbound_nodes": [[[before, 0, 0, {}]]], **made(n)}
        layers.append(layer | {"name": f"l{n}", "config": {**layer["config"], "name": f"l{n}"}})
    ends = {"input_layers": [["i", 0, 0]], "output_layers": [[f"l{count - 1}", 0, 0]]}
    return {"class_name": "Model", "config": {"name": "m", "layers": layers, **ends}}


def of(class_name: str, **config: Any) -> Made:
    return lambda _: {"class_name": class_name, "config": dict(config)}


def trained(n: int) -> Json:
    call = [f"l{n - 1}" if n else "i", 0, 0, {"training": True}]
    return {"class_name": "BatchNormalization", "config": {"axis": [2]}, "inbound_nodes": [[call]]}


def masked(n: int) -> Json:
    calls: list[list[Any]] = [["i", 0, 0, {}]]
    if n % 2:
        calls.append([f"l{n - 1}", 0, 0, {}])
    kind = "Add" if n % 2 else "Masking"
    return {"class_name": kind, "config": {}, "inbound_nodes": [calls]}


def reversed_(count: int) -> Json:
    """Channels first, and every layer listed before the one that it is called on."""
    made = of("Conv2D", filters=4, kernel_size=[1, 1], data_format="channels_first")
    model = chain(count, made, (4, 8, 8))
    model["config"]["layers"].reverse()
    return model


def unused(count: int) -> Json:
    """Operations of which only the last is used, by a loss that is taken out."""
    model = chain(count, of("TFOpLambda", function="math.abs"))
    loss: Json = {
        "name": "a",
        "config": {"name": "a"},
        "inbound_nodes": [[[f"l{count - 1}", 0, 0, {}]]],
    }
    loss = {"class_name": "AddLoss", **loss}
    model["config"]["layers"].append(loss)
    model["config"]["output_layers"] = [["i", 0, 0]]
    return model


LOCAL = {"filters": 4, "kernel_size": [1], "strides": [1], "padding": "valid"}
CAUSAL = {"filters": 4, "kernel_size": [2], "padding": "causal"}
WIDER = {"size": [1, 1], "interpolation": "bilinear"}
MODELS: dict[str, Callable[[int], Json]] = {
    "time_major": lambda n: chain(
        n, of("LSTM", units=4, time_major=True, return_sequences=True)
    ),
    "causal": lambda n: chain(n, of("SeparableConv1D", **CAUSAL)),
    "training": lambda n: chain(n, trained),
    "masks": lambda n: chain(n, masked),
    "crops": lambda n: chain(n, of("RandomCrop", height=4, width=4), (8, 8, 4)),
    "local": lambda n: chain(n, of("LocallyConnected1D", **LOCAL)),
    "bilinear": lambda n: chain(n, of("UpSampling2D", **WIDER), (8, 8, 4)),
    "reversed": reversed_,
    "unused": unused,
    "unknown": lambda n: chain(n, lambda k: {"class_name": f"Own{k}", "config": {}}),
    "plain": lambda n: chain(n, of("Dense", units=2)),
}  # fmt: skip


def steps(model: Json) -> int:
    """How many lines of Python migrating it takes."""
    count = 0

    def trace(*_: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        migrate(model, {"keras": "2.2.4", "tensorflow": "2.3.0", "config": "legacy"})
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", MODELS)
def test_four_times_the_layers_take_four_times_the_steps(name: str) -> None:
    assert steps(MODELS[name](160)) < 5.5 * steps(MODELS[name](40))


def test_a_chain_of_merges_does_not_keep_all_masks_at_every_place() -> None:
    """Their number grew with the square of the layers'."""
    masks = _Masks(Edits({"layers": []}), {})
    for n in range(4 * _MOST):
        inputs = [("i", 0, 0), (f"m{n}", 0, 0), (f"a{n - 1}", 0, 0)]
        masks.old[inputs[1]] = masks.new[inputs[1]] = frozenset({(inputs[0], f"m{n}")})
        _follow(
            masks, {"name": f"a{n}", "class_name": "Add"}, 0, call_of([tensor(*x) for x in inputs])
        )
    assert max(map(len, masks.old.values())) == _MOST


def graph(*names: str) -> Json:
    layers: list[Json] = [{"name": n, "config": {"name": n}, "inbound_nodes": []} for n in names]
    for before, layer in zip(names, layers[1:], strict=False):
        layer["inbound_nodes"] = [call_of(tensor(before))]
    ends: Json = {"input_layers": [[names[0], 0, 0]], "output_layers": [[names[-1], 0, 0]]}
    return {"layers": layers, **ends}


def sources(model: Json) -> dict[str, list[str]]:
    return {
        layer["name"]: [
            call["args"][0]["config"]["keras_history"][0] for call in layer["inbound_nodes"]
        ]
        for layer in model["layers"]
    }


def new(name: str) -> Json:
    return {"class_name": "Dense", "config": {"name": name}}


def test_layers_are_put_before_and_behind_one_another() -> None:
    model = graph("a", "b", "c")
    edits = Edits(model)
    _, b, c = model["layers"]
    edits.before(c, new("before_c"))
    edits.after(b, new("after_b"))
    edits.after(c, new("after_c"))
    edits.after(b, new("nearer_b"))
    assert sources(model) == {
        "a": [], "b": ["a"], "nearer_b": ["b"], "after_b": ["nearer_b"],
        "before_c": ["after_b"], "c": ["before_c"], "after_c": ["c"],
    }  # fmt: skip
    assert list(sources(model)) == ["a", "b", "nearer_b", "after_b", "before_c", "c", "after_c"]
    assert model["output_layers"] == [["after_c", 0, 0]]


def test_equal_layers_are_not_taken_for_one_another() -> None:
    model: Json = {"layers": [new("a"), new("a"), new("a")]}
    edits = Edits(model)
    second = model["layers"][1]
    edits.before(second, new("b"))
    assert [layer["config"]["name"] for layer in model["layers"]] == ["a", "b", "a", "a"]
    assert model["layers"][2] is second
    with pytest.raises(ValueError, match="not a layer"):
        edits.place_of(new("a"))


def test_a_free_name_is_one_that_no_layer_has() -> None:
    model = graph("a", "a_1", "a_3")
    assert free_name(model, "b") == "b"
    edits = Edits(model)
    taken = []
    for _ in range(3):
        assert edits.free_name("a") == edits.free_name("a")
        taken.append(edits.free_name("a"))
        edits.add(new(taken[-1]))
    assert taken == ["a_2", "a_4", "a_5"]


def test_what_is_used_by_what_stays_is_not_removed() -> None:
    model = graph("a", "b", "c", "d")
    model["output_layers"] = [["b", 0, 0]]
    remove_unused(model, {"a", "b", "c", "d"})
    assert list(sources(model)) == ["a", "b"]
    model = graph("a", "b", "c", "d")
    model["output_layers"] = [["a", 0, 0]]
    remove_unused(model, {"b", "c"})
    assert list(sources(model)) == ["a", "b", "c", "d"]


def test_a_size_in_the_file_does_not_tell_how_many_operations_are_added() -> None:
    def wide(size: int) -> tuple[int, list[str]]:
        made = of("UpSampling2D", size=[size, 1], interpolation="bilinear")
        migrated, findings = migrate(chain(1, made, (2, 2, 1)), {"keras": "2.2.4"})
        told = [f.message for f in findings if f.code == "KG437"]
        return len(migrated["config"]["layers"]), told

    assert wide(8)[0] > 20
    few, told = wide(10**8)
    assert few == 2
    assert "not centres" in told[0]


def test_a_size_below_zero_gives_the_layers_behind_it_no_more_room() -> None:
    def made(number: int) -> Json:
        size = [10_000 if number else -(10**8), 1]
        return {"class_name": "UpSampling2D", "config": {"size": size, "interpolation": "bilinear"}}

    migrated, findings = migrate(chain(2, made, (2, 2, 1)), {"keras": "2.2.4"})
    assert len(migrated["config"]["layers"]) < 50
    assert any("l1: it interpolated" in f.message for f in findings)
