"""Which layer of a legacy file is which layer of the model, nested and frozen ones too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kerasguard.layouts import restore_table
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Step
from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec, snake_case

Shapes = Mapping[str, tuple[int, ...]]
KERAS2 = {"keras": "2.2.4", "backend": "tensorflow"}
DENSE: Shapes = {"kernel": (4, 4), "bias": (4,)}
NORM: Shapes = {"gamma": (4,), "beta": (4,), "moving_mean": (4,), "moving_variance": (4,)}


def file(layers: Mapping[str, Sequence[tuple[str, tuple[int, ...]]]]) -> Table:
    """A legacy file's table: {layer: [(weight name, shape)]}."""
    records: dict[str, LayerRecord] = {}
    tensors = []
    for rank, (layer, weights) in enumerate(layers.items()):
        records[layer] = LayerRecord(layer, layer, position=rank)
        for name, shape in weights:
            variable = name.rsplit("/", 1)[-1].removesuffix(":0")
            spec = TensorSpec(shape, "float32")
            tensors.append(
                TensorRecord(f"{layer}/{name}", spec, f"{layer}/{name}", variable, layer)
            )
    return Table.of(tensors, layers=records, addressing="order")


def flat(layers: Mapping[str, Shapes]) -> Table:
    """A legacy file with layers that hold no others."""
    return file(
        {
            layer: [(f"{layer}/{variable}:0", shape) for variable, shape in shapes.items()]
            for layer, shapes in layers.items()
        }
    )


class Expected:
    """Builds a model's table, layer by layer."""

    def __init__(self) -> None:
        self.tensors: list[TensorRecord] = []
        self.layers: dict[str, LayerRecord] = {}

    def add(
        self,
        key: str,
        name: str,
        cls: str,
        shapes: Shapes,
        *,
        position: int = -1,
        trainable: bool | None = None,
    ) -> Expected:
        """Add a layer; `name` is its path of names."""
        self.layers[key] = LayerRecord(key, name.rsplit("/", 1)[-1], cls, position=position)
        for n, (variable, shape) in enumerate(shapes.items()):
            learns = not variable.startswith("moving") if trainable is None else trainable
            self.tensors.append(
                TensorRecord(
                    f"{key}/vars/{n}",
                    TensorSpec(shape, "float32"),
                    f"{name}/{variable}",
                    variable,
                    key,
                    trainable=learns,
                )
            )
        return self

    def table(self) -> Table:
        """The table."""
        return Table.of(self.tensors, layers=self.layers)


def dense_model(*names: str) -> Table:
    """Dense layers of equal shapes in a row."""
    expected = Expected()
    for n, name in enumerate(names):
        expected.add(f"layers/dense_{n}", name, "Dense", DENSE, position=n)
    return expected.table()


def pairs(found: Sequence[Step | Finding]) -> dict[str, str]:
    """Stored key by expected key; fails on a finding."""
    assert not [str(f) for f in found if isinstance(f, Finding)]
    return {s.target: s.sources[0] for s in found if isinstance(s, Step)}


def findings(found: Sequence[Step | Finding]) -> list[Finding]:
    return [f for f in found if isinstance(f, Finding)]


def test_layers_are_paired_in_order_whatever_keras_called_them() -> None:
    stored = flat({"dense_7": DENSE, "dense_8": DENSE})
    found = pairs(restore_table(stored, dense_model("dense", "dense_1"), None, KERAS2))
    assert found["layers/dense_0/vars/0"] == "dense_7/dense_7/kernel:0"
    assert found["layers/dense_1/vars/1"] == "dense_8/dense_8/bias:0"


def test_names_that_a_person_gave_overrule_the_order() -> None:
    stored = flat({"head": DENSE, "body": DENSE})
    found = pairs(restore_table(stored, dense_model("body", "head"), None, KERAS2))
    assert found["layers/dense_0/vars/0"] == "body/body/kernel:0"


def test_a_renamed_layer_among_named_ones_is_the_one_that_is_left() -> None:
    stored = flat({"a": DENSE, "b": DENSE, "old": DENSE})
    found = pairs(restore_table(stored, dense_model("b", "new", "a"), None, KERAS2))
    assert found["layers/dense_0/vars/0"] == "b/b/kernel:0"
    assert found["layers/dense_1/vars/0"] == "old/old/kernel:0"


