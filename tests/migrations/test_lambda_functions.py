"""Lambda layers: what their bytecode computes becomes operations, or is refused by name."""

from __future__ import annotations

import io
import json
import lzma
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lambda_models import ALLOWED, KERAS2, lambdas, model, read, refused, stored

from kerasguard.migrations import migrate
from kerasguard.planning.findings import Severity

Json = dict[str, Any]
WRITERS = ["tf1.12.3", "tf2.0.4", "tf2.3.4", "tf2.8.4", "tf2.15.1-python3.10", "tf2.15.1"]
# Keras stores no defaults of keyword-only parameters.
NOT_STORED = {"def_default"}
# TensorFlow 1.13 to 2.1 all call their Keras 2.2.4-tf, and TensorFlow 1 has its pixels elsewhere.
NOT_TOLD = {"tf2.0.4": {"h_bilinear_k"}}

K: Any = None
np_, tf, keras, os, T = np, K, K, K, K
# Annotated alone, a name has no value.
scale: Any
my_norm: Any
l2_normalize: Any


def test_a_lambda_is_read_only_with_the_callers_leave_and_offered_with_its_source() -> None:
    _, findings = migrate(model(lambda x: K.mean(x, axis=1) / 2), KERAS2)
    (finding,) = lambdas(findings)
    assert finding.severity is Severity.ERROR
    assert 'allow="lambdas"' in str(finding)
    assert 'custom_objects={"layer": lambda x: K.mean(x, axis=1) / 2}' in str(finding)
    assert "K is assumed to be the module keras.backend" in str(finding)


def test_the_finding_shows_the_source_and_what_was_taken_for_granted() -> None:
    old = model(lambda x: K.sqrt(x + K.epsilon()))
    _, findings = migrate(old, KERAS2, allow=ALLOWED)
    (finding,) = lambdas(findings)
    assert finding.severity is Severity.WARNING
    assert "`lambda x: K.sqrt(x + K.epsilon())`" in str(finding)
    assert "K is assumed to be the module keras.backend" in str(finding)
    assert "K.epsilon() is assumed to be 1e-07" in str(finding)


def test_a_registered_function_is_asked_for_by_a_name_that_python_has() -> None:
    config = model(lambda x: x)
    layer = config["config"]["layers"][1]["config"]
    layer |= {"function": "Custom>sampling", "function_type": "function"}
    (finding,) = lambdas(migrate(config, KERAS2)[1])
    assert finding.severity is Severity.ERROR
    assert 'supply it: custom_objects={"Custom>sampling": sampling}' in str(finding)


def test_the_last_operation_has_the_name_of_the_lambda() -> None:
    layers = read(lambda x: K.sum(x * x, axis=-1))["config"]["layers"]
    assert [x["class_name"] for x in layers[1:]] == ["Multiply", "Sum"]
    assert layers[-1]["name"] == "layer"


def test_the_functions_caller_comes_before_its_bytecode() -> None:
    new, findings = migrate(model(lambda x: x * 2), KERAS2, frozenset({"layer"}), ALLOWED)
    assert new["config"]["layers"][-1]["class_name"] == "Lambda"
    assert not [f for f in findings if f.severity is Severity.ERROR]


def looped(x: Any) -> Any:
    for _ in range(3):
        x = x * 2
    return x


def endless(x: Any) -> Any:
    while True:
        x = x + 1


def tried(x: Any) -> Any:
    try:
        return x + 1
    except ValueError:
        return x


def opened(x: Any) -> Any:
    with open("/etc/passwd") as file:  # noqa: PTH123
        return file


def raised(x: Any) -> Any:
    raise ValueError(x)


def asserted(x: Any) -> Any:
    assert x, "no"
    return x


def set_global(x: Any) -> Any:
    global K
    K = x
    return x


def set_attribute(x: Any) -> Any:
    x.name = "y"
    return x


def set_item(x: Any) -> Any:
    x[0] = 1
    return x


def deleted(x: Any) -> Any:
    del x[0]
    return x


def imported(x: Any) -> Any:
    import os

    return os.system("true") or x


def imported_name(x: Any) -> Any:
    from subprocess import run

    return run(x)


def imported_inside(x: Any) -> Any:
    import tensorflow as tf

    return tf.io.write_file("/tmp/x", x)


def printed(x: Any) -> Any:
    print(x)
    return x


def dropped(x: Any) -> Any:
    K.set_floatx("float16")
    return x


def kept_unused(x: Any) -> Any:
    y = K.clear_session()  # noqa: F841
    return x


