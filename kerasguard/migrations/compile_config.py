"""KG434: the compile arguments in a `.keras` file of Keras 2.

What it looks like: `"compile_config": {"optimizer": ..., "steps_per_execution": null, ...}`; the
model loads, and `predict` fails: `'>' not supported between instances of 'NoneType' and 'int'`.

Why it happens: Keras 2.12 to 2.15 wrote the arguments of `compile` as they were given, None where
they were not; Keras 3 takes None for a value. Optimizers of that time had options that are gone.

Source: Keras 2.13 `engine/training.py`, `get_compile_config`; Keras 3 `trainers/trainer.py`.

When it is exact: always; what is not given gets its default, and options without effect
(`is_legacy_optimizer`, the optimizer's `jit_compile`) are left out.
"""

from __future__ import annotations

from kerasguard.blueprint.objects import Json
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG434": "the compile arguments are written in Keras 2's form"}

_DEFAULTS: Json = {"jit_compile": False, "run_eagerly": False, "steps_per_execution": 1}
_OLD_MODULES = ("keras.optimizers.experimental", "keras.optimizers.legacy")
_NOT_IN_KERAS3 = ("is_legacy_optimizer", "jit_compile", "decay")


def rewrite(blueprint: Blueprint) -> None:
    """Spell out defaults; leave out what optimizers no longer take."""
    config = blueprint.architecture.get("compile_config")
    if not isinstance(config, dict):
        return
    for key, default in _DEFAULTS.items():
        if config.get(key) is None:
            config[key] = default
    optimizer = config.get("optimizer")
    if isinstance(optimizer, dict) and isinstance(optimizer.get("config"), dict):
        options = optimizer["config"]
        if optimizer.get("module") in _OLD_MODULES:
            optimizer["module"] = "keras.optimizers"
        if options.get("decay"):
            blueprint.warn("", f"the optimizer's decay={options['decay']} is not in Keras 3")
        for key in _NOT_IN_KERAS3:
            options.pop(key, None)
        if "lr" in options:
            options.setdefault("learning_rate", options.pop("lr"))
    blueprint.note("", "the arguments of compile were written in Keras 2's form")


MIGRATION = Migration("KG434", "Keras 2.12 to 2.15", lambda w: w.before_keras3, rewrite)
