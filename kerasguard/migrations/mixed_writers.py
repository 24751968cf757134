"""KG443: a file says that one Keras wrote it, and its config was written by another.

What it looks like: version 2.12.0 beside calls that are objects with `args` and `kwargs` and a
dtype that is a `DTypePolicy`; version 3.5.0 beside calls that are lists and `batch_input_shape`.
Nothing fails: the model loads but may predict differently.

Why it happens: somebody put parts of two files together, or wrote a version into a file so that
some reader takes it. Only the version says what `hard_sigmoid`, a missing `reset_after` or a
missing `axis` means.

Source: Keras 2.15 `engine/functional.py`, Keras 3 `models/functional.py` and
`saving/serialization_lib.py`; each writes forms that the other never did.

When it is exact: never; nothing is changed. The weights can still be loaded into a model that the
caller builds. A file without a version is read as what its config shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kerasguard.blueprint.nodes import is_graph, layers_of
from kerasguard.blueprint.objects import Json, config_of, name_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG443": "the config was written by a different Keras than the file says"}

_OF_KERAS2 = re.compile(r"(tf_)?keras\.(src\.)?engine\.")
_OF_KERAS3 = re.compile(r"keras\.src\.models\.(functional|model|sequential)$")


def rewrite(blueprint: Blueprint) -> None:
    """Refuse what only the other Keras writes, and name one place where it stands."""
    told = 2 if blueprint.writer.before_keras3 else 3
    for item in blueprint.layers():
        for shown, what in _marks(item):
            if shown != told:
                blueprint.refuse(
                    item,
                    f"the file says that {blueprint.writer} wrote it, but {what}, which only "
                    f"Keras {shown} writes; what the layers compute depends on it. Take the file "
                    "from a "
                    "copy, or build the model and load the weights into it: "
                    "kerasguard.load(path, model=model)",
                )
                return


def shown_by(architecture: Mapping[str, Any]) -> int | None:
    """The Keras, 2 or 3, whose forms a config has; None where it has none or both."""
    found: set[int] = set()
    stack: list[Any] = [architecture]
    while stack:
        item = stack.pop()
        if isinstance(item, dict) and isinstance(item.get("config"), dict):
            found.update(shown for shown, _ in _marks(item))
            stack += layers_of(config_of(item))
    return found.pop() if len(found) == 1 else None


def _marks(item: Json) -> Iterator[tuple[int, str]]:
    """Forms that only one Keras writes: which one, and what is to be seen."""
    module, config = str(item.get("module") or ""), config_of(item)
    if _OF_KERAS2.match(module):
        yield 2, f"it comes from {module}"
    if _OF_KERAS3.match(module):
        yield 3, f"it comes from {module}"
    policy = config.get("dtype")
    if isinstance(policy, dict) and policy.get("class_name") in ("Policy", "DTypePolicy"):
        shown = 2 if policy["class_name"] == "Policy" else 3
        yield shown, f"its dtype is a {policy['class_name']}"
    if item.get("class_name") == "InputLayer":
        if "batch_input_shape" in config:
            yield 2, "it has a batch_input_shape"
        if "batch_shape" in config:
            yield 3, "it has a batch_shape"
    if is_graph(config):
        yield from _calls(config)


def _calls(model: Json) -> Iterator[tuple[int, str]]:
    for layer in layers_of(model):
        calls = layer.get("inbound_nodes")
        first = calls[0] if isinstance(calls, list) and calls else None
        if isinstance(first, list):
            yield 2, f"the calls of {name_of(layer)} are lists"  # or dicts, by an input's name
        elif isinstance(first, dict) and first.keys() == {"args", "kwargs"}:
            yield 3, f"the calls of {name_of(layer)} have args and kwargs"


MIGRATION = Migration("KG443", "all", lambda _: True, rewrite)