def test_names_that_contradict_the_order_and_leave_several_layers_open_are_refused() -> None:
    stored = flat({"a": DENSE, "b": DENSE, "old": DENSE, "older": DENSE})
    model = dense_model("b", "a", "new", "newer")
    found = findings(restore_table(stored, model, None, KERAS2))
    assert "KG109" in {f.code for f in found}


def test_a_model_made_of_the_files_own_config_is_paired_by_name() -> None:
    stored = flat({"dense_1": DENSE, "dense": DENSE})
    model = dense_model("dense", "dense_1")
    found = pairs(restore_table(stored, model, {"class_name": "Functional"}, KERAS2))
    assert found["layers/dense_0/vars/0"] == "dense/dense/kernel:0"


def test_characters_that_keras_3_forbids_do_not_matter_in_names() -> None:
    stored = flat({"mel/phase": DENSE, "mel/mag": DENSE})
    model = dense_model("mel_mag", "mel_phase")
    found = pairs(restore_table(stored, model, {"class_name": "Functional"}, KERAS2))
    assert found["layers/dense_0/vars/0"] == "mel/mag/mel/mag/kernel:0"


def test_layers_in_attributes_are_paired_by_the_order_in_which_they_were_made() -> None:
    """Keras 3 walks attributes by name (`a`, `z`); the file has the layers as they were made."""
    expected = Expected()
    expected.add("a", "dense_6", "Dense", DENSE).add("z", "dense_5", "Dense", DENSE)
    stored = flat({"dense": DENSE, "dense_1": DENSE})
    found = pairs(restore_table(stored, expected.table(), None, KERAS2))
    assert found["z/vars/0"] == "dense/dense/kernel:0"
    assert found["a/vars/0"] == "dense_1/dense_1/kernel:0"


def test_layers_in_attributes_that_nothing_tells_apart_are_refused() -> None:
    expected = Expected()
    expected.add("a", "front", "Dense", DENSE).add("z", "back", "Dense", DENSE)
    stored = flat({"one": DENSE, "two": DENSE})
    found = findings(restore_table(stored, expected.table(), None, KERAS2))
    assert {(f.code, f.severity) for f in found} == {("KG109", Severity.ERROR)}
    assert "one" in str(found[0])


def encoder(*, frozen: str = "") -> Expected:
    """A nested model of two normalisations and a dense layer, one of them frozen."""
    expected = Expected()
    expected.add("layers/functional", "encoder", "Functional", {}, position=1)
    for n, (name, cls, shapes) in enumerate(
        [
            ("norm_a", "BatchNormalization", NORM),
            ("proj", "Dense", DENSE),
            ("norm_b", "BatchNormalization", NORM),
        ]
    ):
        kind = snake_case(cls) + ("_1" if n == 2 else "")
        trainable = False if name == frozen else None
        expected.add(
            *(f"layers/functional/layers/{kind}", f"encoder/{name}", cls, shapes),
            position=n,
            trainable=trainable,
        )
    return expected


def row(*names: str) -> list[tuple[str, tuple[int, ...]]]:
    """A nested group's weights, in the given order."""
    shapes = {**DENSE, **NORM}
    return [(f"{name}:0", shapes[name.rsplit("/", 1)[1]]) for name in names]


UNFROZEN = row(
    *("norm_a/gamma", "norm_a/beta", "proj/kernel", "proj/bias", "norm_b/gamma", "norm_b/beta"),
    *("norm_a/moving_mean", "norm_a/moving_variance"),
    *("norm_b/moving_mean", "norm_b/moving_variance"),
)
FROZEN_A = row(
    *("proj/kernel", "proj/bias", "norm_b/gamma", "norm_b/beta"),
    *("norm_a/gamma", "norm_a/beta", "norm_a/moving_mean", "norm_a/moving_variance"),
    *("norm_b/moving_mean", "norm_b/moving_variance"),
)


