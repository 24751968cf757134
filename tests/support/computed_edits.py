"""Pairs of programs that differ in what the model computes, and fit each other's weights.

Each `Edit` has the program that saved and the program that loads. All weights of one fit the other:
nothing but a record of what the graph calls with, of policies, and of the places of layers and
variables can tell them apart. `EDITS` are made from templates, so that each kind comes with several
operations, layers and arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

__all__ = ["EDITS", "INPUT", "Edit"]

L, ops = keras.layers, keras.ops
INPUT = (5, 8)
Graph = Callable[[Any], Any]
Program = Callable[[], Any]


@dataclass(frozen=True)
class Edit:
    """One edit.

    Args:
        name: what was edited.
        saved: makes the model that is saved.
        loaded: makes the model that is loaded into.
        repaired: whether the right weights can be proven, so that a load must repair them.
        whole: whether Keras can save the model with its config.
    """

    name: str
    saved: Program
    loaded: Program
    repaired: bool = False
    whole: bool = True


def graph(f: Graph) -> Program:
    """A functional model of one input."""

    def program() -> Any:
        x = keras.Input(INPUT, name="x")
        return keras.Model(x, f(x))

    return program


def _graphs() -> Iterator[tuple[str, Graph, Graph]]:
    yield from _operators()
    yield from _indices()
    yield from _keywords()
    yield from _flags()
    yield from _states()
    yield from _nested()


def _operators() -> Iterator[tuple[str, Graph, Graph]]:
    """An operation gets another constant, or its operands change sides."""
    constants: dict[str, Callable[[Any, Any], Any]] = {
        "multiply": lambda h, c: h * c,
        "add": lambda h, c: h + c,
        "subtract": lambda h, c: h - c,
        "subtract from": lambda h, c: c - h,
        "divide": lambda h, c: h / c,
        "divide by": lambda h, c: c / (h + 9.0),
        "power": lambda h, c: ops.absolute(h) ** c,
        "maximum": lambda h, c: ops.maximum(h, c / 9),
        "minimum": lambda h, c: ops.minimum(h, c / 9),
        "modulo": lambda h, c: ops.mod(h, c / 5),
        "floor divide": lambda h, c: h * 9 // c,
        "greater": lambda h, c: ops.cast(h > c / 9, "float32"),
        "where": lambda h, c: ops.where(h > 0, h, c),
        "clip": lambda h, c: ops.clip(h, -c / 9, c / 9),
        "array": lambda h, c: h * np.full(4, c, "float32"),
        "long array": lambda h, c: h + np.arange(20, dtype="float32").reshape(5, 4) * c,
        "nested": lambda h, c: (h * 2.0 + c) * 2.0,
    }
    for name, apply in constants.items():
        yield (
            f"constant of {name}",
            partial(lambda apply, x: apply(L.Dense(4)(x), 2.5), apply),
            partial(lambda apply, x: apply(L.Dense(4)(x), 3.5), apply),
        )
    sides: dict[str, Callable[[Any, Any], Any]] = {
        "subtract": lambda a, b: a - b,
        "divide": lambda a, b: a / (b + 9.0),
        "matmul": lambda a, b: ops.matmul(a, ops.transpose(b, (0, 2, 1))),
        "concatenate": lambda a, b: ops.concatenate([a, b], -1),
        "stack": lambda a, b: ops.stack([a, b], 1),
    }
    for name, both in sides.items():
        yield f"sides of {name}", _two(both), _two(partial(lambda both, a, b: both(b, a), both))
    for name in ("multiply", "add"):
        yield (
            f"{name} of an operand to itself",
            _two(partial(lambda name, a, b: getattr(ops, name)(a, b), name)),
            _two(partial(lambda name, a, b: getattr(ops, name)(a, a) + 0.0 * b, name)),
        )


def _two(f: Callable[[Any, Any], Any]) -> Graph:
    return lambda x: f(L.Dense(4, name="one")(x), L.Dense(4, name="two")(x))


def _indices() -> Iterator[tuple[str, Graph, Graph]]:
    """Slices and positions."""
    keys: list[tuple[Any, Any]] = [
        (np.s_[:, 0], np.s_[:, -1]),
        (np.s_[:, 1:3], np.s_[:, 2:4]),
        (np.s_[:, ::2], np.s_[:, 1::2][:2]),
        (np.s_[:, ::-1], np.s_[:, :]),
        (np.s_[..., 0], np.s_[..., 1]),
        (np.s_[..., :2], np.s_[..., 2:]),
        (np.s_[:, 2, 1:], np.s_[:, 3, 1:]),
        (np.s_[:, None], np.s_[:, :, None]),
    ]
    for before, after in keys:
        yield (
            f"index {before} -> {after}",
            partial(lambda key, x: L.Dense(4)(x)[key], before),
            partial(lambda key, x: L.Dense(4)(x)[key], after),
        )
    yield (
        "take",
        lambda x: ops.take(L.Dense(4)(x), [0, 1], axis=1),
        lambda x: ops.take(L.Dense(4)(x), [1, 0], axis=1),
    )
    yield (
        "part of a split",
        lambda x: ops.split(L.Dense(4)(x), 2, axis=-1)[0],
        lambda x: ops.split(L.Dense(4)(x), 2, axis=-1)[1],
    )
    yield (
        "part of an unstack",
        lambda x: ops.unstack(L.Dense(4)(x), axis=1)[0],
        lambda x: ops.unstack(L.Dense(4)(x), axis=1)[3],
    )


def _keywords() -> Iterator[tuple[str, Graph, Graph]]:
    """Keyword arguments of operations."""
    pairs: dict[str, tuple[Graph, Graph]] = {
        "sum axis": (lambda h: ops.sum(h, axis=1), lambda h: ops.sum(h, axis=2)),
        "mean keepdims": (
            lambda h: ops.mean(h, axis=1, keepdims=True),
            lambda h: ops.mean(h, axis=2, keepdims=True),
        ),
        "softmax axis": (lambda h: ops.softmax(h, axis=-1), lambda h: ops.softmax(h, axis=1)),
        "transpose axes": (
            lambda h: ops.transpose(h, (0, 2, 1)),
            lambda h: ops.transpose(h, (0, 1, 2)),
        ),
        "roll shift": (lambda h: ops.roll(h, 1, axis=1), lambda h: ops.roll(h, 2, axis=1)),
        "flip axis": (lambda h: ops.flip(h, axis=1), lambda h: ops.flip(h, axis=2)),
        "reshape": (
            lambda h: ops.reshape(h, (-1, 4, 5)),
            lambda h: ops.reshape(h, (-1, 10, 2)),
        ),
        "pad": (
            lambda h: ops.pad(h, ((0, 0), (1, 0), (0, 0))),
            lambda h: ops.pad(h, ((0, 0), (0, 1), (0, 0))),
        ),
        "pad value": (
            lambda h: ops.pad(h, ((0, 0), (1, 0), (0, 0)), constant_values=1.0),
            lambda h: ops.pad(h, ((0, 0), (1, 0), (0, 0)), constant_values=2.0),
        ),
        "leaky relu slope": (
            lambda h: ops.leaky_relu(h, negative_slope=0.1),
            lambda h: ops.leaky_relu(h, negative_slope=0.3),
        ),
        "gelu approximate": (
            lambda h: ops.gelu(h, approximate=True),
            lambda h: ops.gelu(h * 3.0, approximate=False),
        ),
        "norm order": (
            lambda h: ops.norm(h, ord=1, axis=-1),
            lambda h: ops.norm(h, ord=2, axis=-1),
        ),
        "einsum": (
            lambda h: ops.einsum("bij,bij->bj", h, h),
            lambda h: ops.einsum("bij,bij->bi", h, h),
        ),
        "one function for another": (lambda h: ops.sin(h), lambda h: ops.cos(h)),
        "top k": (lambda h: ops.top_k(h, 2)[0], lambda h: ops.top_k(h, 3)[0]),
        "values or indices": (
            lambda h: ops.cast(ops.top_k(h, 2)[0], "float32"),
            lambda h: ops.cast(ops.top_k(h, 2)[1], "float32"),
        ),
        "cast": (lambda h: ops.cast(h * 9, "int32"), lambda h: ops.cast(h * 9, "float16")),
        "expand": (lambda h: ops.expand_dims(h, 1), lambda h: ops.expand_dims(h, 2)),
        "repeat": (lambda h: ops.repeat(h, 2, axis=1), lambda h: ops.tile(h, (1, 2, 1))),
        "triu": (lambda h: ops.triu(h, 1), lambda h: ops.triu(h, 0)),
        "normalise": (
            lambda h: ops.normalize(h, axis=-1),
            lambda h: ops.normalize(h, axis=1),
        ),
        "cumsum": (lambda h: ops.cumsum(h, axis=1), lambda h: ops.cumsum(h, axis=2)),
        "argmax": (lambda h: ops.argmax(h, axis=1), lambda h: ops.argmax(h, axis=2)),
        "logsumexp": (
            lambda h: ops.logsumexp(h, axis=1),
            lambda h: ops.logsumexp(h, axis=2),
        ),
        "layer without weights": (
            lambda h: L.LeakyReLU(negative_slope=0.1)(h),
            lambda h: L.LeakyReLU(negative_slope=0.4)(h),
        ),
        "functional activation": (
            lambda h: keras.activations.elu(h, alpha=1.0),
            lambda h: keras.activations.elu(h, alpha=2.0),
        ),
    }
    for name, (before, after) in pairs.items():
        yield name, _behind(before), _behind(after)


def _behind(f: Graph) -> Graph:
    return lambda x: f(L.Dense(4)(x))


def _flags() -> Iterator[tuple[str, Graph, Graph]]:
    """What a layer is called with besides tensors, and masks."""

    def attend(**arguments: Any) -> Graph:
        return lambda x: L.MultiHeadAttention(2, 4)(x, x, **arguments)

    triangle = np.tril(np.ones((1, 5, 5), bool))
    yield "causal mask dropped", attend(use_causal_mask=True), attend()
    yield "causal mask added", attend(), attend(use_causal_mask=True)
    flipped = triangle[:, ::-1]
    yield "attention mask", attend(attention_mask=triangle), attend(attention_mask=flipped)
    yield "attention mask dropped", attend(attention_mask=triangle), attend()
    yield (
        "key and value change places",
        lambda x: L.MultiHeadAttention(2, 4)(x, value=x[:, :3], key=x[:, 2:]),
        lambda x: L.MultiHeadAttention(2, 4)(x, value=x[:, 2:], key=x[:, :3]),
    )
    yield (
        "key and value, by place",
        _two(lambda a, b: L.Attention()([a, b, a])),
        _two(lambda a, b: L.Attention()([a, a, b])),
    )
    yield (
        "dot product attention's causal mask",
        _two(lambda a, b: L.Attention()([a, b], use_causal_mask=True)),
        _two(lambda a, b: L.Attention()([a, b])),
    )
    for name, kind in (
        ("batch statistics", L.BatchNormalization),
        ("dropout", lambda: L.Dropout(0.5, seed=1)),
        ("noise", lambda: L.GaussianNoise(0.5, seed=1)),
    ):
        yield (
            f"training=True on {name} dropped",
            partial(lambda kind, x: kind()(L.Dense(4)(x), training=True), kind),
            partial(lambda kind, x: kind()(L.Dense(4)(x)), kind),
        )
    yield (
        "training=False on batch statistics dropped",
        lambda x: L.BatchNormalization()(L.Dense(4)(x), training=False),
        lambda x: L.BatchNormalization()(L.Dense(4)(x), training=True),
    )
    yield (
        "mask of a recurrent layer",
        lambda x: L.LSTM(4)(x, mask=x[:, :, 0] > 0),
        lambda x: L.LSTM(4)(x, mask=x[:, :, 1] > 0),
    )
    yield (
        "mask of a recurrent layer dropped",
        lambda x: L.LSTM(4)(x, mask=x[:, :, 0] > 0),
        lambda x: L.LSTM(4)(x),
    )
    yield (
        "masking value",
        lambda x: L.GRU(4)(L.Masking(0.0)(x)),
        lambda x: L.GRU(4)(L.Masking(9.0)(x)),
    )
    yield (
        "operations in another order",
        _behind(lambda h: ops.tanh(h) * 2.0 + 1.0),
        _behind(lambda h: (ops.tanh(h) + 1.0) * 2.0),
    )


def _states() -> Iterator[tuple[str, Graph, Graph]]:
    """Which of a layer's outputs is used, and as which state."""
    for one, other in ((1, 2), (2, 1)):
        yield (
            f"state {one} of an LSTM -> {other}",
            partial(lambda i, x: L.Dense(2)(L.LSTM(4, return_state=True)(x)[i]), one),
            partial(lambda i, x: L.Dense(2)(L.LSTM(4, return_state=True)(x)[i]), other),
        )
    yield (
        "output of a GRU -> its state, of a sequence",
        lambda x: L.GRU(4, return_state=True, return_sequences=True)(x)[0][:, 0],
        lambda x: L.GRU(4, return_state=True, return_sequences=True)(x)[1],
    )
    yield (
        "directions of a Bidirectional",
        lambda x: L.Dense(2)(L.Bidirectional(L.GRU(4, return_state=True))(x)[1]),
        lambda x: L.Dense(2)(L.Bidirectional(L.GRU(4, return_state=True))(x)[2]),
    )

    def decode(wire: Callable[[Any, Any], list[Any]]) -> Graph:
        def f(x: Any) -> Any:
            _, h, c = L.LSTM(4, return_state=True, name="encode")(x)
            return L.LSTM(4, name="decode")(x, initial_state=wire(h, c))

        return f

    yield "initial states change places", decode(lambda h, c: [h, c]), decode(lambda h, c: [c, h])
    yield "one initial state twice", decode(lambda h, c: [h, c]), decode(lambda h, c: [h, h])
    yield (
        "attention's scores for its output",
        lambda x: L.MultiHeadAttention(2, 4)(x, x, return_attention_scores=True)[0][:, :, :5],
        lambda x: L.MultiHeadAttention(5, 4)(x, x, return_attention_scores=True)[1][:, 0],
    )


