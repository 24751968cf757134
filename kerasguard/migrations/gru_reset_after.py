"""KG411: a GRU without `reset_after`.

What it looks like: a GRU config without the key. Keras 3 takes it for `reset_after=True` and
expects a bias of shape (2, 3 units): `Weight expects shape (2, 9). Received ... (9,)`.

Why it happens: Keras had the option from 2.1.3 on, off by default; tf.keras 2.0 turned it on by
default, but always writes it. So a missing key means False.

Source: https://github.com/keras-team/keras/issues/9112; Keras 2.1.2 `layers/recurrent.py`.

When it is exact: always.
"""

from __future__ import annotations

from kerasguard.blueprint.objects import config_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG411": "a GRU without reset_after, which meant False"}


def rewrite(blueprint: Blueprint) -> None:
    """Write what the missing key meant."""
    for item in blueprint.layers("GRU", "GRUCell"):
        if "reset_after" not in config_of(item):
            config_of(item)["reset_after"] = False
            blueprint.note(item, "reset_after is missing, which meant False")


MIGRATION = Migration(
    "KG411", "before Keras 2.1.3", lambda w: w.before_keras3, rewrite, words=("GRU",)
)
