"""KG430: optimizer, loss and metrics of a legacy HDF5 file, in the form that Keras 3 compiles from.

What it looks like: `training_config` beside the model's config, with `optimizer_config`, `loss` and
`metrics`; Keras 3's own reader uses some of it and otherwise starts with a fresh optimizer. Or, of
any file: the model's class overrides `compile`, and Keras does not compile the model at all.

Why it happens: Keras 1 to 2.x named the arguments differently (`lr`, `decay`), wrapped metrics in
`MeanMetricWrapper`, and knew a reduction `auto`; tf.keras' new optimizers added `jit_compile` and
`is_legacy_optimizer`. An override is called with arguments that no file holds, only with what it
passes on to `keras.Model.compile`.

Source: keras/src/legacy/saving/legacy_h5_format.py; tf-keras issue 70; `compile_from_config` in
keras/src/trainers/trainer.py.

When it is exact: the optimizer's update rule is that of the same class in Keras 3, and `decay` is
`InverseTimeDecay` with one step. Anything not known by name is left to the caller. What an override
passed on is restored, what it did besides is not, and the finding says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kerasguard.blueprint.objects import short_name
from kerasguard.blueprint.working import Blueprint, Migration
from kerasguard.errors import listed

__all__ = ["compile_config_from", "compiled_in_part", "not_compiled"]

CODES = {"KG430": "a model is loaded without the optimizer, loss and metrics it was saved with"}

Known = Callable[[str], bool]

_COMMON = (
    "name",
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
)
_MOMENTS = ("beta_1", "beta_2", "epsilon")
_OPTIMIZERS: dict[str, tuple[str, ...]] = {
    "SGD": ("momentum", "nesterov"),
    "Adam": (*_MOMENTS, "amsgrad"),
    "AdamW": (*_MOMENTS, "amsgrad"),
    "RMSprop": ("rho", "momentum", "epsilon", "centered"),
    "Adagrad": ("initial_accumulator_value", "epsilon"),
    "Adadelta": ("rho", "epsilon"),
    "Adamax": _MOMENTS,
    "Nadam": _MOMENTS,
    "Lion": ("beta_1", "beta_2"),
    "Ftrl": (
        "learning_rate_power",
        "initial_accumulator_value",
        "l1_regularization_strength",
        "l2_regularization_strength",
        "l2_shrinkage_regularization_strength",
        "beta",
    ),
}

_OF_KERAS_3 = ("Adafactor", "Lamb", "MultiOptimizer", "Muon", "ScheduleFreeAdamW")
"""Whose options nobody has renamed since."""

# What Keras 2 called what Keras 3 finds by another name only.
_NAMES = {"logcosh": "log_cosh"}


def rewrite(blueprint: Blueprint) -> None:
    """Take `training_config` out of the architecture; its arguments are for the built model."""
    training = blueprint.architecture.pop("training_config", None)
    if not training:
        return
    try:
        today = not blueprint.writer.before_keras3
        found = compile_config_from(training, today=today, known=blueprint.is_known)
        blueprint.compile_arguments = found
    except ValueError as error:
        blueprint.warn("", not_compiled(str(error)))


def not_compiled(reason: str) -> str:
    """What a finding says of a model that Keras 3 cannot compile as it was."""
    return f"the model is not compiled: {reason}; call model.compile(...) before training"


def compiled_in_part(cls: str, arguments: Sequence[str]) -> str:
    """What a finding says of a model whose class overrides `compile`."""
    lost = f"arguments of its own ({listed(arguments, 5)})" if arguments else "what it does besides"
    return (
        f"{cls}.compile() was not called: what it had passed on to keras.Model.compile() is "
        f"restored, {lost} cannot be; to train on, compile a model in code and load into it: "
        "kerasguard.load(path, model)"
    )


def compile_config_from(
    training: Mapping[str, Any], *, today: bool = False, known: Known = lambda _: False
) -> dict[str, Any]:
    """Keras 3's compile config of a legacy `training_config`.

    Args:
        training: as the file has it.
        today: whether Keras 3 wrote it, whose optimizers have no other options now.
        known: whether the class of a name is supplied, by the caller or registered.

    Raises:
        ValueError: says which part has no counterpart in Keras 3.
    """
    optimizer = training.get("optimizer_config") or training.get("optimizer")
    return {
        "optimizer": None if optimizer is None else _optimizer(optimizer, known, today=today),
        "loss": _objects(training.get("loss"), "keras.losses", known),
        "metrics": _objects(training.get("metrics"), "keras.metrics", known),
        "weighted_metrics": _objects(training.get("weighted_metrics"), "keras.metrics", known),
        "loss_weights": training.get("loss_weights"),
        "run_eagerly": False,
        "steps_per_execution": 1,
        "jit_compile": False,
    }


def _optimizer(stored: Any, known: Known, *, today: bool) -> Any:
    if not isinstance(stored, Mapping) or "module" in stored:
        return stored
    if known(str(stored.get("class_name"))):
        return _supplied({**stored, "config": _rated(stored.get("config", {}), known)})
    name = str(stored.get("class_name", "")).rpartition(">")[2]
    if name in ("LossScaleOptimizer", "LossScaleOptimizerV3"):
        options = stored["config"]
        inner = options.get("inner_optimizer") or options.get("optimizer")
        made = _optimizer({k: inner[k] for k in ("class_name", "config")}, known, today=today)
        if not today:
            return made
        return _object("keras.optimizers", name, {**options, "inner_optimizer": made})
    ours = {k.lower(): k for k in _OPTIMIZERS}.get(name.lower())
    if ours is None and today and stored.get("class_name") in _OF_KERAS_3:
        ours = name
    if ours is None:
        raise ValueError(f"optimizer {name} is not part of Keras 3")
    config = dict(stored.get("config", {}))
    if today:
        return _object("keras.optimizers", ours, _rated(config, known))
    taken = {
        k: config[k] for k in (*_COMMON, *_OPTIMIZERS[ours]) if config.get(k) not in (None, False)
    }
    return _object("keras.optimizers", ours, {**taken, **_rate(config, known)})


def _rated(config: Mapping[str, Any], known: Known) -> dict[str, Any]:
    """An optimizer's config of Keras 3, whose schedule got its module."""
    rate = config.get("learning_rate")
    bare = isinstance(rate, Mapping) and "module" not in rate
    return {**config, **(_rate(config, known) if bare else {})}