def _nested() -> Iterator[tuple[str, Graph, Graph]]:
    """The same in a model inside the model, in wrappers, and in shared layers."""

    def inner(f: Graph, shape: tuple[int, ...] = INPUT) -> Any:
        x = keras.Input(shape)
        return keras.Model(x, f(x))

    bodies: dict[str, tuple[Graph, Graph]] = {
        "constant": (lambda x: L.Dense(4)(x) * 2.5, lambda x: L.Dense(4)(x) * 3.5),
        "index": (lambda x: L.Dense(4)(x)[..., 0], lambda x: L.Dense(4)(x)[..., 1]),
        "flag": (
            lambda x: L.BatchNormalization()(L.Dense(4)(x), training=True),
            lambda x: L.BatchNormalization()(L.Dense(4)(x)),
        ),
        "sides": (_two(lambda a, b: a - b), _two(lambda a, b: b - a)),
    }
    for name, (before, after) in bodies.items():
        yield (
            f"{name} in a model inside",
            partial(lambda f, x: inner(f)(x), before),
            partial(lambda f, x: inner(f)(x), after),
        )
        yield (
            f"{name} in a model inside a TimeDistributed",
            partial(lambda f, x: L.TimeDistributed(inner(f, (8,)))(x), before),
            partial(lambda f, x: L.TimeDistributed(inner(f, (8,)))(x), after),
        )
        yield (
            f"{name} in a model inside a Sequential",
            partial(lambda f, x: keras.Sequential([keras.Input(INPUT), inner(f)])(x), before),
            partial(lambda f, x: keras.Sequential([keras.Input(INPUT), inner(f)])(x), after),
        )

    def shared(wire: Callable[[Any, Any], Any]) -> Graph:
        def f(x: Any) -> Any:
            return wire(L.BatchNormalization(name="norm"), L.Dense(4, name="dense")(x))

        return f

    yield (
        "which call of a shared layer trains",
        shared(lambda n, h: ops.concatenate([n(h, training=True), n(h)])),
        shared(lambda n, h: ops.concatenate([n(h), n(h, training=True)])),
    )
    yield (
        "which call of a shared layer is used",
        shared(lambda n, h: (lambda a, b: a - 0.5 * n(b))(n(h), n(h + 1.0))),
        shared(lambda n, h: (lambda a, b: b - 0.5 * n(a))(n(h), n(h + 1.0))),
    )
    yield (
        "outputs of a model inside change places",
        lambda x: (lambda a: a[0] - a[1])(inner(lambda y: [L.Dense(4)(y), L.Dense(4)(y)])(x)),
        lambda x: (lambda a: a[1] - a[0])(inner(lambda y: [L.Dense(4)(y), L.Dense(4)(y)])(x)),
    )