@pytest.mark.parametrize("weights", [UNFROZEN, FROZEN_A], ids=["unfrozen", "frozen"])
@pytest.mark.parametrize("frozen_now", ["", "norm_a"])
def test_freezing_moves_weights_in_the_file_and_names_bring_them_back(
    weights: list[tuple[str, tuple[int, ...]]], frozen_now: str
) -> None:
    stored = file({"encoder": weights})
    model = encoder(frozen=frozen_now).table()
    found = pairs(restore_table(stored, model, None, KERAS2))
    for target, source in found.items():
        a, b = model.tensors[target], stored.tensors[source]
        assert f"encoder/{a.name}:0" == f"{b.name}".replace("encoder/", "encoder/encoder/", 1)


def renamed(weights: list[tuple[str, tuple[int, ...]]], names: Mapping[str, str]) -> Table:
    """The group with other names for its inner layers."""
    return file(
        {
            "encoder": [
                ("/".join((names[name.split("/")[0]], name.split("/")[1])), shape)
                for name, shape in weights
            ]
        }
    )


def test_scopes_that_tensorflow_numbered_are_matched_as_a_whole() -> None:
    """`norm_a_1` belongs to `norm_a`, also where another layer is called `norm_a_1`."""
    expected = Expected()
    expected.add("layers/functional", "encoder", "Functional", {}, position=0)
    for n, name in enumerate(("dense", "dense_1")):
        key = "layers/functional/layers/dense" + ("_1" if n else "")
        expected.add(key, f"encoder/{name}", "Dense", DENSE, position=n)
    stored = file(
        {"encoder": row("dense_1/kernel", "dense_1/bias", "dense_1_1/kernel", "dense_1_1/bias")}
    )
    found = pairs(restore_table(stored, expected.table(), None, KERAS2))
    assert found["layers/functional/layers/dense/vars/0"] == "encoder/dense_1/kernel:0"
    assert found["layers/functional/layers/dense_1/vars/0"] == "encoder/dense_1_1/kernel:0"


def test_without_names_the_models_own_frozen_layers_tell_the_order() -> None:
    names = {"norm_a": "x", "proj": "y", "norm_b": "w"}
    stored = renamed(FROZEN_A, names)
    model = encoder(frozen="norm_a").table()
    found = pairs(restore_table(stored, model, {"class_name": "Functional"}, KERAS2))
    for target, source in found.items():
        inner = model.tensors[target].name.split("/")[1]
        assert stored.tensors[source].name.split("/")[1] == names[inner]


def test_without_names_and_without_the_files_config_two_orders_are_refused() -> None:
    expected = Expected()
    expected.add("layers/functional", "encoder", "Functional", {}, position=0)
    for n, (name, trainable) in enumerate((("norm_a", False), ("norm_b", None))):
        key = "layers/functional/layers/batch_normalization" + ("_1" if n else "")
        expected.add(
            *(key, f"encoder/{name}", "BatchNormalization", NORM), position=n, trainable=trainable
        )
    weights = row(*(f"{layer}/{variable}" for layer in "xw" for variable in NORM))
    stored = file({"encoder": weights})
    (finding,) = findings(restore_table(stored, expected.table(), None, KERAS2))
    assert finding.code == "KG109"
    assert finding.repairs
    assert finding.safety.value == "guess"


def test_heads_of_attention_are_told_by_name_not_by_alphabet() -> None:
    expected = Expected().add("layers/mha", "mha", "MultiHeadAttention", {}, position=0)
    for part in ("key", "attention_output", "query", "value"):
        attribute = part.replace("attention_output", "output")
        expected.add(f"layers/mha/{attribute}_dense", f"mha/{part}", "EinsumDense", DENSE)
    stored = file(
        {
            "mha": [
                (f"mha/{part}/{variable}:0", shape)
                for part in ("query", "key", "value", "attention_output")
                for variable, shape in DENSE.items()
            ]
        }
    )
    found = pairs(restore_table(stored, expected.table(), None, KERAS2))
    assert found["layers/mha/output_dense/vars/0"] == "mha/mha/attention_output/kernel:0"
    assert found["layers/mha/query_dense/vars/1"] == "mha/mha/query/bias:0"


def test_counters_that_keras_3_no_longer_keeps_are_left_over() -> None:
    shapes: Shapes = {"mean": (3,), "variance": (3,)}
    expected = Expected().add("layers/normalization", "norm", "Normalization", shapes, position=0)
    stored = flat({"norm": {**shapes, "count": ()}})
    found = pairs(restore_table(stored, expected.table(), None, KERAS2))
    assert list(found.values()) == ["norm/norm/mean:0", "norm/norm/variance:0"]


