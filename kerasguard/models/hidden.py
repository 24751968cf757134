"""One tensor that a model has and Keras does not write: read, and put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasguard.models import variables
from kerasguard.models.kerases import is_layer
from kerasguard.models.kerases.backends import to_numpy
from kerasguard.tensors import TensorRecord
from kerasguard.tensors.elements import Array

__all__ = ["BOUNDARIES", "IDF_WEIGHTS", "Hidden", "adapted"]

BOUNDARIES, IDF_WEIGHTS = "bin_boundaries", "idf_weights"


def adapted(layer: Any, name: str) -> Array | None:
    """What `adapt` made of a layer under a name of this module; None if it was never adapted."""
    if name == BOUNDARIES:
        edges = getattr(layer, BOUNDARIES, None)
        return None if edges is None else np.asarray(edges, np.float64)
    weights = getattr(layer, "idf_weights_const", None)
    return None if weights is None else np.array(to_numpy(weights))


@dataclass(frozen=True, slots=True)
class Hidden:
    """One tensor that Keras does not write.

    Args:
        record: its key is `<owner's path>/unwritten/<names on the way to it>`.
        holder: the Keras (or TensorFlow) variable, or the layer that has it as an attribute.
        layer: the layer that it belongs to; None of a metric.
        merged: whether it is a part of what its layer stores as one, so that it is put back after
            the layer was loaded, together with the other parts or not at all.
    """

    record: TensorRecord
    holder: Any
    layer: Any = None
    merged: bool = False

    @property
    def is_variable(self) -> bool:
        """Whether the holder is a variable."""
        return not is_layer(self.holder)

    @property
    def known(self) -> bool:
        """Whether there is anything to keep; a layer that was never adapted has nothing."""
        return self.is_variable or adapted(self.holder, self.record.variable) is not None

    def read(self) -> Array:
        """Its elements now."""
        if self.is_variable:
            return np.array(to_numpy(self.holder))
        found = adapted(self.holder, self.record.variable)
        return np.zeros(0, self.record.spec.dtype) if found is None else found

    def write(self, array: Array) -> None:
        """Give it these elements; whoever may want them back remembers it first."""
        if self.is_variable:
            variables.write(self.holder, array)
        elif self.record.variable == BOUNDARIES:
            setattr(self.holder, BOUNDARIES, [float(value) for value in array])
        else:
            self.holder.load_own_variables({IDF_WEIGHTS: array})