def _policies() -> Iterator[Edit]:
    def with_policy(policy: str | None, make: Callable[[str | None], Any]) -> Program:
        return graph(lambda x: make(policy)(x))

    makers: dict[str, Callable[[str | None], Any]] = {
        "dense": lambda p: L.Dense(4, dtype=p),
        "attention": lambda p: L.LSTM(4, dtype=p),
        "without weights": lambda p: keras.Sequential([L.Dense(4), L.Softmax(dtype=p)]),
    }
    for name, make in makers.items():
        for before, after in (("float32", "mixed_bfloat16"), ("mixed_float16", "float32")):
            yield Edit(
                f"policy of {name}: {before} -> {after}",
                with_policy(before, make),
                with_policy(after, make),
            )


class Blocks(keras.Model):  # type: ignore[misc]
    """Layers made first, then held in a list in some order."""

    def __init__(self, order: tuple[int, ...], *, named: bool) -> None:
        super().__init__()
        made = [L.Dense(8, "tanh", name=f"part_{i}" if named else None) for i in range(3)]
        self.parts = [made[i] for i in order]

    def call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x


class Aliased(keras.Model):  # type: ignore[misc]
    """Layers under attributes, and in a list, a dict or a tuple besides."""

    def __init__(self, order: tuple[str, str], kind: str) -> None:
        super().__init__()
        self.first = L.Dense(8, "tanh")
        self.second = L.Dense(8, "tanh")
        made = [getattr(self, name) for name in order]
        self.run = {"list": made, "tuple": tuple(made), "dict": dict(zip("ab", made, strict=True)),
                    "nested": [[made[0]], [made[1]]]}[kind]  # fmt: skip

    def call(self, x: Any) -> Any:
        run = list(self.run.values()) if isinstance(self.run, dict) else list(self.run)
        for part in run:
            x = (part[0] if isinstance(part, (list, tuple)) else part)(x)
        return x