def test_a_normalisation_without_scale_is_paired_by_variable() -> None:
    shapes: Shapes = {"beta": (4,), "moving_mean": (4,), "moving_variance": (4,)}
    expected = Expected().add("layers/bn", "bn", "BatchNormalization", shapes, position=0)
    found = pairs(restore_table(flat({"bn": shapes}), expected.table(), None, KERAS2))
    assert found["layers/bn/vars/0"] == "bn/bn/beta:0"


def test_running_std_of_keras_1_is_the_variance() -> None:
    old: Shapes = {"gamma": (4,), "beta": (4,), "running_mean": (4,), "running_std": (4,)}
    expected = Expected().add("layers/bn", "bn", "BatchNormalization", NORM, position=0)
    found = pairs(restore_table(flat({"bn": old}), expected.table(), None, {"keras": "1"}))
    assert found["layers/bn/vars/3"] == "bn/bn/running_std:0"


def test_a_gru_that_resets_elsewhere_is_refused_with_the_argument_to_set() -> None:
    old: Shapes = {"kernel": (4, 9), "recurrent_kernel": (3, 9), "bias": (9,)}
    new: Shapes = {**old, "bias": (2, 9)}
    expected = Expected().add("layers/gru", "gru", "GRU", {}, position=0)
    expected.add("layers/gru/cell", "gru/gru_cell", "GRUCell", new)
    (finding,) = findings(restore_table(flat({"gru": old}), expected.table(), {}, KERAS2))
    assert finding.code == "KG204"
    assert "reset_after=False" in finding.message


def test_a_layer_with_another_number_of_tensors_is_refused_by_name() -> None:
    stored = flat({"dense": {"kernel": (4, 4)}})
    (finding,) = findings(restore_table(stored, dense_model("dense"), None, KERAS2))
    assert finding.code == "KG204"
    assert "kernel[4, 4]" in finding.message


def test_a_layer_of_another_shape_is_left_to_the_rules() -> None:
    stored = flat({"dense": {"kernel": (5, 4), "bias": (4,)}})
    found = restore_table(stored, dense_model("dense"), None, KERAS2)
    assert [type(step) for step in found] == [Step, Step]


def test_all_kernels_of_a_file_have_one_ordering() -> None:
    """A 3 by 3 kernel from 3 to 3 channels fits both ways; its neighbour decides."""
    cube: Shapes = {"kernel": (3, 3, 3, 3)}
    expected = Expected().add("layers/c0", "c0", "Conv2D", cube, position=0)
    expected.add("layers/c1", "c1", "Conv2D", {"kernel": (3, 3, 3, 5)}, position=1)
    stored = flat({"c0": cube, "c1": {"kernel": (5, 3, 3, 3)}})
    writer = {"keras": "1", "backend": "tensorflow"}
    steps = restore_table(stored, expected.table(), None, writer)
    assert {s.ops[0].axes for s in steps if isinstance(s, Step)} == {(2, 3, 1, 0)}  # type: ignore[union-attr]


def test_kernels_that_fit_both_orderings_are_taken_with_a_warning() -> None:
    cube: Shapes = {"kernel": (3, 3, 3, 3)}
    expected = Expected().add("layers/c0", "c0", "Conv2D", cube, position=0)
    found = restore_table(flat({"c0": cube}), expected.table(), None, {"keras": "1"})
    (finding,) = findings(found)
    assert (finding.code, finding.severity) == ("KG205", Severity.WARNING)
    config = {"class_name": "Model", "config": {"name": "c0", "dim_ordering": "th"}}
    assert not findings(restore_table(flat({"c0": cube}), expected.table(), config, {"keras": "1"}))


def test_kernels_of_one_and_two_dimensions_may_lie_differently_in_one_model() -> None:
    """Keras 1 had `dim_ordering` for 2D kernels only."""
    expected = Expected().add("layers/sequential", "inner", "Sequential", {}, position=0)
    for n, (name, shape) in enumerate([("c2", (3, 3, 2, 5)), ("c1", (4, 6, 7))]):
        cls = f"Conv{2 - n}D"
        key = f"layers/sequential/layers/{snake_case(cls)}"
        expected.add(key, f"inner/{name}", cls, {"kernel": shape}, position=n)
    stored = file({"inner": [("c2/kernel", (5, 2, 3, 3)), ("c1/kernel", (4, 1, 6, 7))]})
    steps = restore_table(stored, expected.table(), {}, {"keras": "1"})
    assert {type(s.ops[0]).__name__ for s in steps if isinstance(s, Step)} == {
        "Transpose",
        "Reshape",
    }


