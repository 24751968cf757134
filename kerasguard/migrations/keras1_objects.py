"""KG405: initialisers, regularisers and constraints in the forms of Keras 1 and 2.

What it looks like: `{"name": "WeightRegularizer", "l1": 0.0, "l2": 0.01}`, `"normal"`,
`{"class_name": "VarianceScaling", "config": {"distribution": "normal", "dtype": "float32"}}`,
`GlorotUniformV2`, `MaxNorm` with `m`; or an initialiser that Keras 3 does not have.

Why it happens: Keras 1 wrote names or flat dicts; TensorFlow 1.4 to 2.1 wrote its initialisers
with a `dtype` (`VarianceScaling.__init__() got an unexpected keyword argument 'dtype'`); Keras 2.0
to 2.2 called the truncated normal distribution `normal`.

Source: Keras 1 `regularizers.py`; TensorFlow 1 `ops/init_ops.py`; Keras 3 `initializers`.

When it is exact: for predictions always, because initial values are overwritten and regularisers
and constraints act on training only. One that Keras 3 lacks is left out with a warning, unless
the caller supplies it.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.keras3_parts import CONSTRAINTS, INITIALIZERS, REGULARIZERS
from kerasguard.blueprint.objects import Json, keras_object, objects, short_name
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG405": "an initialiser, regulariser or constraint is written in an old form"}

_TABLES = {
    "initializer": ("keras.initializers", INITIALIZERS),
    "regularizer": ("keras.regularizers", REGULARIZERS),
    "constraint": ("keras.constraints", CONSTRAINTS),
}
_ALIASES = {
    "ActivityRegularizer": "L1L2",
    "IdentityInitializer": "Identity",
    "L1L2Regularizer": "L1L2",
    "NonNegative": "NonNeg",
    "OrthogonalInitializer": "Orthogonal",
    "STFTInitializer": "STFT",
    "UnitNormalization": "UnitNorm",
    "WeightRegularizer": "L1L2",
    "normal": "RandomNormal",
    "one": "Ones",
    "uniform": "RandomUniform",
    "zero": "Zeros",
}
_ARGUMENTS = {"k": "factor", "m": "max_value"}
_DISTRIBUTIONS = {"normal": "truncated_normal"}


def rewrite(blueprint: Blueprint) -> None:
    """Write every one of them as Keras 3 does."""
    changed: set[str] = set()
    for _, item in list(objects(blueprint.architecture)):
        config = item["config"]
        for key in list(config) if isinstance(config, dict) else ():
            kind = next((k for k in _TABLES if key.endswith(k)), None)
            old = config[key]
            if kind is None or not isinstance(old, (str, dict)):
                continue
            config[key] = _modern(blueprint, item, key, kind, old)
            if config[key] != old:
                changed.add(_name(old))
    if changed:
        blueprint.note("", f"written in Keras 3's form: {', '.join(sorted(changed))}")


def _modern(blueprint: Blueprint, layer: Json, key: str, kind: str, old: Any) -> Any:
    """Keras 3's form of one object, or None (a zero initialiser) where it has none."""
    module, table = _TABLES[kind]
    name = _name(old)
    if name in blueprint.known or short_name(name) in blueprint.known:
        return _supplied(blueprint, name, old)
    known = _class(name, table)
    if known is None:
        blueprint.warn(layer, f"{key} {name} is not in Keras 3; predictions do not need it")
        return keras_object(module, "Zeros", {}) if kind == "initializer" else None
    return keras_object(module, known, _config(known, table[known], old))


def _config(name: str, arguments: frozenset[str], old: Any) -> Json:
    """The arguments that Keras 3 takes, under its names."""
    flat = old.get("config", old) if isinstance(old, dict) else {}
    flat = flat if isinstance(flat, dict) else {}
    config = {_ARGUMENTS.get(str(k), str(k)): v for k, v in flat.items()}
    config = {k: v for k, v in config.items() if k in arguments}
    if name == "VarianceScaling":
        found = str(config.get("distribution", "truncated_normal"))
        config["distribution"] = _DISTRIBUTIONS.get(found, found)
    return config


def _supplied(blueprint: Blueprint, name: str, old: Any) -> Any:
    """An object of the caller's, under the name that the caller uses."""
    wanted = name if name in blueprint.known else short_name(name)
    if isinstance(old, dict) and isinstance(old.get("config"), dict):
        return {**old, "module": None, "class_name": wanted, "registered_name": wanted}
    return wanted


def _name(old: Any) -> str:
    """The class or function that an identifier names."""
    if isinstance(old, dict):
        if old.get("class_name") == "function":
            return str(old.get("config"))
        return str(old.get("class_name") or old.get("name") or "L1L2")
    return str(old)


def _class(name: str, table: dict[str, frozenset[str]]) -> str | None:
    """`glorot_uniform`, `GlorotUniformV2` and `GlorotUniform` are the same class."""
    bare = short_name(name).removesuffix("V1").removesuffix("V2")
    alias = _ALIASES.get(bare, bare)
    plain = alias.replace("_", "").lower()
    return next((known for known in table if known.lower() == plain), None)


MIGRATION = Migration("KG405", "Keras 1 and 2", lambda w: w.before_keras3, rewrite)
