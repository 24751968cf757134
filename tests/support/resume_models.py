"""Models in which an optimizer's state is easily lost, for the law of `test_resume_law`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

__all__ = ["FORMATS", "KINDS", "OPTIMIZERS", "X", "Y", "states"]

X = np.random.default_rng(1).normal(size=(8, 6)).astype("float32")
Y = np.random.default_rng(2).normal(size=(8, 3)).astype("float32")

_RATES = keras.optimizers.schedules
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adadelta": lambda: keras.optimizers.Adadelta(0.5),
    "adafactor": lambda: keras.optimizers.Adafactor(0.02),
    "adagrad": lambda: keras.optimizers.Adagrad(0.03),
    "adam": lambda: keras.optimizers.Adam(0.03, beta_1=0.8),
    "adam amsgrad": lambda: keras.optimizers.Adam(0.03, amsgrad=True, clipnorm=1.0),
    "adam accumulating": lambda: keras.optimizers.Adam(0.03, gradient_accumulation_steps=2),
    "adam averaged": lambda: keras.optimizers.Adam(
        0.03, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=2
    ),
    "adam scheduled": lambda: keras.optimizers.Adam(_RATES.ExponentialDecay(0.03, 1, 0.7)),
    "adamw": lambda: keras.optimizers.AdamW(0.03),
    "adamax": lambda: keras.optimizers.Adamax(0.03),
    "ftrl": lambda: keras.optimizers.Ftrl(0.03),
    "lamb": lambda: keras.optimizers.Lamb(0.03),
    "mapped": lambda: keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(
            keras.optimizers.SGD(0.05, momentum=0.9), {".*kernel": keras.optimizers.Adam(0.03)}
        )
    ),
    "lion": lambda: keras.optimizers.Lion(0.01),
    "muon": lambda: keras.optimizers.Muon(0.02),
    "nadam": lambda: keras.optimizers.Nadam(0.03),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.02, centered=True, momentum=0.5),
    "schedule free": lambda: keras.optimizers.ScheduleFreeAdamW(0.03),
    "sgd": lambda: keras.optimizers.SGD(0.05),
    "sgd momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
}

FORMATS = ("m.keras", "m.weights.h5", "m.h5", "m.weights.json", "folder")


@keras.saving.register_keras_serializable("resume")
class Twice(keras.Layer):  # type: ignore[misc]
    """Stores its variables in a form of its own."""

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=(shape[-1], shape[-1]), name="w")
        self.parts = [self.add_weight(shape=(shape[-1],)) for _ in range(2)]
        self.built = True

    def call(self, x: Any) -> Any:
        return ops.matmul(x, self.w) * self.parts[0] + self.parts[1]

    def save_own_variables(self, store: Any) -> None:
        store["twice"] = np.asarray(self.w) * 2
        store["rest"] = np.stack([np.asarray(part) for part in self.parts])

    def load_own_variables(self, store: Any) -> None:
        self.w.assign(np.asarray(store["twice"]) / 2)
        for part, values in zip(self.parts, np.asarray(store["rest"]), strict=True):
            part.assign(values)


@keras.saving.register_keras_serializable("resume")
class Net(keras.Model):  # type: ignore[misc]
    """A class of somebody's own."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.blocks = [layers.Dense(5, activation="tanh"), layers.Dense(5, activation="tanh")]
        self.heads = {"b": layers.Dense(3), "a": layers.Dense(3)}

    def call(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.heads["a"](x) + self.heads["b"](x)


class _Steps(keras.Model):  # type: ignore[misc]
    """Trains by its own `train_step`, eagerly, with what the subclass makes of it."""

    def gradients(self, loss: Callable[[], Any], variables: Any) -> Any:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss()
        return tape.gradient(value, variables)


@keras.saving.register_keras_serializable("resume")
class Adversaries(_Steps):
    """Several optimizers: in an attribute, in a list, in a dict; `compile` is overridden."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.parts = [layers.Dense(6, name=name) for name in ("first", "second", "third")]

    def build(self, shape: Any) -> None:
        for part in self.parts:
            part.build(shape)
        self.built = True

    def call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def compile(self, alone: Any, rest: list[Any], by_name: dict[str, Any], **more: Any) -> None:
        super().compile(**more)
        self.alone, self.rest, self.by_name = alone, rest, by_name

    def train_step(self, data: Any) -> Any:
        x, _ = data
        every = [self.alone, *self.rest, *self.by_name.values()]
        for times, (part, optimizer) in enumerate(zip(self.parts, every, strict=True), 1):
            for _ in range(times):
                kept = part.trainable_variables
                grads = self.gradients(lambda: ops.mean((self(x) - x) ** 2), kept)
                optimizer.apply(grads, kept)
        return {"steps": 1.0}


@keras.saving.register_keras_serializable("resume")
class Parts(_Steps):
    """Never called as a whole: only its parts are built, as in a VAE of the Keras examples."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.encoder = keras.Sequential([keras.Input((6,)), layers.Dense(4)])
        self.decoder = keras.Sequential([keras.Input((4,)), layers.Dense(6)])

    def train_step(self, data: Any) -> Any:
        x, _ = data
        kept = self.trainable_variables
        grads = self.gradients(lambda: ops.mean((self.decoder(self.encoder(x)) - x) ** 2), kept)
        self.optimizer.apply(grads, kept)
        return {"steps": 1.0}

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


@keras.saving.register_keras_serializable("resume")
class Compiled(keras.Sequential):  # type: ignore[misc]
    """Compiles itself, and takes other arguments for it than Keras does."""

    def compile(self, optimizer: Any = "auto", **more: Any) -> None:
        chosen = keras.optimizers.Adam(0.5) if optimizer == "auto" else optimizer
        super().compile(chosen, "mse", run_eagerly=True)

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None) -> Any:
        model = super().from_config(config, custom_objects)
        model.compile()
        return model


