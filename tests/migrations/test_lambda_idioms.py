"""Functions in Lambda layers whose meaning depends on who wrote them: read right or refused."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lambda_models import ALLOWED, KERAS2, lambdas, model, read, refused, stored

from kerasguard.migrations import migrate
from kerasguard.planning.findings import Finding, Severity

Json = dict[str, Any]
K: Any = None
tf: Any = None
own: Any = None

# What Keras 3 has no equivalent of, or the file does not tell.
REFUSED = {
    "tf1.12.3": {"bdot_4", "eq_float", "folded_open", "i_mean", "i_rmean", "u8_gray", "u8_mean",
                 "u8_sum"},
    "tf2.3.4": {"bdot_4", "folded_open", "i_mean", "i_rmean", "u8_gray", "u8_mean", "u8_sum"},
    "tf2.15.1": {"bdot_4", "folded_open", "i_mean", "i_rmean", "u8_gray", "u8_mean", "u8_sum"},
}  # fmt: skip


def inputs_of(told: Json) -> list[Any]:
    """The inputs that the writer drew."""
    rng = np.random.RandomState(told["seed"])
    found = []
    for shape, dtype in told["inputs"]:
        shape = (3, *shape)
        if dtype == "float32":
            found.append(rng.uniform(-1, 1, shape).astype(dtype))
        else:
            found.append(rng.randint(0, 2 if dtype == "bool" else 7, shape).astype(dtype))
    return found


@pytest.mark.keras
@pytest.mark.parametrize("writer", REFUSED)
def test_idioms_compute_what_they_did_or_are_refused(
    repository: Path, build: Callable[..., Any], writer: str
) -> None:
    place = repository / "tests" / "golden" / "lambdas" / "idioms.json.xz"
    written = json.loads(lzma.decompress(place.read_bytes()))[writer]
    assert len(written) > 85
    refused_ones = set()
    for name, told in written.items():
        version = {"keras": told["keras"], "config": "legacy"}
        new, findings = migrate(told["config"], version, allow=ALLOWED)
        if any(f.severity is Severity.ERROR for f in findings):
            refused_ones.add(name)
            continue
        given = inputs_of(told)
        made = build(new)(given if len(given) > 1 else given[0])
        made = list(made) if isinstance(made, (list, tuple)) else [made]
        assert [list(one.shape) for one in made] == told["shapes"], name
        for one, row in zip(made, told["rows"], strict=True):
            assert np.allclose(np.ravel(np.asarray(one)[:1]), row, atol=1e-5, rtol=1e-5), name
    assert refused_ones == REFUSED[writer]


@pytest.mark.parametrize(
    ("writer", "right"), [("2.1.6-tf", True), ("2.2.4-tf", False), ("2.3.0-tf", True)]
)
def test_a_choice_of_rows_is_read_if_the_version_is_known(writer: str, *, right: bool) -> None:
    """TensorFlow 1 takes whole rows, TensorFlow 2 spreads the condition along the last axis."""
    old = model(lambda x: tf.where(K.sum(x, axis=1) > 0, x, -x))
    new, findings = migrate(old, {**KERAS2, "keras": writer}, allow=ALLOWED)
    assert (lambdas(findings)[0].severity is Severity.WARNING) == right
    kinds = [x["class_name"] for x in new["config"]["layers"]]
    assert ("ExpandDims" in kinds) == (writer == "2.1.6-tf")


def test_old_pixels_are_laid_out_by_a_matrix_for_each_axis() -> None:
    old = model(lambda x: tf.image.resize_bilinear(x, (12, 9), align_corners=True), (6, 6, 3))
    new, _ = migrate(old, {**KERAS2, "keras": "2.1.6-tf"}, allow=ALLOWED)
    rows, columns = (x for x in new["config"]["layers"] if x["class_name"] == "Einsum")
    for layer, size in ((rows, 12), (columns, 9)):
        matrix = np.array(layer["inbound_nodes"][0]["args"][1]["config"]["value"])
        assert matrix.shape == (size, 6)
        assert np.allclose(matrix.sum(axis=1), 1)
        assert matrix[0, 0] == matrix[-1, -1] == 1


def test_what_another_lambda_makes_is_known_to_be_a_float() -> None:
    old = model(lambda x: x / 255)
    layers = old["config"]["layers"]
    layers.append({
        "class_name": "Activation", "name": "between",
        "config": {"name": "between", "activation": "relu"},
        "inbound_nodes": [[["layer", 0, 0, {}]]],
    })  # fmt: skip
    again = model(lambda x: tf.reduce_mean(x, axis=1))["config"]["layers"][1]
    again["name"] = again["config"]["name"] = "second"
    layers.append(again | {"inbound_nodes": [[["between", 0, 0, {}]]]})
    old["config"]["output_layers"] = [["second", 0, 0]]
    _, findings = migrate(old, KERAS2, allow=ALLOWED)
    assert [f.severity for f in lambdas(findings)] == [Severity.WARNING] * 2


def whole(function: Any) -> list[Finding]:
    """What is found where the input holds whole numbers of 8 bits."""
    old = model(function)
    old["config"]["layers"][0]["config"]["dtype"] = "uint8"
    return lambdas(migrate(old, KERAS2, allow=ALLOWED)[1])


def test_whole_numbers_are_not_computed_where_keras_3_does_it_in_more_bits() -> None:
    for function in (lambda x: K.sum(x, axis=1), lambda x: K.mean(x, axis=1)):
        (finding,) = whole(function)
        assert finding.severity is Severity.ERROR
        assert "integers" in str(finding)
    for function in (lambda x: x + 200, lambda x: K.sum(K.cast(x, "float32"), axis=1)):
        assert whole(function)[0].severity is Severity.WARNING


def test_a_batch_is_that_of_the_reshaped_tensor_or_not_taken_for_it() -> None:
    def other(x: Any) -> Any:
        return K.reshape(K.reshape(x, (-1, 4)), (K.shape(x)[0], -1))

    assert "more than one size is not in the file" in refused(other, (5, 4))
    layers = read(lambda x: K.reshape(x, (K.shape(x)[0], -1)), (5, 4))["config"]["layers"]
    assert layers[-1]["class_name"] == "Reshape"
    assert layers[-1]["config"]["target_shape"] == [-1]


def test_a_norm_of_matrices_is_not_that_of_their_elements() -> None:
    assert "norm 2 along" in refused(lambda x: tf.norm(x, ord=2, axis=[1, 2]), (5, 4))
    assert read(lambda x: tf.norm(x, axis=[1, 2]), (5, 4))


def test_arguments_with_a_star_are_spread() -> None:
    assert read(lambda x: K.stack([*x, x[0]], axis=1), (4,), (4,))
    assert read(lambda x: tf.einsum("bi,bi->b", *x), (4,), (4,))


def test_one_line_tells_what_to_supply_and_nothing_else_is_said_of_the_lambda() -> None:
    _, findings = migrate(model(lambda x: own(x)), KERAS2)
    (error,) = [f for f in findings if f.severity is Severity.ERROR]
    assert str(error) == (
        "KG421 layer: this Lambda holds `lambda x: own(x)` as Python bytecode, which is never run; "
        "not translated: the global name own, which is not in the file; supply it: "
        'custom_objects={"layer": lambda x: own(x)}'
    )


def test_the_line_to_write_has_what_the_closure_holds_and_inner_functions() -> None:
    by, axes = 2.5, [1, 2]

    def halved(x: Any) -> Any:
        def half(y, part=2.0):  # type: ignore[no-untyped-def]
            return y / part

        return half(x) * by  # type: ignore[no-untyped-call]

    def shared(x: Any) -> Any:
        y = x + 1
        return (lambda z: z * y)(x)

    def offered(function: Any) -> str:
        (finding,) = lambdas(migrate(model(function), KERAS2)[1])
        return str(finding).partition("custom_objects=")[2]

    line = '{"layer": lambda x, *, by=2.5: (lambda y, part=2.0: y / part)(x) * by}'
    assert offered(halved) == line
    line = '{"layer": lambda x, *, axes=[1, 2]: K.sum(x, axis=axes)}'
    assert offered(lambda x: K.sum(x, axis=axes)) == line
    # What `y` is would be another variable there.
    assert offered(shared) == '{"layer": lambda x: ...}'


def test_a_parameter_without_a_value_is_named() -> None:
    function = stored(lambda x, by: x * by)
    assert "the parameter by, whose value is not in the file" in refused(function)
