"""The arrays of a checkpoint by the path of their variable, without a framework."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal, get_args

from kerasguard.arguments import check_choice, check_flag, check_source
from kerasguard.errors import CheckpointError, CorruptCheckpointError
from kerasguard.formats.stored_variables import with_names
from kerasguard.layouts.names import split_weight_name
from kerasguard.loader.arrays import Arrays
from kerasguard.loader.reading import Reading
from kerasguard.loader.sources import Source, at_hand
from kerasguard.storage.sidecar import ManifestPolicy
from kerasguard.tensors import Table, TensorRecord

__all__ = ["Layout", "arrays_of", "read"]

Layout = Literal["torch"]


def read(
    path: Source,
    *,
    manifest: ManifestPolicy = "auto",
    optimizer: bool = False,
    layout: Layout | None = None,
) -> Arrays:
    """The arrays of a checkpoint of any format, each read and verified when it is asked for.

    Imports no framework. Bytes outside the tensors are verified now; each tensor is verified
    against the manifest's digest when it is accessed, which needs memory for that tensor only. A
    checkpoint that nobody recorded is checked by what its container has: CRCs of a zip archive and
    of a TensorFlow checkpoint; HDF5 and safetensors have none.

    Args:
        path: of the checkpoint, an address in MLflow or elsewhere (`s3://...`), its bytes, or
            arrays in memory by name.
        manifest: `auto`, `require`, or `ignore` to read what is there.
        optimizer: whether to give the optimizer's state, too.
        layout: the framework of the arrays, if not Keras: `torch` for a PyTorch state dict, in
            `.npz`, `.safetensors` or memory. They keep their names and axes here;
            `kerasguard.load(arrays, model)` gives each array the axes of its layer.

    Returns:
        A mapping by the path of the variable (`encoder/hidden/kernel`) where the file or its
        manifest has it and it is unique, else by the file's own key (`layers/dense/vars/0`).
        `kerasguard.load` takes it, or any dict that is made of it.

    Raises:
        ArgumentError: an argument is not understood; nothing was opened.
        CheckpointError: the checkpoint cannot be read, or is damaged outside its tensors; at an
            access, that tensor is.
        ManifestError: the manifest cannot be read.

    Example:
        >>> kerasguard.read("run/07.keras")["head/kernel"].shape  # doctest: +SKIP
        (16, 2)
    """
    check_source(path)
    check_choice("manifest", manifest, get_args(ManifestPolicy))
    check_choice("layout", layout, (None, *get_args(Layout)))
    check_flag("optimizer", optimizer)
    roles = ("weight", "optimizer") if optimizer else ("weight",)
    return _opened(path, manifest, roles, modules=layout == "torch")


def arrays_of(source: Source, stack: contextlib.ExitStack) -> Arrays:
    """What `read` gives of a path; what it gave already; arrays in memory in the same form.

    Args:
        source: one of the three.
        stack: closes what is opened for it.

    Raises:
        ArgumentError, CheckpointError, ManifestError: as `read`.
    """
    if isinstance(source, Arrays):
        return source
    check_source(source)
    return stack.enter_context(_opened(source, "auto", ("weight",)))


def _opened(
    source: Source, manifest: ManifestPolicy, roles: tuple[str, ...], *, modules: bool = False
) -> Arrays:
    with contextlib.ExitStack() as stack:
        local, found = stack.enter_context(at_hand(source, manifest))
        reading = stack.enter_context(Reading(local, found, at_once=False))
        if reading.problems:
            raise CorruptCheckpointError(reading.path, "; ".join(reading.problems))
        if modules:
            return _modules(reading, stack)
        kept = reading.manifest.kept if reading.manifest else {}
        tensors = {**reading.table.tensors, **kept}
        told = reading.architecture()
        named = with_names(tensors, told, plain=True) if told else tensors
        records = [
            record if record.variable else named[key]
            for key, record in tensors.items()
            if record.role in roles
        ]
        names = {name: record.key for name, record in _named(reading.table, records)}
        given = {name: tensors[key] for name, key in names.items()}
        return Arrays(reading, given, stack.pop_all())
    raise AssertionError("nothing above swallows an error")


def _modules(reading: Reading, stack: contextlib.ExitStack) -> Arrays:
    """The arrays of a state dict, by the names that they have in it."""
    if reading.traits.keys != "variables":
        raise CheckpointError(
            reading.path,
            'layout="torch" is for arrays named as in a state dict: a mapping, a '
            ".safetensors file, or a .npz of np.savez(path, **arrays)",
        )
    return Arrays(reading, reading.table.tensors, stack.pop_all(), keys="modules")


def _named(table: Table, records: Iterable[TensorRecord]) -> Iterator[tuple[str, TensorRecord]]:
    """Each record under its variable's path if it alone has that, else under its key."""
    paths = {r.key: _path(table, r) for r in records}
    count = Counter([*paths.values(), *paths])
    for record in records:
        path = paths[record.key]
        yield path if path and count[path] == 1 + (path == record.key) else record.key, record


def _path(table: Table, record: TensorRecord) -> str:
    """The path of the variable; empty where nothing tells it."""
    if record.role == "optimizer":
        return record.name if record.slot else ""
    last = record.name.rpartition("/")[2]
    if table.addressing == "order" and record.layer in table.layers:
        return _listed(table.layers[record.layer].name, record.name)
    if not record.variable or last != record.variable:
        return ""
    around = list(_around(table, record))
    own = record.name.split("/")
    if len(own) == 2 and around and around[-1] == own[0]:  # the file tells the last layer's only
        return "/".join([*around, last])
    return record.name


def _around(table: Table, record: TensorRecord) -> Iterator[str]:
    """Names of the layers on the way to a tensor, outermost first."""
    parts = record.layer.split("/")
    for end in range(1, len(parts) + 1):
        layer = table.layers.get("/".join(parts[:end]))
        if layer is not None and layer.name:
            yield layer.name


def _listed(layer: str, name: str) -> str:
    """Of Keras 1 and 2: their files list a layer's weights with or without its name before."""
    scopes, variable = split_weight_name(name.removeprefix(f"{layer}/"))
    inner = scopes[scopes.index(layer) + 1 :] if layer in scopes else scopes
    return "/".join([layer, *inner, variable])
