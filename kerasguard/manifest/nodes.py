"""Places in the parsed JSON of a manifest.

Parsing is strict: every value is checked for its type where it stands, and an error names the
place (`tensors[3].shape`).
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, TypeVar

from kerasguard.errors import ManifestError

__all__ = ["Node", "others"]

T = TypeVar("T")


class Node:
    """A place in the parsed JSON that knows its path, for messages."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise ManifestError(f"must be an object, got {type(value).__name__}", where=where)
        self.value, self.where = value, where

    def get(self, name: str, *types: type, default: Any = ...) -> Any:
        """The value under `name`, of one of `types`; the default must not be checked."""
        value = self.value.get(name, default)
        if type(value) in types or (value is default and default is not ...):
            return value  # what follows takes longer, and is for what is wrong
        place = f"{self.where}.{name}" if self.where else name
        if value is ...:
            raise ManifestError("is missing", where=place)
        # bool is an int to isinstance, and never what a number's place should hold.
        if value is not default and (
            not isinstance(value, types) or (isinstance(value, bool) and bool not in types)
        ):
            names = " or ".join(t.__name__ for t in types)
            raise ManifestError(f"must be {names}, got {value!r:.80}", where=place)
        return value

    def items(self, name: str) -> list[Node]:
        """The objects in the list under `name`."""
        return [Node(v, f"{self.where}{name}[{i}]") for i, v in enumerate(self.get(name, list))]

    def natural(self, name: str) -> int:
        """The non-negative integer under `name`."""
        value = self.get(name, int)
        if value < 0:
            raise ManifestError(f"must not be negative, got {value}", where=f"{self.where}.{name}")
        return int(value)

    def build(self, make: Callable[[], T]) -> T:
        """What `make` returns; its complaint about a value becomes a ManifestError here."""
        try:
            return make()
        except (TypeError, ValueError) as error:
            raise ManifestError(f"is not valid: {error}", where=self.where) from None


def others(node: Node, known: Set[str]) -> dict[str, Any] | None:
    """The fields at this place that are not among those `known`; None where there are none."""
    if node.value.keys() <= known:
        return None
    return {name: value for name, value in node.value.items() if name not in known}
