"""What the writer of a legacy file tells about how its kernels lie."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kerasguard.layouts.locally_connected import CLASSES

__all__ = ["Ordering", "Origin", "layer_configs"]

Ordering = Literal["th", "tf", ""]
_LEAVES = (str, int, float, type(None))


@dataclass(frozen=True, slots=True)
class Origin:
    """The writer of a legacy file, as far as layouts depend on it.

    Args:
        major: major version of Keras; 1 where the file does not say.
        backend: `theano`, `tensorflow`, `cntk`, ...; empty where unknown.
        ordering: of Keras 1 kernels: `th` (outputs first), `tf`, or empty where unknown.
        local: the configs of locally connected layers by name, as the file has them.
    """

    major: int
    backend: str = ""
    ordering: Ordering = ""
    local: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @staticmethod
    def of(writer: Mapping[str, str], architecture: Mapping[str, Any] | None = None) -> Origin:
        """From what the checkpoint says of its writer, and the config that it stores."""
        head = re.match(r"[0-9]{1,9}(?=\.|\Z)", writer.get("keras", "1"))
        major = int(head[0]) if head else 1
        ordering = _ordering(architecture) if major < 2 else ""
        local = {str(c.get("name")): c for k, c in layer_configs(architecture) if k in CLASSES}
        return Origin(major, writer.get("backend", ""), ordering, local)

    @property
    def convolves(self) -> bool:
        """Whether the writer flipped its kernels while computing, as mathematics does.

        Theano did; TensorFlow, CNTK and Keras 3 correlate.
        """
        return self.backend == "theano"

    def ordered(self, ordering: Ordering) -> Origin:
        """This origin with another ordering."""
        return replace(self, ordering=ordering)


def _ordering(architecture: Mapping[str, Any] | None) -> Ordering:
    """The one `dim_ordering` that all layers share; empty where they differ or none has it."""
    found = {
        config["dim_ordering"]
        for _, config in layer_configs(architecture)
        if config.get("dim_ordering") in ("th", "tf")
    }
    return found.pop() if len(found) == 1 else ""


def layer_configs(node: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Class name and config of every layer anywhere in a stored config, outer before inner."""
    if isinstance(node, Mapping):
        config = node.get("config")
        if isinstance(node.get("class_name"), str) and isinstance(config, Mapping):
            yield node["class_name"], config
        for value in node.values():
            if not isinstance(value, _LEAVES):
                yield from layer_configs(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            if not isinstance(value, _LEAVES):
                yield from layer_configs(value)
