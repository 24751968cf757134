"""Attributes of HDF5 objects; those of variable length are read without libhdf5."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from h5py import h5a, h5o, h5t

from kerasguard.formats.hdf5.headers import ATTRIBUTE, Headers, parse_attribute
from kerasguard.storage.budget import excess

__all__ = ["read_attribute", "text"]

_PLAIN = (h5t.INTEGER, h5t.FLOAT, h5t.STRING)
_MAX_BYTES = 64 << 20
_REFERENCE = 16


def read_attribute(headers: Headers, place: Any, name: str, address: int | None = None) -> Any:
    """Text, number or array of texts or numbers; None where there is none of these.

    Args:
        headers: of the file.
        place: h5py's low-level object.
        name: of the attribute.
        address: of the object's header, where it is known already.

    Raises:
        ValueError: it is damaged; h5py's own exceptions likewise.
    """
    raw = name.encode()
    if not h5a.exists(place, raw):
        return None
    found = h5a.open(place, raw)
    kind, shape = found.get_type(), found.shape or ()
    if kind.get_class() not in _PLAIN:
        return None
    size = math.prod(shape) * kind.get_size()
    if over := excess(size, _MAX_BYTES):
        raise ValueError(f"attribute {name!r} has {size} bytes{over}")
    if kind.get_class() == h5t.STRING and kind.is_variable_str():
        where = h5o.get_info(place).addr if address is None else address
        texts = _texts(headers, where, raw, math.prod(shape))
        return texts[0] if shape == () else np.array(texts, object).reshape(shape)
    array = np.empty(shape, found.dtype)
    if array.size:  # h5py takes a storage size of 0 for an error
        found.read(array, mtype=h5t.py_create(found.dtype))
    return array[()]


def text(value: Any) -> str:
    """An attribute's text; empty for anything else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _texts(headers: Headers, address: int, name: bytes, count: int) -> list[str]:
    for message in headers.messages(address):
        found = parse_attribute(message) if message.kind == ATTRIBUTE else None
        if found and found.name == name and len(found.data) >= count * _REFERENCE:
            return headers.texts(found.data[: count * _REFERENCE])
    raise ValueError(f"attribute {name.decode()!r} is not in the object's header")
