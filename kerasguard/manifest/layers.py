"""The JSON form of layers in a manifest: who they are, and what the model's code does with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kerasguard.errors import ManifestError
from kerasguard.manifest.nodes import Node, others
from kerasguard.tensors import Ends, LayerRecord, Use
from kerasguard.tensors import Node as Call

__all__ = [
    "ends_from",
    "ends_to_dict",
    "layer_from",
    "layer_to_dict",
    "use_from",
    "use_to_dict",
]

_KNOWN = frozenset(
    {
        *("key", "name", "class", "config_digest", "inbound", "position", "attribute", "use"),
        "trainable",
    }
)


def layer_to_dict(record: LayerRecord) -> dict[str, Any]:
    """JSON form of a layer record; what is unknown is left out."""
    data: dict[str, Any] = {"key": record.key, "name": record.name}
    if record.class_name:
        data["class"] = record.class_name
    if record.config_digest:
        data["config_digest"] = record.config_digest
    if record.inbound is not None:
        data["inbound"] = _plain_calls(record.inbound)
    if record.position >= 0:
        data["position"] = record.position
    if record.attribute:
        data["attribute"] = record.attribute
    if record.use is not None:
        data["use"] = use_to_dict(record.use)
    if record.trainable is not None:
        data["trainable"] = record.trainable
    return {**data, **record.extra} if record.extra else data


def use_to_dict(use: Use) -> dict[str, Any]:
    """JSON form of what the code does with a layer; what has its default is left out."""
    data: dict[str, Any] = {}
    if use.arguments is not None:
        data["arguments"] = list(use.arguments)
    if use.graph is not None:
        data["graph"] = _plain_calls(use.graph)
    if use.policy:
        data["policy"] = use.policy
    if use.held:
        data["held"] = list(use.held)
    if use.settings:
        data["settings"] = dict(use.settings)
    if not use.built:
        data["built"] = False
    return data


def _plain_calls(calls: Iterable[Call]) -> list[list[list[Any]]]:
    return [[list(source) for source in call] for call in calls]


def ends_to_dict(ends: Mapping[str, Ends]) -> dict[str, Any]:
    """JSON form of the inputs and outputs of models."""
    return {model: _plain_calls(both) for model, both in ends.items()}


def layer_from(node: Node) -> LayerRecord:
    """Inverse of `layer_to_dict`; raises ManifestError."""
    return LayerRecord(
        node.get("key", str),
        node.get("name", str),
        node.get("class", str, default=""),
        node.get("config_digest", str, default=""),
        _calls_from(node, "inbound"),
        node.get("position", int, default=-1),
        node.get("attribute", str, default=""),
        use_from(node),
        node.get("trainable", bool, default=None),
        others(node, _KNOWN),
    )


def use_from(around: Node) -> Use | None:
    """The `use` at this place, as `use_to_dict` wrote it; raises ManifestError."""
    use = around.get("use", dict, default=None)
    if use is None:
        return None
    node = Node(use, f"{around.where}.use".lstrip("."))
    texts = {
        name: node.get(name, list, default=default)
        for name, default in (("arguments", None), ("held", []))
    }
    settings = node.get("settings", dict, default={})
    for name, value in (*texts.items(), ("settings", list(settings.values()))):
        if not all(isinstance(text, str) for text in value or ()):
            raise ManifestError(
                f"must hold strings, got {value!r:.80}", where=f"{node.where}.{name}"
            )
    return Use(
        None if texts["arguments"] is None else tuple(texts["arguments"]),
        _calls_from(node, "graph"),
        node.get("policy", str, default=""),
        tuple(texts["held"]),
        settings,
        node.get("built", bool, default=True),
    )


def _calls_from(node: Node, name: str) -> tuple[Call, ...] | None:
    calls = node.get(name, list, default=None)
    return None if calls is None else node.build(lambda: _calls(calls))


def _calls(calls: Any) -> tuple[Call, ...]:
    return tuple(tuple((str(k), int(n), int(t)) for k, n, t in call) for call in calls)


def ends_from(node: Node) -> dict[str, Ends]:
    """Inverse of `ends_to_dict`; raises ManifestError."""
    return node.build(lambda: {model: _ends(both) for model, both in node.value.items()})


def _ends(both: Any) -> Ends:
    first, last = _calls(both)
    return first, last
