"""Bytecode that CPython 2.7 and 3.6 to 3.13 wrote, read as source."""

from __future__ import annotations

import base64
import codecs
import json
import lzma
import marshal
from pathlib import Path
from typing import Any

import pytest

from kerasguard.bytecode.expressions import NotUnderstoodError
from kerasguard.bytecode.functions import is_code, read

PYTHONS = [
    "2.7.18",
    "3.6.15",
    "3.7.16",
    "3.8.18",
    "3.9.18",
    "3.10.13",
    "3.11.7",
    "3.12.1",
    "3.13.0",
]
# In the order of `golden/lambdas/write_bytecode.py`; several where compilers simplify differently.
SOURCES: tuple[Any, ...] = (
    "lambda x: x",
    "lambda x: x / 127.5 - 1.0",
    "lambda x: x[:, 1:3, ..., ::-1]",
    "lambda x: K.mean(x, axis=[1, 2], keepdims=True)",
    "lambda x: x * n  # with n = 3",
    "lambda x, a=2, b='q': K.f(x, a, name=b)",
    "lambda x: (x[0] - x[1]) ** 2",
    "lambda x: x[1:]",
    "lambda x: x[:, None]",
    "def loc(x): return x * 2 / (x * 2 + x)",
    "def inner(x, a=2): return (lambda y, k=3: y * k + n)(x) + a  # with n = 3",
    "def imp(x): return tensorflow.nn.relu(keras.backend.abs(x))",
    "def ternary(x, flag=True): return x * 2 if flag else x + 1",
    (
        "def ifs(x, mode='a'): "
        "return x if mode == 'a' else (x + 1) * 2 if mode == 'b' else (x + 2) * 2"
    ),
    "def noneif(x, a=None): return x * 3 if a is None else x * a",
    "def capt(x): return (lambda z: z * y)(x)",
    "def unp(v): return v[0] - v[1]",
    "def aug(x): return (x + 1) * 2",
    "lambda x: tf.image.resize(x, (2, 3))",
    "lambda x: [x, x, 1]",
    {
        f"lambda x: {source}  # with n = 3, s = [1, 2]"
        for source in (
            "(-x if n < 5 else ~x if s else -x) if n > 2 else ~x if s else -x",
            "(-x if n < 5 else -x if not s else ~x) if n > 2 else -x if not s else ~x",
        )
    },
    "lambda x: n if x else x  # with n = 3",
    "lambda x: tf.reshape(x, [-1, tf.shape(x)[1], n])  # with n = 3",
    "lambda x: n < 5 if 1 < n else 1 < n  # with n = 3",
    "lambda x: x.get_shape().as_list()[1]",
    "lambda x: K.concatenate([x, x, x], axis=-1)",
    "lambda x: x is None",
    {"lambda x: 3 in (1, n)  # with n = 3", "lambda x: 3 in [1, n]  # with n = 3"},
    "lambda x: (1, 2, 3)",
    "lambda x: x[-1] % 2 // 3",
    "lambda x: -1 * x",
    "lambda x: K.f(x, a=1, b=2)",
    "lambda x: x.f(x, a=1)",
    NotUnderstoodError,
    "lambda x: print(x) if print(x) else x",
    "lambda x: x[300000]",
    "lambda x: x * 10000000000",
)


@pytest.fixture(scope="module")
def written(repository: Path) -> dict[str, Any]:
    place = repository / "tests" / "golden" / "lambdas" / "bytecode.json.xz"
    found: dict[str, Any] = json.loads(lzma.decompress(place.read_bytes()))
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_the_bytecode_of_every_python_reads_as_the_source_that_it_was(
    written: dict[str, Any], python: str
) -> None:
    assert len(written[python]) == len(SOURCES)
    for stored, expected in zip(written[python], SOURCES, strict=True):
        if expected is NotUnderstoodError:
            with pytest.raises(NotUnderstoodError, match="a loop"):
                read(stored)
        else:
            wanted = expected if isinstance(expected, set) else {expected}
            assert read(stored).source in wanted


@pytest.mark.parametrize("python", PYTHONS)
def test_a_function_that_is_cut_off_anywhere_is_refused(
    written: dict[str, Any], python: str
) -> None:
    code, *rest = written[python][3]
    data = base64.b64decode(code)
    for end in range(len(data)):
        with pytest.raises(NotUnderstoodError):
            read([base64.b64encode(data[:end]).decode(), *rest])


def stored(function: Any, encode: str = "base64") -> list[Any]:
    data = marshal.dumps(function.__code__)
    code = codecs.encode(data, "base64").decode() if encode == "base64" else data.decode(encode)
    return [code, None, None]


def test_every_form_in_which_keras_wrote_functions_is_read() -> None:
    parts = stored(lambda x: x + 1)
    keras3 = dict(zip(("code", "defaults", "closure"), parts, strict=True))
    forms = [
        parts,
        tuple(parts),
        {"class_name": "__tuple__", "items": parts},
        {"class_name": "__lambda__", "config": keras3},
        stored(lambda x: x + 1, "raw_unicode_escape"),
    ]
    for form in forms:
        assert is_code(form)
        assert read(form).source == "lambda x: x + 1"
    assert not is_code("relu")
    assert not is_code({"class_name": "function", "config": "relu"})


def on_windows(function: Any) -> list[Any]:
    """As Keras writes it there: every backslash is a slash."""
    code = function.__code__.replace(co_filename="C:\\model.py")
    data = marshal.dumps(code).replace(b"\\", b"/")
    return [base64.b64encode(data).decode(), None, None]


def test_a_byte_that_windows_may_have_changed_is_not_read_as_what_it_is() -> None:
    assert read(on_windows(lambda x: x[:, 91])).source == "lambda x: x[:, 91]"
    for changed in (lambda x: x[:, 92], lambda x: x[:, 47]):
        with pytest.raises(NotUnderstoodError, match="byte 47"):
            read(on_windows(changed))
    assert read(stored(lambda x: x[:, 47])).source == "lambda x: x[:, 47]"


def test_a_star_in_a_call_of_python_2_is_read() -> None:
    code = (  # K.f(1, *x)
        "YwEAAAABAAAAAwAAAEMAAABzEAAAAHQAAGoBAGQBAHwAAIwBAFMoAgAAAE5pAQAAACgCAAAAdAEAAABLdAEAAABm"
        "KAEAAAB0AQAAAHgoAAAAACgAAAAAcwIAAAAvZnQIAAAAPGxhbWJkYT4BAAAAdAAAAAA="
    )
    assert read([code, None, None]).source == "lambda x: K.f(1, *x)"


def test_a_value_that_inner_functions_share_is_what_it_was_when_they_were_made() -> None:
    def changed(x: Any) -> Any:
        by = 2
        scaled: Any = lambda y: y * by  # noqa: E731
        by = 3
        return scaled(x)

    with pytest.raises(NotUnderstoodError, match="the variable by"):
        read(stored(changed))


def test_a_call_whose_result_is_dropped_is_a_side_effect() -> None:
    def prints(x: Any) -> Any:
        print(x)
        return x

    with pytest.raises(NotUnderstoodError, match="side effect"):
        read(stored(prints))


def test_defaults_and_closures_must_be_those_of_the_function() -> None:
    code = stored(lambda x: x)[0]
    for defaults, closure in (([1, 2], None), (None, [1]), ({"a": 1}, None), ([{}], None)):
        with pytest.raises(NotUnderstoodError):
            read([code, defaults, closure])
