"""What TensorFlow's variables hold, read in the cheapest way that it has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

__all__ = ["read", "read_together"]

_READ_SEVERAL = b"_ReadVariablesOp"


def read(part: Any) -> Any:
    """A tensor of what a backend's variable of TensorFlow holds, which nothing changes later."""
    import tensorflow as tf

    if type(part).__name__ == "ResourceVariable" and tf.executing_eagerly():
        # `read_value` without its names and gradients: four fifths of what that takes.
        return tf.raw_ops.ReadVariableOp(resource=part.handle, dtype=part.dtype)
    return part.read_value()


def read_together(resources: Sequence[Any]) -> list[Any]:
    """As `read` of each; variables of TensorFlow on one device are read in one call."""
    if not resources:
        return []  # nor need TensorFlow be there at all
    import tensorflow as tf

    alone = len({resource.device for resource in resources}) != 1
    if alone or not tf.executing_eagerly() or not _reads_several():
        return [read(resource) for resource in resources]
    from tensorflow.python.eager import context, execute

    dtypes = [resource.dtype.as_datatype_enum for resource in resources]
    return list(
        execute.execute(
            _READ_SEVERAL,
            len(dtypes),
            inputs=[resource.handle for resource in resources],
            attrs=("N", len(dtypes), "dtypes", dtypes),
            ctx=context.context(),
        )
    )


@cache
def _reads_several() -> bool:
    """Whether TensorFlow has the operation, which is not public and takes a quarter of the time."""
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(_READ_SEVERAL.decode()) is not None
