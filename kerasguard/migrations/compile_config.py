"""KG434: the compile arguments in a `.keras` file of Keras 2.

What it looks like: `"compile_config": {"optimizer": ..., "steps_per_execution": null, ...}`; the
model loads, and `predict` fails: `'>' not supported between instances of 'NoneType' and 'int'`.

Why it happens: Keras 2.12 to 2.15 wrote the arguments of `compile` as they were given, and None
where they were not; Keras 3 treats None as a value. The optimizers of that time had options that no
longer exist. A `LossScaleOptimizerV3` was wrapped around an optimizer where losses were scaled.
Keras 2.12 wrote functions of its own as objects, the function beside a loss that wraps it, and
schedules without their module.

Source: Keras 2.12 and 2.13 `engine/training.py`, `get_compile_config`; Keras 3
`trainers/trainer.py`.

When it is exact: always; arguments that were not given get their defaults, and options without
effect (`is_legacy_optimizer`, the optimizer's `jit_compile`) are left out.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.objects import Json
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG434": "the compile arguments are written in Keras 2's form"}

_DEFAULTS: Json = {"jit_compile": False, "run_eagerly": False, "steps_per_execution": 1}
_OLD_MODULES = ("keras.optimizers.experimental", "keras.optimizers.legacy")
_WRAPPERS = ("LossFunctionWrapper", "MeanMetricWrapper", "SumOverBatchSizeMetricWrapper")
_LOSS_SCALE, _OWN = "LossScaleOptimizerV3", "Custom>"
_NOT_IN_KERAS3 = ("is_legacy_optimizer", "jit_compile", "decay")


def rewrite(blueprint: Blueprint) -> None:
    """Spell out defaults; leave out what optimizers no longer take."""
    config = blueprint.architecture.get("compile_config")
    if not isinstance(config, dict):
        return
    for key, default in _DEFAULTS.items():
        if config.get(key) is None:
            config[key] = default
    _rewrite_optimizer(blueprint, config.get("optimizer"))
    for key in ("loss", "metrics", "weighted_metrics"):
        config[key] = _today(config.get(key))
    blueprint.note("", "the arguments of compile() were written in Keras 2's form")


def _rewrite_optimizer(blueprint: Blueprint, optimizer: Any) -> None:
    if not isinstance(optimizer, dict) or not isinstance(optimizer.get("config"), dict):
        return
    options = optimizer["config"]
    if optimizer.get("class_name") == _LOSS_SCALE and isinstance(_inner(options), dict):
        _unwrap(optimizer, options)
        options = optimizer["config"]
    if optimizer.get("module") in _OLD_MODULES:
        optimizer["module"] = "keras.optimizers"
    if options.get("decay"):
        blueprint.warn("", f"the optimizer's decay={options['decay']} is not in Keras 3")
    for key in _NOT_IN_KERAS3:
        options.pop(key, None)
    if "lr" in options:
        options.setdefault("learning_rate", options.pop("lr"))
    rate = options.get("learning_rate")
    if isinstance(rate, dict) and "class_name" in rate:
        rate.setdefault("module", "keras.optimizers.schedules")
    _rewrite_optimizer(blueprint, options.get("inner_optimizer"))


def _inner(options: Json) -> Any:
    inner = options.get("inner_optimizer")
    return inner.get("config") if isinstance(inner, dict) else None


def _unwrap(optimizer: Json, options: Json) -> None:
    """The optimizer itself, whose state the file holds; Keras 3 scales float16's losses unasked."""
    if not options.get("dynamic", True):
        _inner(options)["loss_scale_factor"] = options.get("initial_scale")
    inner = dict(options["inner_optimizer"])
    name = str(inner.get("class_name"))
    if "module" not in inner and name.startswith(_OWN):  # as Keras 2.12 registered its own
        inner.update(module="keras.optimizers", class_name=name.removeprefix(_OWN))
    optimizer.clear()
    optimizer.update(inner)


def _today(value: Any) -> Any:
    """Losses or metrics, in whatever lists and dicts they are nested."""
    if isinstance(value, list):
        return [_today(item) for item in value]
    if not isinstance(value, dict) or "class_name" not in value:
        return {k: _today(v) for k, v in value.items()} if isinstance(value, dict) else value
    config, ours = value.get("config"), value.get("module") in ("keras.losses", "keras.metrics")
    if ours and value["class_name"] == "function" and isinstance(config, str):
        return config
    if not ours or not isinstance(config, dict):
        return value
    kept = {k: v for k, v in config.items() if k != "fn" and (k, v) != ("reduction", "auto")}
    if value["class_name"] in _WRAPPERS:
        return config["fn"] if isinstance(config.get("fn"), str) else value
    return {**value, "config": kept}


MIGRATION = Migration("KG434", "Keras 2.12 to 2.15", lambda w: w.before_keras3, rewrite)
