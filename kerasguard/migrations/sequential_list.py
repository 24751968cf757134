"""KG401: a Sequential model whose config is a bare list.

What it looks like: `{"class_name": "Sequential", "config": [layer, layer, ...]}`, also for a
Sequential inside another model.

Why it happens: until 2.2.2 Keras wrote only the list of layers, without the model's name; 2.2.3 and
every tf.keras write `{"name": ..., "layers": [...]}`. Keras 3 takes `config.pop` of a list:
`TypeError: pop expected at most 1 argument, got 2`.

Source: Keras 2.2.3, `Sequential.get_config`; Keras 3, `legacy/saving/saving_utils.py`.

When it is exact: always. Only the model's name is made up, and predictions do not depend on it.
"""

from __future__ import annotations

from kerasguard.blueprint.objects import class_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG401": "a Sequential config is a bare list of layers"}


def rewrite(blueprint: Blueprint) -> None:
    """Give every such list the dict that Keras 3 reads."""
    for item in blueprint.layers():
        if class_of(item) == "Sequential" and isinstance(item["config"], list):
            name = item.get("name") or "sequential"
            item["config"] = {"name": name, "layers": item["config"]}
            blueprint.note(str(name), "its config was a bare list of layers (before Keras 2.2.3)")


MIGRATION = Migration(
    "KG401", "before Keras 2.2.3", lambda w: w.before_keras3, rewrite, words=("Sequential",)
)
