"""The mean of checkpoints of one model, and refusal of what has none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from format_files import hdf5

import kerasguard as kg
from kerasguard.errors import ArgumentError, CheckpointError, CorruptCheckpointError

Arrays = dict[str, Any]


def body(**changed: Any) -> Arrays:
    """Two layers; `changed` are further tensors, or others in their place."""
    arrays = {
        "body/kernel": np.full((3, 4), 0.1, "float32"),
        "body/bias": np.zeros(4, "float32"),
        "head/kernel": np.full((4, 2), 3, "float16"),
    }
    return arrays | {name.replace("__", "/"): value for name, value in changed.items()}


def test_each_tensor_is_the_mean_in_double_precision_rounded_once() -> None:
    parts = [body(body__bias=np.full(4, v, "float32")) for v in (0.1, 0.7, 0.2)]
    with kg.average(parts) as mean:
        exact = np.float32((np.float64(np.float32(0.1)) + np.float32(0.7) + np.float32(0.2)) / 3)
        assert mean["body/bias"].dtype == np.float32
        assert mean["body/bias"].tobytes() == np.full(4, exact).tobytes()
        assert mean["body/kernel"].tobytes() == parts[0]["body/kernel"].tobytes()
        assert mean["head/kernel"].dtype == np.float16


def test_bfloat16_and_complex_numbers_have_a_mean() -> None:
    kinds = {"a/b": np.ones(2, ml_dtypes.bfloat16), "a/c": np.full(2, 1 + 2j, "complex64")}
    others = {"a/b": np.full(2, 2, ml_dtypes.bfloat16), "a/c": np.full(2, 3 + 4j, "complex64")}
    with kg.average([kinds, others]) as mean:
        assert mean["a/b"].dtype == ml_dtypes.bfloat16
        assert mean["a/b"].astype("float32").tolist() == [1.5, 1.5]
        assert mean["a/c"].tolist() == [2 + 3j, 2 + 3j]


def test_integers_have_to_be_equal_but_for_the_state_of_a_generator() -> None:
    first = body(body__count=np.int32(3), drop__seed_generator_state=np.array([1, 2], "uint32"))
    other = first | {"drop/seed_generator_state": np.array([1, 9], "uint32")}
    with kg.average([first, other]) as mean:
        assert int(mean["body/count"]) == 3
        assert mean["drop/seed_generator_state"].tolist() == [1, 2]
    with (
        kg.average([first, first | {"body/count": np.int32(4)}]) as mean,
        pytest.raises(CheckpointError, match=r"body/count: int32\[\] differs"),
    ):
        mean["body/count"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (body(head__bias=np.zeros(2, "float32")), "head/bias only in this one"),
        ({"body/kernel": np.zeros((3, 4), "float32")}, "body/bias, head/kernel only in the first"),
        (body(head__kernel=np.zeros((4, 3), "float16")), r"head/kernel is float16\[4, 3\], and"),
        (body(head__kernel=np.zeros((4, 2), "float32")), r"head/kernel is float32\[4, 2\], and"),
    ],
)
def test_what_does_not_match_is_refused_by_name(other: Arrays, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        kg.average([body(), other])


@pytest.mark.parametrize("given", [[], [body()], "m.keras", body(), 3, None])
def test_a_mean_is_of_a_list_of_two_or_more(given: Any) -> None:
    with pytest.raises(ArgumentError):
        kg.average(given)


@pytest.mark.parametrize("one", [3, None, ["a.keras"], {1: 2}])
def test_what_is_no_checkpoint_is_refused(one: Any) -> None:
    with pytest.raises((ArgumentError, CheckpointError)):
        kg.average([body(), one])


KEYS = ("layers/dense/vars/0", "layers/dense_1/vars/0")


def _file(path: Path, value: float, names: tuple[str, str]) -> Path:
    arrays = {key: np.full((3, 3), value, "float32") for key in KEYS}
    path.write_bytes(hdf5(arrays, names={k[:-2]: n for k, n in zip(KEYS, names, strict=True)}))
    return path


def test_layers_are_the_same_under_other_numbers_and_not_under_exchanged_names(
    tmp_path: Path,
) -> None:
    first = _file(tmp_path / "1.weights.h5", 1, ("dense", "dense_1"))
    again = _file(tmp_path / "2.weights.h5", 2, ("dense_1", "dense_2"))
    with kg.average([first, again]) as mean:
        assert mean[KEYS[0]].max() == 1.5
    named = _file(tmp_path / "3.weights.h5", 1, ("left", "right"))
    crossed = _file(tmp_path / "4.weights.h5", 1, ("right", "left"))
    with pytest.raises(
        CheckpointError, match=r"at layers/dense in the first checkpoint is at layers/dense_1"
    ):
        kg.average([named, crossed])


def test_damage_to_one_of_them_is_an_error_that_names_it(tmp_path: Path) -> None:
    first = _file(tmp_path / "1.weights.h5", 1, ("a", "b"))
    other = _file(tmp_path / "2.weights.h5", 2, ("a", "b"))
    kg.record(other)
    data = bytearray(other.read_bytes())
    data[data.find(np.full((3, 3), 2, "float32").tobytes())] ^= 1
    other.write_bytes(data)
    with (
        kg.average([first, other]) as mean,
        pytest.raises(CorruptCheckpointError, match=r"2\.weights\.h5: a/0: its bytes"),
    ):
        mean[KEYS[0]]


@pytest.fixture(scope="module")
def build() -> Callable[[], Any]:
    keras = pytest.importorskip("keras")

    def made() -> Any:
        layers = [keras.Input((3,)), keras.layers.Dense(4, name="body")]
        return keras.Sequential([*layers, keras.layers.Dense(2, name="head")], name="net")

    return made


@pytest.mark.keras
@pytest.mark.parametrize("name", ["{}.keras", "{}.weights.h5", "{}.h5"])
@pytest.mark.parametrize("recorded", [True, False])
def test_load_takes_the_mean(
    build: Callable[[], Any], tmp_path: Path, name: str, recorded: bool
) -> None:
    models = [build(), build()]
    paths = [tmp_path / name.format(i) for i in range(2)]
    for model, path in zip(models, paths, strict=True):
        (model.save_weights if "weights" in name else model.save)(path)
        if recorded:
            kg.record(path, model)
    whole = recorded or "weights" not in name
    with kg.average(paths) as mean:
        assert len(mean) == 4
        loaded = [kg.load(mean, build()), *([kg.load(mean)] if whole else [])]
    for model in loaded:
        for ours, *theirs in zip(model.weights, *(m.weights for m in models), strict=True):
            sums = sum(w.numpy().astype("float64") for w in theirs)
            assert ours.numpy().tobytes() == (sums / 2).astype("float32").tobytes()


@pytest.mark.keras
def test_a_mean_of_a_mean_and_what_read_gave(build: Callable[[], Any], tmp_path: Path) -> None:
    model = build()
    with kg.patched():
        model.save(tmp_path / "m.keras")
    with kg.read(tmp_path / "m.keras") as arrays, kg.average([arrays, arrays]) as mean:
        assert kg.compare(mean, tmp_path / "m.keras") == ()
        with kg.average([mean, tmp_path / "m.keras"]) as again:
            assert kg.compare(arrays, again) == ()
        assert arrays["head/bias"].shape == (2,)
        doubled = {path: array * 2 for path, array in arrays.items() if "kernel" in path}
    kinds = {(c.kind, c.name, c.distance) for c in kg.compare(tmp_path / "m.keras", doubled)}
    kernels = {("values", "body/kernel", 1.0), ("values", "head/kernel", 1.0)}
    biases = {("first only", "body/bias", None), ("first only", "head/bias", None)}
    assert kinds == kernels | biases