def generated(x: Any) -> Any:
    yield x


def made_class(x: Any) -> Any:
    class A:
        pass

    return A


def starred(*x: Any) -> Any:
    return x[0]


def with_named(**x: Any) -> Any:
    return x


def matched(x: Any) -> Any:
    match x:
        case [a, b]:
            return a + b
    return x


def recursive(x: Any) -> Any:
    def again(y: Any) -> Any:
        return again(y)

    return again(x)


async def awaited(x: Any) -> Any:
    return x


def annotated(x: Any) -> Any:
    def inner(y: int) -> int:
        return y

    return inner(x)


def unset(x: Any) -> Any:
    if x is None:
        y = 1
    return x + y


REFUSED: dict[str, tuple[Any, str]] = {
    "a for loop": (looped, "a loop"),
    "a while loop": (endless, "a loop"),
    "a list comprehension": (lambda x: [y for y in x], "a loop"),  # noqa: C416
    "a generator expression": (lambda x: sum(y for y in x), "a loop|generator"),
    "a dict comprehension": (lambda x: {y: y for y in x[:, 1]}, "a loop|a set or a dict"),
    "a generator": (generated, "generator"),
    "a coroutine": (awaited, "generator|coroutine"),
    "try": (tried, "block"),
    "with": (opened, "block"),
    "raise": (raised, "exception"),
    "assert": (asserted, "assertion|a dict"),
    "match": (matched, "match|instruction"),
    "a global that is set": (set_global, "global variable"),
    "an attribute that is set": (set_attribute, "attribute that is set"),
    "an item that is set": (set_item, "item that is set"),
    "an item that is deleted": (deleted, "item that is set|deleted"),
    "an import": (imported, "import of os"),
    "an import of a name": (imported_name, "import of subprocess"),
    "writing a file": (imported_inside, "write_file"),
    "print": (printed, "side effect"),
    "a call that sets Keras up": (dropped, "side effect"),
    "a call whose result is kept and not used": (kept_unused, "side effect"),
    "a class": (made_class, "a class"),
    "a walrus with a call": (
        lambda x: (y := K.clear_session()) or x,  # noqa: F841
        "K.clear_session is not in the table",
    ),
    "parameters with *": (starred, "parameters with"),
    "parameters with **": (with_named, "parameters with"),
    "a call with *": (lambda x: K.add(*x, *x), "with \\*"),
    "a call with **": (lambda x, more={}: K.mean(x, **more), "with|dict"),
    "a recursive function": (recursive, "variable again"),
    "annotations": (annotated, "annotations"),
    "a variable without a value": (unset, "variable y|no value"),
    "a formatted string": (lambda x: K.cast(x, f"float{32}{x}"), "formatted"),
    "a dict": (lambda x: {"a": x, "b": x}["a"], "dict"),
    "a set": (lambda x: {x, x}, "set"),
    "a global number": (lambda x: x * scale, "global name scale"),  # noqa: F821
    "a global function": (lambda x: my_norm(x), "global name my_norm"),  # noqa: F821
    "a bare function of Keras": (lambda x: l2_normalize(x), "l2_normalize"),  # noqa: F821
    "a module of another name": (lambda x: T.exp(x), "global name T"),
    "os.system": (lambda x: os.system("true"), "global name os"),
    "eval": (lambda x: eval("x"), "global name eval"),
    "exec": (lambda x: exec("x"), "global name exec"),
    "open": (lambda x: open("/etc/passwd").read(), "global name open"),  # noqa: PTH123, SIM115
    "__import__": (lambda x: __import__("os").system("true"), "global name __import__"),
    "getattr": (lambda x: getattr(x, "shape"), "global name getattr"),  # noqa: B009
    "globals": (lambda x: globals()["K"], "global name globals"),
    "compile": (lambda x: compile("1", "", "eval"), "global name compile"),
    "type": (lambda x: type(x)(x), "global name type"),
    "the class of the input": (lambda x: x.__class__.__mro__[1], "__class__"),
    "subclasses of object": (lambda x: ().__class__.__base__.__subclasses__(), "__class__"),  # type: ignore[union-attr]
    "the dict of the input": (lambda x: x.__dict__, "__dict__"),
    "the globals of a function": (lambda x: K.mean.__globals__, "not a value|result"),
    "builtins of a module": (lambda x: K.__builtins__["eval"]("1"), "index|function"),
    "a method of the input": (lambda x: x.numpy(), "numpy"),
    "a method of the graph": (lambda x: x.graph.as_default(), "graph"),
    "py_function": (lambda x: tf.py_function(abs, [x], "float32"), "no value|py_function"),
    "numpy_function": (lambda x: tf.numpy_function(abs, [x], "float32"), "no value|numpy_f"),
    "a file read by TensorFlow": (lambda x: tf.io.read_file(x), "read_file"),
    "a file read by NumPy": (lambda x: np.load("/etc/passwd"), "np.load"),
    "get_file": (lambda x: keras.utils.get_file("a", "b"), "get_file"),
    "a function of functions": (lambda x: tf.map_fn(lambda y: y, x), "not an argument|map_fn"),
    "a random number": (lambda x: x + K.random_normal(K.shape(x)), "random_normal"),
    "a function outside the table": (lambda x: tf.signal.fft(x), "tf.signal.fft"),
    "an option outside the table": (lambda x: tf.reduce_sum(x, 1, my_option=3), "my_option"),
    "too many arguments": (lambda x: K.mean(x, 1, True, 7, 8), "5 arguments"),
    "an argument twice": (lambda x: K.mean(x, 1, axis=2), "axis twice"),
    "a condition on a tensor": (lambda x: x if K.sum(x) > 0 else -x, "condition"),
    "a comparison in a chain": (lambda x: 0 < x < 1, "condition"),
    "a tensor and": (lambda x: x and 1, "condition"),
    "a huge power": (lambda x: x * 10 ** (10**9), "power|computed|\\*\\*"),
    "a huge list": (lambda x: x * ([1] * 10**9), "joined|list"),
    "a division by zero": (lambda x: x * (1 / (1 - 1)), "division"),
    "a constant": (lambda x: 3, "does not depend"),
    "none": (lambda x: None, "does not depend"),
    "the first item of what may be a list": (lambda x: x[0], "list of one"),
    "a list as an index": (lambda x: x[:, [0, 2]], "index"),
    "a tensor as an index": (lambda x: x[x > 0], "index"),
    "the transpose": (lambda x: x.T, "attribute .T"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_function_that_must_be_refused_is_refused_by_name(kind: str) -> None:
    function, reason = REFUSED[kind]
    message = refused(function)
    assert re.search(reason, message), message
    assert 'custom_objects={"layer":' in message


def test_a_mask_that_ends_at_the_lambda_does_not_go_through_its_operations() -> None:
    old = model(lambda x: x)
    embedding = {
        "class_name": "Masking",
        "config": {"name": "masking", "mask_value": 0.0},
        "name": "masking",
        "inbound_nodes": [[["x0", 0, 0, {}]]],
    }
    layers = old["config"]["layers"]
    layers.insert(1, embedding)
    layers[2]["inbound_nodes"] = [[["masking", 0, 0, {}]]]
    new, findings = migrate(old, KERAS2, allow=ALLOWED)
    assert not [f for f in findings if f.severity is Severity.ERROR]
    assert new["config"]["layers"][-1]["module"].startswith("keras.src.ops.")
    layers[2]["config"]["mask"] = stored(lambda x, mask: mask)
    _, findings = migrate(old, KERAS2, allow=ALLOWED)
    assert "its mask, `lambda x, mask: mask`" in str(lambdas(findings)[0])
    layers[2]["config"]["mask"] = stored(lambda x, mask: None)
    _, findings = migrate(old, KERAS2, allow=ALLOWED)
    assert lambdas(findings)[0].severity is Severity.WARNING


def test_whether_equality_is_that_of_tensorflow_1_is_not_guessed() -> None:
    old = model(lambda x: K.cast(x == 0.0, "float32"))
    for keras_version, right in (("2.2.4-tf", False), ("2.1.6-tf", False), ("2.3.0-tf", True)):
        _, findings = migrate(old, {**KERAS2, "keras": keras_version}, allow=ALLOWED)
        assert (lambdas(findings)[0].severity is Severity.WARNING) == right


def test_pixels_of_tensorflow_1_are_not_those_of_tensorflow_2() -> None:
    old = model(lambda x: tf.image.resize(x, (12, 12)), (6, 6, 3))
    for version, kind in (("2.2.4-tf", "Lambda"), ("2.1.6-tf", "Einsum"), ("2.3.0-tf", "Resize")):
        new, _ = migrate(old, {**KERAS2, "keras": version}, allow=ALLOWED)
        assert new["config"]["layers"][-1]["class_name"] == kind


def test_a_lambda_that_is_called_twice_is_computed_twice() -> None:
    old = model(lambda x: x * 2, (4,))
    layers = old["config"]["layers"]
    layers[1]["inbound_nodes"].append([["layer", 0, 0, {}]])
    old["config"]["output_layers"] = [["layer", 1, 0]]
    new, _ = migrate(old, KERAS2, allow=ALLOWED)
    names = [x["name"] for x in new["config"]["layers"]]
    assert len(names) == len(set(names)) == 3
    assert new["config"]["output_layers"] == [names[-1], 0, 0]


def test_inputs_of_another_dtype_are_cast_as_the_layer_did() -> None:
    layers = read(lambda x: x * 2, dtype="float16")["config"]["layers"]
    assert [x["class_name"] for x in layers[1:]] == ["Identity", "Multiply"]
    assert layers[1]["config"]["dtype"] == "float16"


@pytest.mark.keras
@pytest.mark.parametrize(
    "writer",
    [pytest.param(w, marks=[pytest.mark.slow] if w in WRITERS[1:-1] else []) for w in WRITERS],
)
def test_the_functions_that_old_tensorflows_wrote_compute_what_they_did(
    repository: Path, build: Callable[..., Any], writer: str
) -> None:
    """From the configs alone: the files themselves take the slow test below."""
    for name, told in written(repository, writer):
        version = {"keras": told["keras"], "config": "legacy"}
        new, findings = migrate(told["config"], version, allow=ALLOWED)
        errors = [str(f) for f in findings if f.severity is Severity.ERROR]
        assert bool(errors) == (name in refused_of(writer)), (name, errors)
        if not errors:
            check(name, build(new), told)


def refused_of(writer: str) -> set[str]:
    return NOT_STORED | NOT_TOLD.get(writer, set())


def check(name: str, restored: Any, told: Json) -> None:
    inputs = [np.array(x, "float32") for x in told["x"]]
    found = restored(inputs if len(inputs) > 1 else inputs[0])
    found = found if isinstance(found, (list, tuple)) else [found]
    assert len(found) == len(told["y"]), name
    for one, expected in zip(found, told["y"], strict=True):
        assert np.shape(one) == np.shape(expected), name
        assert np.allclose(one, expected, atol=1e-5, rtol=1e-5), name


def archive(repository: Path, writer: str) -> tarfile.TarFile:
    place = repository / "tests" / "golden" / "lambdas" / f"{writer}.tar.xz"
    return tarfile.open(fileobj=io.BytesIO(lzma.decompress(place.read_bytes())))


def written(repository: Path, writer: str) -> list[tuple[str, Json]]:
    with archive(repository, writer) as files:
        listed = files.extractfile("written.json")
        assert listed is not None
        return list(json.load(listed).items())


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.parametrize("writer", WRITERS)
def test_the_files_that_old_tensorflows_wrote_load_right(
    repository: Path, tmp_path: Path, writer: str
) -> None:
    import kerasguard as kg

    with archive(repository, writer) as files:
        files.extractall(tmp_path, filter="data")
    loaded = 0
    for name, told in written(repository, writer):
        for path in sorted(tmp_path.glob(f"{name}.*")):
            # A SavedModel tells the version of TensorFlow.
            if name in (refused_of(writer) if path.suffix == ".h5" else NOT_STORED):
                with pytest.raises(kg.KerasguardError, match="KG421"):
                    kg.load(path, allow="lambdas")
            else:
                check(path.name, kg.load(path, allow="lambdas"), told)
                loaded += 1
    assert loaded >= 120


def changes_a_held_list(x: Any) -> Any:
    axes = [0]
    held = axes
    axes += [1]
    return K.sum(x, axis=held)


def changes_a_list_inside(x: Any) -> Any:
    axes = [0]
    held = (axes, 1)
    axes += [1]
    return K.sum(x, axis=held[0])


def changes_a_list(x: Any) -> Any:
    axes = [0]
    axes += [1]
    return K.sum(x, axis=axes)


def changes_a_default(x: Any, axes: Any = [1]) -> Any:  # noqa: B006  # the fault is the subject
    axes += [2]
    return K.sum(x, axis=axes)


def replaces_a_tensor(x: Any) -> Any:
    x = x * 2.0
    x += 1.0
    return x


def test_what_is_changed_in_place_may_have_other_names() -> None:
    """`held` is the same list; a tensor is replaced."""
    assert "+= on a value that has another name" in refused(changes_a_held_list)
    assert "+= on a value that has another name" in refused(changes_a_list_inside)
    assert "+= of a list or an array" in refused(changes_a_list)
    assert "+= of a list or an array" in refused(changes_a_default)
    assert read(replaces_a_tensor)["config"]["layers"]
