"""What the live model adds to the arrays of a PyTorch state dict: orders of axes, and doubts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from kerasguard.layouts import in_model_order, into_images, owner
from kerasguard.layouts.state_dict import counted, other_default, refused, unordered
from kerasguard.planning.findings import Finding
from kerasguard.planning.operations import Step
from kerasguard.tensors import Table

__all__ = ["in_model_axes", "unlike_modules"]

Steps = list[Step | Finding]
# Of a layer behind a Flatten, variables without a row for each of its inputs.
_ROWLESS = ("bias", "recurrent_kernel")


def in_model_axes(given: Iterable[Step | Finding], expected: Table, target: Any) -> Steps:
    """Steps with the rows behind a Flatten in the model's order, and columns before a Reshape.

    Args:
        given: of `restore_state_dict`, guesses included.
        expected: the model's table.
        target: the sink over the model.
    """
    from kerasguard.models import pytorch_twins

    orders = pytorch_twins.orders(target.model, target.visits)
    open_ = dict.fromkeys(orders.open)

    def ordered(items: Iterable[Step | Finding]) -> Steps:
        made = into_images(items, expected, orders.columns)
        return in_model_order((_doubted(item) for item in made), expected, orders.rows, True)

    def _doubted(item: Step | Finding) -> Step | Finding:
        record = expected.tensors[item.target] if isinstance(item, Step) else None
        if not isinstance(item, Step) or record is None or not owner(record.layer, open_):
            return item
        return item if record.variable in _ROWLESS else unordered(record, item)

    found: Steps = []
    for item in ordered(given):
        if isinstance(item, Finding) and item.repairs and item.code != "KG208":
            steps = (s for s in ordered(item.repairs) if isinstance(s, Step))
            item = replace(item, repairs=tuple(steps))
        found.append(item)
    return found


def unlike_modules(target: Any, counters: Sequence[str]) -> Iterator[Finding]:
    """What the model computes that no module does, and what a state dict does not say.

    Args:
        target: the sink over the model.
        counters: keys of what is ignored.
    """
    from kerasguard.models import pytorch_twins

    if counters:
        yield counted(counters)
    for key, name, why in pytorch_twins.impossible(target.visits):
        yield refused(key, name, why)
    yield from map(other_default, pytorch_twins.other_defaults(target.visits))