def _compiled(model: Any, optimizer: Any) -> Any:
    model.compile(optimizer, "mse", run_eagerly=True, auto_scale_loss=False)
    return model


def _net(*inner: Any) -> Any:
    return keras.Sequential([keras.Input((6,)), *inner, layers.Dense(3)])


def _plain(make: Callable[[], Any]) -> Any:
    noise = [layers.Dense(5), layers.BatchNormalization(), layers.Dropout(0.3, seed=3)]
    return _compiled(_net(*noise), make())


def _several(make: Callable[[], Any]) -> Any:
    model = Adversaries()
    model.compile(make(), [make()], {"of the third": make()}, run_eagerly=True)
    model.build((None, 6))
    return model


def _nested(make: Callable[[], Any]) -> Any:
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(5), layers.Dense(5)])
    inputs = keras.Input((6,))
    outputs = layers.Dense(3)(layers.Dense(5)(inner(inputs)))
    return _compiled(keras.Model(inputs, outputs), make())


def _wrapped(make: Callable[[], Any]) -> Any:
    wrapper = keras.optimizers.LossScaleOptimizer(make(), initial_scale=8.0, dynamic_growth_steps=2)
    return _compiled(_net(layers.Dense(5)), wrapper)


def _lora(make: Callable[[], Any]) -> Any:
    model = _net(layers.Dense(6), layers.Dense(6))
    for layer in model.layers[:2]:
        layer.enable_lora(2)
    return _compiled(model, make())


def _quantised(make: Callable[[], Any]) -> Any:
    model = _net(layers.Dense(6), layers.Dense(6), layers.BatchNormalization())
    for layer in model.layers[:2]:
        layer.quantize("int8")
    return _compiled(model, make())


def _own(make: Callable[[], Any]) -> Any:
    return _compiled(_net(Twice(), Twice()), make())


def _shared(make: Callable[[], Any]) -> Any:
    inputs = keras.Input((6,))
    shared = layers.Dense(6)
    outputs = layers.Dense(3)(shared(layers.Dense(6)(shared(inputs))))
    return _compiled(keras.Model(inputs, outputs), make())


def _frozen(make: Callable[[], Any]) -> Any:
    model = _net(layers.Dense(6), layers.Dense(6), layers.Dense(6))
    model.layers[1].trainable = False
    return _compiled(model, make())


def _subclassed(make: Callable[[], Any]) -> Any:
    model = Net()
    model(X)
    return _compiled(model, make())


def _never_built(make: Callable[[], Any]) -> Any:
    model = Parts()
    model.compile(make(), run_eagerly=True)
    return model


def _self_compiled(make: Callable[[], Any]) -> Any:
    model = Compiled([keras.Input((6,)), layers.Dense(5), layers.Dense(3)])
    model.compile(make())
    return model


KINDS: dict[str, Callable[[Callable[[], Any]], Any]] = {
    "plain": _plain,
    "several": _several,
    "nested": _nested,
    "wrapped": _wrapped,
    "lora": _lora,
    "quantised": _quantised,
    "own variables": _own,
    "shared": _shared,
    "frozen": _frozen,
    "subclassed": _subclassed,
    "never built": _never_built,
    "self-compiled": _self_compiled,
}


def states(model: Any) -> list[tuple[str, bytes]]:
    """All variables of a model and of its optimizers, in order, with their bytes."""
    from kerasguard.models.optimizers import outermost
    from kerasguard.models.walk import walk

    variables = list(model.variables)
    for visit in outermost(list(walk(model))):
        variables += visit.object.variables
    metrics = {id(v) for v in model.metrics_variables}
    return [
        (v.name, np.asarray(keras.ops.convert_to_numpy(v)).tobytes())
        for v in variables
        if id(v) not in metrics
    ]
