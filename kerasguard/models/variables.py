"""Writing and reading Keras variables: without a copy where that is safe, on every replica.

With the TensorFlow backend on one device a variable takes over an array's memory. TensorFlow
copies such a variable before it changes it for the first time, since it does not own the memory,
so neither the array nor another variable over the same memory ever changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from kerasguard.models.kerases.backends import (
    components,
    inner,
    is_spread,
    on_tensorflow,
    pieces,
    resource_of,
    spread_as,
    synchronization,
    to_numpy,
)
from kerasguard.models.kerases.resources import read, read_together
from kerasguard.storage.arena import aligned
from kerasguard.tensors.elements import Array

__all__ = [
    "ALIGNMENT",
    "alias",
    "held",
    "held_together",
    "in_place",
    "memory",
    "same_on_replicas",
    "snapshot",
    "snapshots",
    "tensor_over",
    "ways",
    "write",
]

Way = tuple[Sequence[Any], Any]
ALIGNMENT = 64
"""TensorFlow copies arrays whose memory does not start at a multiple of this."""
_CPU = re.compile(r"job:localhost/.*device:CPU:\d+$")


def write(variable: Any, array: Array, way: Way | None = None) -> None:
    """Give a Keras variable (on all replicas) the array's elements.

    The array must have the variable's shape and dtype and must not be changed afterwards.

    Args:
        variable: of any backend.
        array: its new elements.
        way: what `ways` gave for the two, where many are written.
    """
    resources, tensor = way or ways([variable], [array])[0]
    if tensor is None:
        variable.assign(spread_as(variable, array) if is_spread(variable) else array)
        return
    import tensorflow as tf

    assign = tf.raw_ops.AssignVariableOp
    if len(resources) == 1:
        assign(resource=resources[0].handle, value=tensor)
        return
    for resource in resources:  # a replica each: no traced update, and no copy for each of them
        with tf.device(resource.device):
            assign(resource=resource.handle, value=tensor)


def ways(variables: Sequence[Any], arrays: Sequence[Array]) -> list[Way]:
    """For each, where it can be written without a copy and the tensor for that; None elsewhere.

    To do one thing for all variables before the next takes half the time: a processor's caches do
    not hold the insides of TensorFlow and those of Python at once.
    """
    resources = [_plain_resources(variable) for variable in variables]
    return [
        (some, alias(array) if some else None)
        for some, array in zip(resources, arrays, strict=True)
    ]


def snapshot(variable: Any) -> Callable[[], None]:
    """Remember a variable's elements on every replica; calling the result brings them back.

    With TensorFlow this takes no memory until the variable is written: the snapshot keeps the
    old buffer.
    """
    resource = resource_of(variable)
    if resource is not None:
        held_now = read(resource)
        return lambda: resource.assign(held_now)
    if is_spread(variable):
        value = inner(variable)  # which is never written to, but replaced
        return lambda: variable.assign(value)
    if not on_tensorflow():
        array = np.array(variable)
        return lambda: variable.assign(array)
    parts = [(part, read(part)) for part in pieces(variable)]

    def restore() -> None:
        for part, value in parts:
            part.assign(value)

    return restore


def snapshots(variables: Sequence[Any]) -> list[Callable[[], None]]:
    """As `snapshot` of each, with one call for all that lie on one device."""
    resources = [resource_of(variable) for variable in variables]
    known = iter(read_together([one for one in resources if one is not None]))
    return [
        snapshot(variable) if resource is None else partial(resource.assign, next(known))
        for variable, resource in zip(variables, resources, strict=True)
    ]


def same_on_replicas(variable: Any) -> bool:
    """Whether all replicas of a variable that is kept in step hold the same bytes."""
    if not on_tensorflow():
        return True
    if synchronization(variable) == "on_read":
        return True  # each replica has its own part, summed up or averaged when read
    first, *others = components(variable)
    if not others:
        return True
    expected = first.numpy().tobytes()
    return all(other.numpy().tobytes() == expected for other in others)


def in_place(value: Any) -> Any:
    """An array over the memory of a variable of TensorFlow that is one; else the value itself."""
    resource = resource_of(value)
    if resource is None:
        return value
    return _elements(read(resource))


def _elements(tensor: Any) -> Any:
    """An array (or a number) over a tensor's memory where TensorFlow gives one, else a copy."""
    return getattr(tensor, "_numpy", tensor.numpy)()


def held_together(values: Sequence[Any]) -> list[Array | None]:
    """What `held` gives of each variable of TensorFlow on one device; None for all else."""
    resources = [resource_of(value) for value in values]
    known = iter(read_together([one for one in resources if one is not None]))
    return [None if one is None else np.asarray(_elements(next(known))) for one in resources]


def held(value: Any) -> Array:
    """The elements of a variable, a tensor or an array as they are now; not to be changed."""
    found = in_place(value)
    return to_numpy(found)


def memory(length: int) -> npt.NDArray[np.uint8]:
    """Bytes to read a tensor into that goes into a variable.

    Some builds of TensorFlow keep what a variable gives up, for their next tensor. Where the next
    one's memory comes from elsewhere, a model that is filled takes twice its size.
    """
    if _eager_tensor() is None:
        return aligned(length)
    import tensorflow as tf

    with tf.device("CPU:0"):
        found = _elements(tf.raw_ops.Empty(shape=[length], dtype=tf.uint8, init=False))
    is_its_own = not found.flags.owndata and found.flags.writeable
    return np.asarray(found) if is_its_own else aligned(length)


def tensor_over(array: Array) -> Any:
    """A tensor with the array's elements, over its memory where that can be had."""
    tensor = alias(array) if on_tensorflow() else None
    return array if tensor is None else tensor


def alias(array: Array) -> Any:
    """An eager tensor over the array's own memory; None where that cannot be had.

    Arrays that are not aligned, not contiguous or not in host byte order are left to the caller.
    """
    aligned = array.ctypes.data % ALIGNMENT == 0 and array.flags.c_contiguous
    if not aligned or not array.dtype.isnative or array.dtype.hasobject:
        return None
    make = _eager_tensor()
    if make is None:
        return None
    tensor = make(array, None, None)
    made = getattr(tensor, "_numpy", tensor.numpy)()
    return tensor if made.shape == array.shape and made.dtype == array.dtype else None


def _eager_tensor() -> Any:
    """TensorFlow's tensor class, whose constructor takes arrays without a copy.

    Not public; where it is not found, or no eager execution is on, nothing is aliased.
    """
    if not on_tensorflow():
        return None
    import tensorflow as tf

    return _tensor_class() if tf.executing_eagerly() else None


@cache
def _tensor_class() -> Any:
    import tensorflow as tf

    cls = type(tf.constant(0))
    return cls if cls.__name__ == "EagerTensor" else None


def _plain_resources(variable: Any) -> Sequence[Any]:
    """The resource variables behind a variable on CPUs, one per replica; none for other kinds."""
    alone = resource_of(variable)
    if alone is None and synchronization(variable) == "on_read":
        return ()
    found = [alone] if alone is not None else [resource_of(p) for p in components(variable)]
    if any(one is None or not _is_on_cpu(one.device) for one in found):
        return ()
    import tensorflow as tf

    return () if tf.inside_function() else found


@cache
def _is_on_cpu(device: str) -> bool:
    return _CPU.search(device) is not None