def test_a_flat_file_fills_a_nested_model() -> None:
    """Keras 1 listed the layers of merged branches one by one."""
    expected = Expected().add("layers/sequential", "branch", "Sequential", {}, position=0)
    expected.add("layers/sequential/layers/dense", "branch/left", "Dense", DENSE, position=0)
    expected.add("layers/sequential/layers/dense_1", "branch/right", "Dense", DENSE, position=1)
    expected.add("layers/dense", "top", "Dense", DENSE, position=1)
    stored = flat({"right": DENSE, "left": DENSE, "top": DENSE})
    found = pairs(restore_table(stored, expected.table(), {"class_name": "Model"}, KERAS2))
    assert found["layers/sequential/layers/dense/vars/0"] == "left/left/kernel:0"


def test_weights_of_the_model_itself_are_the_files_top_level_weights() -> None:
    expected = Expected().add("dense", "dense", "Dense", DENSE)
    expected.tensors.append(
        TensorRecord("vars/0", TensorSpec((), "float32"), "temperature", "temperature", "")
    )
    layers = {"dense": [(f"dense/{v}:0", s) for v, s in DENSE.items()]}
    stored = file({**layers, "top_level_model_weights": [("temperature:0", ())]})
    found = pairs(restore_table(stored, expected.table(), None, KERAS2))
    assert found["vars/0"] == "top_level_model_weights/temperature:0"


@pytest.mark.parametrize(
    ("cls", "version", "warned"),
    [
        ("LSTM", "2.1.6-tf", True),
        ("LSTM", "1", True),
        ("LSTM", "2.3.1", False),
        ("ConvLSTM2D", "2.15.0", True),
        ("ConvLSTM2D", "3.15.1", False),
        ("SimpleRNN", "2.1.0", False),
    ],
)
def test_weights_of_layers_whose_defaults_changed_are_loaded_with_a_warning(
    cls: str, version: str, warned: bool
) -> None:
    shapes: Shapes = {"kernel": (4, 8), "recurrent_kernel": (2, 8), "bias": (8,)}
    expected = Expected().add("layers/rnn", "rnn", cls, shapes, position=0).table()
    writer = {"keras": version, "backend": "tensorflow"}
    found = restore_table(flat({"rnn": shapes}), expected, None, writer)
    assert [f.code for f in findings(found)] == ["KG206"] * warned
    assert not findings(restore_table(flat({"rnn": shapes}), expected, {}, writer))


def test_a_normalised_kernel_that_keras_3_stores_twice_is_filled_twice() -> None:
    name, outer = "sn/conv", "layers/spectral_normalization"
    kernel: Shapes = {"kernel": (3, 3, 2, 4)}
    expected = Expected()
    expected.add(outer, "sn", "SpectralNormalization", {**kernel, "vector_u": (1, 4)}, position=0)
    expected.add(f"{outer}/layer", name, "Conv2D", {**kernel, "bias": (4,)})
    stored = file(
        {"sn": [("sn/kernel:0", (3, 3, 2, 4)), ("sn/bias:0", (4,)), ("sn/sn_u:0", (1, 4))]}
    )
    found = pairs(restore_table(stored, expected.table(), {}, KERAS2))
    assert found[f"{outer}/vars/0"] == found[f"{outer}/layer/vars/0"] == "sn/sn/kernel:0"
    assert found[f"{outer}/vars/1"] == "sn/sn/sn_u:0"