class Swapped(keras.Model):  # type: ignore[misc]
    """Layers with names, under attributes."""

    def __init__(self, names: tuple[str, str]) -> None:
        super().__init__()
        self.left = L.Dense(8, name=names[0])
        self.right = L.Dense(8, name=names[1])

    def call(self, x: Any) -> Any:
        return self.left(x) - 2.0 * self.right(x)


class Weights(keras.layers.Layer):  # type: ignore[misc]
    """Variables made in some order, under attributes, in a list or in a dict."""

    def __init__(self, order: Any, kind: str = "", names: str = "", **rest: Any) -> None:
        super().__init__(**rest)
        self.order, self.kind, self.names = order, kind, names

    def build(self, shape: Any) -> None:
        made = {
            name: self.add_weight(
                shape=(8, 8), initializer="glorot_uniform", name=f"w_{name}" if self.names else None
            )
            for name in self.order
        }
        if self.kind == "list":
            self.ws: Any = [made["a"], made["b"]]
        elif self.kind == "dict":
            self.ws = {"a": made["a"], "b": made["b"]}
        else:
            self.a, self.b = made["a"], made["b"]

    def call(self, x: Any) -> Any:
        a, b = (
            (self.a, self.b) if not self.kind
            else self.ws if self.kind == "list" else (self.ws["a"], self.ws["b"])
        )  # fmt: skip
        return ops.tanh(ops.matmul(x, a)) - ops.matmul(x, b)

    def get_config(self) -> dict[str, Any]:
        return super().get_config()  # type: ignore[no-any-return]


