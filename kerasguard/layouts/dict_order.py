"""In which order the layers of a dict were laid out, which an old file does not say.

In the list of all layers of a model, Keras 2 had those of a dict in the order of its keys, Keras 3
has them in the order in which they were put into it; both number them within their class. What is
reached through the dict itself, as in a layer, is in the order of the dict everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import Table

__all__ = ["unsorted_dicts"]


def unsorted_dicts(expected: Table, stored: Table, writer: Mapping[str, str]) -> Iterator[Finding]:
    """One finding per dict of alike layers that two writers laid out in two orders.

    Args:
        expected: the model's table.
        stored: of a file whose keys are numbers within a class.
        writer: of the file. One that is unknown gives a warning, unless the file has the names of
            layers, which Keras writes from 3.6 on; Keras 2 gives an error.
    """
    version = re.match(r"[0-9]{1,9}", writer.get("keras", ""))
    named = any(record.name for record in stored.layers.values())
    known = any(record.attribute for record in stored.layers.values())  # by a manifest
    if known or (int(version[0]) >= 3 if version else named):
        return
    held: dict[tuple[str, str], list[str]] = {}
    for layer in expected.layers.values():
        owner, bracket, key = layer.attribute.rpartition("[")
        if layer.key.startswith(f"{owner.replace('.', '/')}/"):
            continue  # reached through the dict itself, whose order every version kept
        if bracket and any(k.startswith(f"{layer.key}/") for k in stored.tensors):
            held.setdefault((owner, layer.class_name), []).append(key.removesuffix("]"))
    for (owner, class_name), keys in held.items():
        if keys != sorted(keys):
            yield Finding(
                "KG113",
                "",
                f"{owner}: holds its {class_name} layers as {', '.join(keys)}, and Keras 2 listed "
                "a model's layers in a dict in the order of their keys, Keras 3 as they were put "
                f"into the dict; put them in as {', '.join(sorted(keys))}, one order for both",
                Severity.ERROR if version else Severity.WARNING,
            )
