"""KG402: values that JSON cannot hold, in an old encoding.

What it looks like: `{"type": "ndarray", "value": 6.0}`, `{"class_name": "__tuple__", "items":
[...]}`, `{"class_name": "TensorShape", "items": [...]}` or a `TypeSpec` where a number or a list
is meant.

Why it happens: Keras 2.1 to 2.3 wrote NumPy values so; SavedModel metadata and TensorFlow 2.2 to
2.15 write tuples and shapes so. Keras 3 treats any dict with a class name as an object to build.

Source: tf.keras `saving/saved_model/json_utils.py`, `get_json_type`; Keras 2 `Lambda.from_config`.

When it is exact: always; each is another spelling of the same value.
"""

from __future__ import annotations

from typing import Any

from kerasguard.blueprint.objects import replace_all
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG402": "a value has an old JSON encoding"}


def rewrite(blueprint: Blueprint) -> None:
    """Write every such value plainly."""
    found: set[str] = set()

    def plain(part: Any) -> Any:
        decoded = _decode(part)
        if decoded is not part:
            found.add(str(part.get("class_name") or part.get("type")))
        return decoded

    config = replace_all(blueprint.architecture.get("config"), plain)
    blueprint.architecture["config"] = config
    if found:
        blueprint.note("", f"values encoded as {', '.join(sorted(found))} are written plainly")


def _decode(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    if part.get("type") == "ndarray" and "value" in part:
        return part["value"]
    if part.get("class_name") in ("__tuple__", "TensorShape") and "items" in part:
        return part["items"]
    if part.get("class_name") == "__numpy__" and set(part) == {"class_name", "value"}:
        return part["value"]
    inner = part.get("config")
    if part.get("class_name") == "__numpy__" and isinstance(inner, dict) and "value" in inner:
        return inner["value"]
    return part


MIGRATION = Migration(
    "KG402",
    "Keras 2",
    lambda w: w.before_keras3,
    rewrite,
    words=("__numpy__", "__tuple__", "TensorShape", "ndarray"),
)