def test_cells_that_share_one_scope_are_filled_in_order() -> None:
    """Keras 2.2 named the weights of stacked cells `rnn/kernel:0`, `rnn/kernel_1:0`."""
    shapes: Shapes = {"kernel": (4, 8), "recurrent_kernel": (2, 8), "bias": (8,)}
    expected = Expected().add("layers/rnn", "rnn", "RNN", {}, position=0)
    expected.add("layers/rnn/cell", "rnn/stacked", "StackedRNNCells", {})
    for n in ("", "_1"):
        key = f"layers/rnn/cell/cells/lstm_cell{n}"
        expected.add(key, f"rnn/stacked/lstm_cell{n}", "LSTMCell", shapes)
    names = [(f"rnn/{v}{n}:0", shape) for n in ("", "_1") for v, shape in shapes.items()]
    found = pairs(restore_table(file({"rnn": names}), expected.table(), {}, KERAS2))
    assert found["layers/rnn/cell/cells/lstm_cell/vars/1"] == "rnn/rnn/recurrent_kernel:0"
    assert found["layers/rnn/cell/cells/lstm_cell_1/vars/2"] == "rnn/rnn/bias_1:0"


@pytest.mark.parametrize("stored", ["backward_lstm_1", "backward_lstm_7"])
def test_a_backward_layer_of_ones_own_is_told_by_what_keras_2_called_it(stored: str) -> None:
    """Keras 2 copied the forward layer alone, so that its cell has the higher number."""
    shapes: Shapes = {"kernel": (3, 8), "recurrent_kernel": (2, 8), "bias": (8,)}
    expected = Expected().add("layers/b", "b", "Bidirectional", {}, position=0)
    for attribute, name in (("backward_layer", "lstm_1"), ("forward_layer", "forward_lstm")):
        expected.add(f"layers/b/{attribute}", f"b/{name}", "LSTM", {})
        expected.add(f"layers/b/{attribute}/cell", f"b/{name}/lstm_cell", "LSTMCell", shapes)
    cells = ("b/forward_lstm/lstm_cell_2", f"b/{stored}/lstm_cell_1")
    names = [(f"{cell}/{v}:0", shape) for cell in cells for v, shape in shapes.items()]
    found = pairs(restore_table(file({"b": names}), expected.table(), None, {"keras": "2.4.0"}))
    for attribute, cell in zip(("forward_layer", "backward_layer"), cells, strict=True):
        assert found[f"layers/b/{attribute}/cell/vars/0"] == f"b/{cell}/kernel:0"


def test_layers_inside_a_users_layer_are_told_by_the_numbers_that_keras_counted() -> None:
    """The file leaves out some scopes, and has the layers as they were made, not by attribute."""
    expected = Expected().add("layers/block", "block_6", "Block", {}, position=0)
    for attribute, name in (
        ("after", "dense_34"),
        ("ffn/layers/dense", "sequential_6/dense_31"),
        ("ffn/layers/dense_1", "sequential_6/dense_32"),
        ("norm", "layer_normalization_9"),
        ("pre", "dense_33"),
    ):
        expected.add(f"layers/block/{attribute}", f"block_6/{name}", "Dense", DENSE)
    names = ["dense_16", "dense_17", "block_3/layer_normalization", "block_3/dense_18"]
    names += ["block_3/dense_19"]
    stored = file({"block": [(f"{n}/{v}:0", shape) for n in names for v, shape in DENSE.items()]})
    found = pairs(restore_table(stored, expected.table(), None, KERAS2))
    assert found["layers/block/ffn/layers/dense/vars/0"] == "block/dense_16/kernel:0"
    assert found["layers/block/pre/vars/1"] == "block/block_3/dense_18/bias:0"
    assert found["layers/block/after/vars/0"] == "block/block_3/dense_19/kernel:0"


def test_numbers_that_drifted_are_no_names_of_other_layers() -> None:
    names = ["cm/dense_1", "cm/dense_2", "cm/norm"]
    shapes: list[Shapes] = [DENSE, DENSE, NORM]
    rows = [
        (f"{n}/{v}:0", s) for n, told in zip(names, shapes, strict=True) for v, s in told.items()
    ]
    model = Expected()
    model.layers["layers/cm"] = LayerRecord("layers/cm", "cm", "CM", position=0)
    for key, name, told in (("b", "norm", NORM), ("d", "dense", DENSE), ("e", "dense_1", DENSE)):
        model.add(f"layers/cm/{key}", f"cm/{name}", snake_case(name), told)
    found = pairs(restore_table(file({"cm": rows}), model.table(), None, KERAS2))
    assert found["layers/cm/d/vars/0"] == "cm/cm/dense_1/kernel:0"
    assert found["layers/cm/e/vars/0"] == "cm/cm/dense_2/kernel:0"
