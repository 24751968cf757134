"""KG208: weights whose rows are in the writer's axis order, channels first.

What it looks like: a file of channels-first layers, or a PyTorch state dict, is loaded into a model
of channels-last ones. The kernels fit, but the Dense behind the Flatten has its rows in the order
(channels, height, width), while the model flattens (height, width, channels), so predictions are
meaningless.

Why it happens: Keras 1 flattened tensors in the order in which it held them (`dim_ordering`); Keras
2 first moved the channels to the end if the Flatten had a `data_format`.

Source: Keras 1.2 `layers/core.py` and 2.2 `layers/core.py`, `Flatten`; keras issue 3682.

When the repair is exact: the model's graph shows which tensor was flattened and its size, or which
vector PyTorch reshaped into an image. Rows of Dense and recurrent kernels and vectors of
BatchNormalization are permuted; any other layer with weights behind such a tensor is refused.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Op, Pick, Reshape, Step, Transpose
from kerasguard.tensors import Table, TensorRecord

__all__ = ["CODES", "Rows", "in_model_order", "into_images", "owner"]

CODES = {"KG208": "a kernel's rows are in the axis order of a channels-first writer"}


@dataclass(frozen=True, slots=True)
class Rows:
    """In which order the inputs of a layer lie.

    Args:
        blocks: sizes of the flattened tensors side by side, each with its channels last; what was
            no image has one size.
        first: whether they were flattened with the channels first.
        known: whether the graph tells it.
    """

    blocks: tuple[tuple[int, ...], ...] = ()
    first: bool = False
    known: bool = True


def in_model_order(
    given: Iterable[Step | Finding],
    expected: Table,
    ours: Mapping[str, Rows],
    theirs: Mapping[str, bool | None] | bool | None,
) -> list[Step | Finding]:
    """Steps with the rows in the model's order, and a finding per layer that this concerns.

    Args:
        given: steps as if the order were the same.
        expected: the model's table.
        ours: the order of the inputs, by the key of the model's layer.
        theirs: whether the writer flattened with the channels first: by stored tensor
            (None where its graph does not say), or all.
    """
    results: list[Step | Finding] = []
    said: set[str] = set()
    for item in given:
        record = expected.tensors[item.target] if isinstance(item, Step) else None
        layer = owner(record.layer, ours) if record else ""
        if not isinstance(item, Step) or record is None or not layer:
            results.append(item)
            continue
        rows = ours[layer]
        told = theirs.get(item.sources[0], rows.first) if isinstance(theirs, Mapping) else theirs
        ops = () if told == rows.first else _permuted(record, rows, told)
        if ops is None:
            results.append(_refused(record))
            continue
        results.append(replace(item, ops=(*item.ops, *ops)))
        if ops and layer not in said:
            said.add(layer)
            results.append(_said(layer, record, rows))
    return results


def into_images(
    given: Iterable[Step | Finding], expected: Table, images: Mapping[str, Sequence[int]]
) -> list[Step | Finding]:
    """Steps with columns in the model's order where they become an image, channels first so far.

    Args:
        given: steps as if the order were the same.
        expected: the model's table.
        images: sizes of the images, channels last, by the key of the layer whose outputs they are.
    """
    results: list[Step | Finding] = []
    for item in given:
        record = expected.tensors[item.target] if isinstance(item, Step) else None
        image = images.get(record.layer) if record else None
        if isinstance(item, Step) and record and image and record.spec.shape[-1] == prod(image):
            *around, columns = record.spec.shape
            first, last = len(around), len(around) + len(image) - 1
            ops = (
                Reshape((*around, image[-1], *image[:-1])),
                Transpose((*range(first), *range(first + 1, last + 1), first)),
                Reshape((*around, columns)),
            )
            item = replace(item, ops=(*item.ops, *ops))
        results.append(item)
    return results


def owner(key: str, rows: Container[str]) -> str:
    """The layer of `rows` that a layer is, or is a part of; empty where there is none."""
    parts = key.split("/")
    return next((k for n in range(len(parts), 0, -1) if (k := "/".join(parts[:n])) in rows), "")


def _permuted(record: TensorRecord, rows: Rows, first: bool | None) -> tuple[Op, ...] | None:
    """Operations on a stored tensor; None where nothing is known of its order."""
    if not rows.known or first is None:
        return None
    shape = record.spec.shape
    if not shape or shape[0] != sum(prod(block) for block in rows.blocks):
        return ()
    if record.variable in ("bias", "recurrent_kernel"):
        return ()
    if len(rows.blocks) == 1:
        return _one_block(rows.blocks[0], shape, to_last=not rows.first)
    return (Pick(0, _order(rows)),)


def _one_block(block: Sequence[int], shape: Sequence[int], *, to_last: bool) -> tuple[Op, ...]:
    if prod(block[:-1]) == 1 or block[-1] == 1:
        return ()
    rank, tail = len(block), tuple(range(len(block), len(block) + len(shape) - 1))
    have = (block[-1], *block[:-1]) if to_last else tuple(block)
    axes = (*range(1, rank), 0) if to_last else (rank - 1, *range(rank - 1))
    return (
        Reshape((*have, *shape[1:])),
        Transpose((*axes, *tail)),
        Reshape(tuple(shape)),
    )


def _order(rows: Rows) -> tuple[int, ...]:
    """For each row of the model the stored one, block by block."""
    found: list[int] = []
    for block in rows.blocks:
        start, channels, places = len(found), block[-1], prod(block[:-1])
        outer, inner = (channels, places) if rows.first else (places, channels)
        found += [start + j * outer + i for i in range(outer) for j in range(inner)]
    return tuple(found)


def _said(layer: str, record: TensorRecord, rows: Rows) -> Finding:
    sizes = ", ".join("x".join(map(str, block)) for block in rows.blocks)
    order = "first" if rows.first else "last"
    message = (
        f"{record.label}: its rows were in the writer's axis order and now follow the model's, "
        f"which flattens {sizes} with the channels {order}"
    )
    return Finding("KG208", layer, message, Severity.INFO)


def _refused(record: TensorRecord) -> Finding:
    message = (
        f"{record.label}: the file was written with channels first, and the model's graph does "
        "not show how these weights depend on the axis order; build the model with channels "
        "first, or "
        "with a Permute in front of its Flatten: keras.layers.Permute((3, 1, 2))"
    )
    return Finding("KG208", record.key, message, Severity.ERROR)
