"""KG209: layers that shared a weight when they were saved have one each.

What it looks like: a layer of a model that is also part of a model inside it, or that two layers of
a user-defined model hold, is stored twice in a `.h5` file. The model that the file describes has
two layers in its place: it predicts the same, but training changes only one of them.

Why it happens: HDF5 files of every Keras have a config per model, which does not say that a layer
in it is the same as another one; `.keras` files do (`shared_object_id`).

Source: keras/src/legacy/saving/legacy_h5_format.py; keras issue 18211.

When the repair is exact: there is none for a model that is built from the file; build the model in
code and load the weights into it: `kerasguard.load(path, model=model)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kerasguard.errors import listed
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Step
from kerasguard.tensors import Table

__all__ = ["CODES", "once", "unshared"]

CODES = {"KG209": "layers that shared a weight when they were saved have one each"}


def unshared(settled: Iterable[Step | Finding], stored: Table) -> Iterator[Finding]:
    """Yield a finding for weights of one name and one content in two groups, loaded apart.

    All weights of the layer have to be the same: fresh biases of different layers are, too.
    """
    scopes: dict[str, dict[str, dict[str, str | None]]] = {}
    for item in settled:
        if isinstance(item, Step) and len(item.sources) == 1:
            record = stored.tensors[item.sources[0]]
            if record.role == "weight":
                scope, _, variable = record.name_in_layer.rpartition("/")
                layers = scopes.setdefault(scope, {})
                layers.setdefault(record.layer, {})[variable] = record.digest
    found = [scope for scope, layers in scopes.items() if _has_equals(list(layers.values()))]
    if found:
        message = (
            f"{listed(found)}: one layer when it was saved, but separate layers in the model "
            "that the file describes; predictions are the same, but training will move them "
            "apart. Build the model in code and pass it: kerasguard.load(path, model=model)"
        )
        yield Finding("KG209", "", message, Severity.WARNING)


def _has_equals(groups: list[dict[str, str | None]]) -> bool:
    told = [group for group in groups if None not in group.values()]
    return any(a == b for n, a in enumerate(told) for b in told[:n])


def once(settled: Iterable[Step | Finding], stored: Table) -> list[Step | Finding]:
    """One step for a weight that several layers share; the file has it once for each of them."""
    results: list[Step | Finding] = []
    first: dict[str, Step] = {}
    for item in settled:
        if not isinstance(item, Step):
            results.append(item)
        elif item.target not in first:
            first[item.target] = item
            results.append(item)
        elif not _same(first[item.target], item, stored):
            results.append(_contradicted(first[item.target], item, stored))
    return results


def _same(one: Step, other: Step, stored: Table) -> bool:
    """Whether two steps make the same of tensors that hold the same."""
    if len(one.sources) != len(other.sources) or one.ops != other.ops:
        return False
    pairs = zip(one.sources, other.sources, strict=True)
    return all(stored.tensors[a].digest == stored.tensors[b].digest for a, b in pairs)


def _contradicted(one: Step, other: Step, stored: Table) -> Finding:
    names = [stored.tensors[step.sources[0]].label for step in (one, other)]
    message = (
        f"{one.target}: the model shares one variable where the file has two that differ, "
        f"{names[0]} and {names[1]}; build the model as it was saved, with a layer for each"
    )
    return Finding("KG209", one.target, message)
