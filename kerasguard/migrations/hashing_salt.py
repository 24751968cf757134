"""KG450: a Hashing layer has a salt that nobody set.

What it looks like: `"salt": [956888297470, 956888297470]` on a Hashing layer. Nothing fails: the
model loads but hashes differently.

Why it happens: TensorFlow 2.3 to 2.5 wrote this number where there was no salt, and hashed without
one; a layer that is built from such a config hashes with it, in these versions too.

Source: TensorFlow 2.4 `keras/layers/preprocessing/hashing.py`, `get_config`.

When it is exact: unless the model was itself loaded before it was saved, which nothing shows, so a
warning says what is assumed.
"""

from __future__ import annotations

from kerasguard.blueprint.objects import config_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG450": "a Hashing layer has a salt that nobody set"}

_DEFAULT = 0xDECAFCAFFE


def rewrite(blueprint: Blueprint) -> None:
    """Leave the salt out that stood for none."""
    for item in blueprint.layers("Hashing"):
        if config_of(item).get("salt") == [_DEFAULT, _DEFAULT]:
            del config_of(item)["salt"]
            blueprint.warn(
                item,
                'its salt is TensorFlow\'s placeholder for "no salt" and is dropped; if this model '
                "had itself been loaded from a file, it did hash with that salt",
            )


MIGRATION = Migration(
    "KG450", "TensorFlow 2.3 to 2.5", lambda w: w.before_keras3, rewrite, words=("Hashing",)
)