def double(x: Any) -> Any:
    """A function that a layer is given."""
    return x * 2.0


def triple(x: Any) -> Any:
    """Another."""
    return x * 3.0


class Applied(keras.layers.Layer):  # type: ignore[misc]
    """A layer that is given a function, an array or a number, and has no config of its own."""

    def __init__(self, function: Any, scale: Any = 1.0, **rest: Any) -> None:
        super().__init__(**rest)
        self.function, self._scale = function, scale
        self.dense = L.Dense(8)

    def call(self, x: Any) -> Any:
        return self.function(self.dense(x)) * self._scale


class Forgetful(Applied):
    """Its config leaves out what it was given."""

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


class Graphed(keras.Model):  # type: ignore[misc]
    """A functional model whose class spells no layers out in its config."""

    def __init__(self, scale: float, index: int, *, swap: bool = False) -> None:
        x = keras.Input(INPUT)
        a, b = L.Dense(4)(x) * scale, L.Dense(4)(x)[:, index : index + 1]
        super().__init__(x, b - a if swap else a - b)

    def get_config(self) -> dict[str, Any]:
        return {}


class Scaled(keras.Model):  # type: ignore[misc]
    """A model that is given a number and a function."""

    def __init__(self, scale: float, function: Any, **rest: Any) -> None:
        super().__init__(**rest)
        self.scale, self.function = scale, function
        self.dense = L.Dense(8)

    def call(self, x: Any) -> Any:
        return self.function(self.dense(x)) * self.scale


