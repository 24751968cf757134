"""What a manifest tells of optimizers, checked when it is read."""

from __future__ import annotations

from kerasguard.errors import ManifestError
from kerasguard.manifest.nodes import Node

__all__ = ["check_optimizers"]

_NONE = type(None)


def check_optimizers(node: Node) -> None:
    """Check the entry `optimizer`: the compiled one, and under `others` a list of further ones.

    Raises:
        ManifestError: a part of it is of another type; `.where` names it.
    """
    node.get("class", str, default="")
    node.get("iterations", int, default=0)
    node.get("config", dict, _NONE, default=None)
    for slot in node.get("slots", list, default=[]):
        if not isinstance(slot, str):
            raise ManifestError(f"must be a name, got {slot!r:.80}", where="optimizer.slots")
    undecayed = node.get("undecayed", dict, default={})
    for path, keys in undecayed.items():
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            where = f"optimizer.undecayed[{path!r}]"
            raise ManifestError(f"must be a list of names, got {keys!r:.80}", where=where)
    others = node.get("others", list, default=[])
    for place, value in enumerate(others):
        other = Node(value, f"optimizer.others[{place}]")
        for name in ("path", "holder", "attribute"):
            other.get(name, str)
        other.get("entry", int, str, _NONE)
        other.get("config", dict)