def _rate(config: Mapping[str, Any], known: Known) -> dict[str, Any]:
    """The learning rate's entry in an optimizer's config, a schedule with its module."""
    rate = config.get("learning_rate", config.get("lr", 0.001))
    if config.get("decay"):
        options = {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": config["decay"]}
        rate = _schedule("InverseTimeDecay", options)
    elif isinstance(rate, Mapping):
        mine = known(str(rate["class_name"]))
        rate = _supplied(rate) if mine else _schedule(str(rate["class_name"]), rate["config"])
    return {"learning_rate": rate}


def _schedule(class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in config.items() if value is not None}
    return _object("keras.optimizers.schedules", class_name, given)


def _object(module: str, class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": class_name,
        "config": dict(config),
        "registered_name": None,
    }


def _supplied(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object of a class that the caller has, which Keras finds by its registered name."""
    name = str(value["class_name"])
    made = _object("", short_name(name), value.get("config", {}))
    return {**made, "module": None, "registered_name": name}


def _function(name: str) -> dict[str, Any]:
    """A function of the caller's: Keras looks no metric's name up among those."""
    function = _object("builtins", "function", {})
    return {**function, "config": name, "registered_name": name}


def _objects(value: Any, module: str, known: Known) -> Any:
    """Losses or metrics, in whatever lists and dicts they are nested; None for an empty list."""
    if isinstance(value, (list, tuple)):
        found = [_objects(item, module, known) for item in value]
        return found if any(item is not None for item in found) or not found else None
    if isinstance(value, str):
        return _function(value) if known(value) else _named(value)
    if not isinstance(value, Mapping):
        return value
    if "module" in value:
        return value
    if "class_name" not in value:
        return {k: _objects(v, module, known) for k, v in value.items()}
    if known(str(value["class_name"])):
        return _supplied(value)
    config = {k: v for k, v in value.get("config", {}).items() if _is_told(k, v)}
    function = config.pop("fn", None)
    name = str(value["class_name"]).rpartition(">")[2]
    if name in ("MeanMetricWrapper", "SumOverBatchSizeMetricWrapper", "LossFunctionWrapper"):
        if not isinstance(function, str):
            raise ValueError(f"a {name} without the name of its function")
        return _named(function)
    return _object(module, name, config)


def _is_told(key: str, value: Any) -> bool:
    """Whether an option of a loss or metric is one of Keras 3's, and no default of Keras 2."""
    return key != "dtype" and (key, value) != ("reduction", "auto")


def _named(name: str) -> str:
    """The name by which Keras 3 looks a loss or metric up."""
    if name == "<lambda>":
        raise ValueError("a loss or metric is a lambda, which the file does not hold")
    return _NAMES.get(name, name)


MIGRATION = Migration("KG430", "Keras 1 and 2, HDF5 of Keras 3", lambda _: True, rewrite)