class Holder(keras.Model):  # type: ignore[misc]
    """A functional model under an attribute."""

    def __init__(self, f: Graph) -> None:
        super().__init__()
        x = keras.Input(INPUT)
        self.net = keras.Model(x, f(x))

    def call(self, x: Any) -> Any:
        return self.net(x)


def called(make: Program) -> Program:
    """A class of the user's own, built by a call."""

    def program() -> Any:
        model = make()
        model(np.zeros((1, *INPUT), "float32"))
        return model

    return program


def _objects() -> Iterator[Edit]:
    for named in (False, True):
        yield Edit(
            f"order of a list of layers, {'' if named else 'un'}named",
            called(partial(Blocks, (0, 1, 2), named=named)),
            called(partial(Blocks, (1, 0, 2), named=named)),
            repaired=not named,
            whole=False,
        )
    for kind in ("list", "tuple", "dict", "nested"):
        yield Edit(
            f"order of a {kind} of layers that attributes hold",
            called(partial(Aliased, ("first", "second"), kind)),
            called(partial(Aliased, ("second", "first"), kind)),
            whole=False,
        )
    yield Edit(
        "names of two layers under attributes",
        called(lambda: Swapped(("one", "two"))),
        called(lambda: Swapped(("two", "one"))),
        whole=False,
    )
    for kind in ("", "list", "dict"):
        for names in ("", "named"):
            yield Edit(
                f"order of {names or 'unnamed'} variables under {kind or 'attributes'}",
                graph(partial(lambda k, n, x: Weights(("a", "b"), k, n)(x), kind, names)),
                graph(partial(lambda k, n, x: Weights(("b", "a"), k, n)(x), kind, names)),
                repaired=True,
            )
    arguments: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
        "a function": ((double,), (triple,)),
        "a function of Keras": ((keras.activations.relu,), (keras.activations.tanh,)),
        "a function for a lambda": ((double,), (lambda x: x * 2.5,)),
        "a number besides a function": ((double, 2.0), (double, 3.0)),
        "an array": ((double, np.float32(2.0)), (double, np.float32(3.0))),
    }
    for name, (before, after) in arguments.items():
        for cls in (Applied, Forgetful):
            yield Edit(
                f"{name} that {cls.__name__} is given",
                graph(partial(lambda cls, given, x: cls(*given)(x), cls, before)),
                graph(partial(lambda cls, given, x: cls(*given)(x), cls, after)),
                whole=cls is Forgetful,
            )
    yield Edit(
        "an activation that is a function for a lambda",
        graph(lambda x: L.Dense(4, activation=double)(x)),
        graph(lambda x: L.Dense(4, activation=lambda h: h * 3.0)(x)),
    )
    yield Edit("constant in a class with a graph", lambda: Graphed(2.5, 0), lambda: Graphed(3.5, 0))
    yield Edit("index in a class with a graph", lambda: Graphed(2.5, 0), lambda: Graphed(2.5, 3))
    yield Edit(
        "sides in a class with a graph",
        lambda: Graphed(2.5, 0),
        lambda: Graphed(2.5, 0, swap=True),
    )
    models: dict[str, Callable[[], Any]] = {
        "number": lambda: Scaled(3.0, double),
        "function": lambda: Scaled(2.0, triple),
        "policy": lambda: Scaled(2.0, double, dtype="mixed_bfloat16"),
    }
    for name, changed in models.items():
        start = called(lambda: Scaled(2.0, double))
        yield Edit(f"{name} that the model is given", start, called(changed), whole=False)
    bodies: dict[str, tuple[Graph, Graph]] = {
        "constant": (lambda x: L.Dense(4)(x) * 2.5, lambda x: L.Dense(4)(x) * 3.5),
        "index": (lambda x: L.Dense(4)(x)[..., 0], lambda x: L.Dense(4)(x)[..., 1]),
        "function": (lambda x: ops.sin(L.Dense(4)(x)), lambda x: ops.cos(L.Dense(4)(x))),
        "sides": (_two(lambda a, b: a - b), _two(lambda a, b: b - a)),
    }
    for name, (first, second) in bodies.items():
        yield Edit(
            f"{name} in a graph under an attribute",
            called(partial(Holder, first)),
            called(partial(Holder, second)),
            whole=False,
        )


