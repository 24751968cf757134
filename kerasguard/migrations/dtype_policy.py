"""KG408: dtype policies of Keras 2.

What it looks like: `"dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}}`, also
`PolicyV1` with a `loss_scale`, `"dtype": "float32_ref"`, or `"infer"`.

Why it happens: Keras 3 calls the class `DTypePolicy`: `'str' object has no attribute
'quantization_mode'`, before 3.15 `Could not locate class 'Policy'`.

Source: tf.keras `mixed_precision/policy.py`; Keras 3 `dtype_policies/dtype_policy.py`.

When it is exact: always. Loss scaling now belongs to the optimizer and affects only training. An
Embedding of integers is one whose input, not whose table, had that dtype, a Discretization one
whose output had it; a Hashing of floats computes integers all the same.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.objects import Json, class_of, config_of, keras_object
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG408": "a dtype policy is written in Keras 2's form"}

_OF_FLOATS = {"Discretization", "Embedding"}
_OF_INTEGERS = {"Hashing"}
_POLICIES = {"Policy", "PolicyV1"}


def rewrite(blueprint: Blueprint) -> None:
    """Write every policy as Keras 3 does; plain dtypes stay plain."""
    for item in blueprint.layers():
        config = config_of(item)
        if "dtype" not in config:
            continue
        old = config["dtype"]
        new = _modern(old)
        if new is None or _of_another_kind(item, str(new)):
            del config["dtype"]
        else:
            config["dtype"] = new
        if isinstance(old, dict) and new != old:
            blueprint.note(item, f"its dtype policy {old['config'].get('name')} was Keras 2's")


def _of_another_kind(item: Json, dtype: str) -> bool:
    """Whether the layer's dtype cannot be that of what Keras 3 has it compute."""
    if class_of(item) in _OF_INTEGERS:
        return "int" not in dtype and config_of(item).get("output_mode", "int") == "int"
    return class_of(item) in _OF_FLOATS and "int" in dtype


def _modern(dtype: Any) -> Any:
    if isinstance(dtype, dict) and dtype.get("class_name") in _POLICIES:
        name = str(dtype["config"].get("name", ""))
        if name.startswith("mixed_"):
            return keras_object("keras", "DTypePolicy", {"name": name})
        return _plain(name)
    return _plain(dtype) if isinstance(dtype, str) else dtype


def _plain(name: str) -> str | None:
    """A dtype's name; None where Keras 2 would have taken it from the input."""
    if name in ("", "infer", "_infer", "infer_with_float32_vars"):
        return None
    return name.removesuffix("_ref")


MIGRATION = Migration(
    "KG408", "tf.keras 2.0 to 2.15", lambda w: w.before_keras3, rewrite, words=("dtype",)
)