class Chain(keras.Model):  # type: ignore[misc]
    """Layers in a list, a dict or an attribute, called one after another."""

    def __init__(self, *parts: Any, kind: str = "list") -> None:
        super().__init__()
        named = {f"part_{i}": part for i, part in enumerate(parts)}
        self.parts = {"list": list(parts), "dict": named}.get(kind, parts[0])

    def call(self, x: Any) -> Any:
        run = self.parts.values() if isinstance(self.parts, dict) else self.parts
        for part in run if isinstance(run, (list, tuple)) or not callable(run) else [run]:
            x = part(x)
        return x


class Factor:
    """An object that stands for a function."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: Any) -> Any:
        return x * self.factor


@dataclass(frozen=True)
class Settings:
    """What a layer is given as one value."""

    factor: float


class Set(keras.layers.Layer):  # type: ignore[misc]
    """A layer that is given settings."""

    def __init__(self, settings: Any, **rest: Any) -> None:
        super().__init__(**rest)
        self.settings, self.dense = settings, L.Dense(4)

    def call(self, x: Any) -> Any:
        s = self.settings
        return self.dense(x) * (float(len(s)) if isinstance(s, range) else s.factor)


def _held() -> Iterator[Edit]:
    """What a class of the user's own holds besides weights, and gives to its layers."""
    dense, relu = partial(L.Dense, 8), L.ReLU
    chains: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "moved": (
            lambda: Chain(dense(), relu(), dense()),
            lambda: Chain(dense(), dense(), relu()),
        ),
        "replaced": (
            lambda: Chain(dense(), L.Activation("tanh"), dense()),
            lambda: Chain(dense(), relu(), dense()),
        ),
        "changed": (
            lambda: Chain(dense(), L.Activation("tanh"), dense()),
            lambda: Chain(dense(), L.Activation("elu"), dense()),
        ),
        "dropped": (lambda: Chain(dense(), relu(), dense()), lambda: Chain(dense(), dense())),
        "added behind the last": (lambda: Chain(dense()), lambda: Chain(dense(), L.Rescaling(2))),
        "changed in a dict": (
            lambda: Chain(dense(), L.Activation("tanh"), kind="dict"),
            lambda: Chain(dense(), L.Activation("elu"), kind="dict"),
        ),
    }
    for name, (before, after) in chains.items():
        yield Edit(
            f"layer without weights {name}, held by a class of one's own",
            called(before), called(after), whole=False,
        )  # fmt: skip
    parts: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "direction of a recurrent layer": (
            lambda: L.LSTM(4),
            lambda: L.LSTM(4, go_backwards=True),
        ),
        "activation of a recurrent layer": (
            lambda: L.GRU(4),
            lambda: L.GRU(4, activation="relu"),
        ),
        "merging of directions": (
            lambda: L.Bidirectional(L.GRU(4), merge_mode="sum"),
            lambda: L.Bidirectional(L.GRU(4), merge_mode="mul"),
        ),
    }
    for name, (one, other) in parts.items():
        for kind in ("list", "attribute"):
            yield Edit(
                f"{name}, held by a class of one's own in a {kind}",
                called(partial(lambda make, kind: Chain(make(), kind=kind), one, kind)),
                called(partial(lambda make, kind: Chain(make(), kind=kind), other, kind)),
                whole=False,
            )
    functions: dict[str, tuple[Any, Any]] = {
        "partial function": (
            partial(ops.leaky_relu, negative_slope=0.1),
            partial(ops.leaky_relu, negative_slope=0.4),
        ),
        "object that is called": (Factor(2.0), Factor(3.0)),
        "layer": (L.LeakyReLU(0.1), L.LeakyReLU(0.4)),
    }
    for name, (given, changed) in functions.items():
        yield Edit(
            f"{name} that a layer is given",
            graph(partial(lambda f, x: Applied(f)(x), given)),
            graph(partial(lambda f, x: Applied(f)(x), changed)),
            whole=False,
        )
    for name, (given, changed) in {
        "a dataclass": (Settings(2.0), Settings(3.0)),
        "a range": (range(2), range(3)),
    }.items():
        yield Edit(
            f"{name} that a layer is given",
            graph(partial(lambda s, x: Set(s)(x), given)),
            graph(partial(lambda s, x: Set(s)(x), changed)),
            whole=False,
        )
    yield Edit(
        "activation that is a partial function",
        graph(lambda x: L.Dense(4, activation=partial(keras.activations.elu, alpha=0.1))(x)),
        graph(lambda x: L.Dense(4, activation=partial(keras.activations.elu, alpha=0.9))(x)),
        whole=False,
    )


def _in_training() -> Iterator[Edit]:
    """Layers that let everything pass, called as in training."""
    kinds: dict[str, Callable[[float], Any]] = {
        "dropout": lambda rate: L.Dropout(rate, seed=1),
        "dropout of channels": lambda rate: L.SpatialDropout1D(rate, seed=1),
        "noise": lambda rate: L.GaussianNoise(rate, seed=1),
    }
    for name, make in kinds.items():
        yield Edit(
            f"training=True on {name} of another rate",
            graph(partial(lambda make, x: make(0.5)(L.Dense(4)(x), training=True), make)),
            graph(partial(lambda make, x: make(0.2)(L.Dense(4)(x), training=True), make)),
        )

    def inside(rate: float) -> Graph:
        return lambda x: keras.Sequential([L.Dense(4), L.Dropout(rate, seed=1)])(x, training=True)

    yield Edit(
        "training=True on dropout of another rate, in a model inside",
        graph(inside(0.5)),
        graph(inside(0.2)),
    )


def _named_ends() -> Iterator[Edit]:
    """How outputs are called."""

    def program(*names: str) -> Program:
        def make() -> Any:
            x = keras.Input(INPUT)
            made = [L.Dense(4, name="one")(x), L.Dense(4, name="two")(x)]
            return keras.Model(x, dict(zip(names, made, strict=True)))

        return make

    yield Edit("name of an output in a dict", program("a", "b"), program("a", "c"))


def _ends() -> Iterator[Edit]:
    def ends(turn: bool, what: str) -> Program:
        def program() -> Any:
            a, b = keras.Input(INPUT, name="a"), keras.Input(INPUT, name="b")
            one, two = L.Dense(4, name="one")(a), L.Dense(4, name="two")(b)
            step = -1 if turn else 1
            given = [a, b][:: step if what == "inputs" else 1]
            made = [one, two * 2.0][:: step if what == "outputs" else 1]
            return keras.Model(given, made)

        return program

    for what in ("inputs", "outputs"):
        yield Edit(f"{what} in another order", ends(turn=False, what=what), ends(True, what))


def _edits() -> Iterator[Edit]:
    for name, before, after in _graphs():
        yield Edit(name, graph(before), graph(after))
    yield from _policies()
    yield from _objects()
    yield from _held()
    yield from _in_training()
    yield from _ends()
    yield from _named_ends()


EDITS = {edit.name: edit for edit in _edits()}
