"""How strongly LoRA factors count in layers that were built from their configs.

Keras 3.15's Dense and Embedding enable LoRA by their rank alone when they are built, and forget the
`lora_alpha` that their config has. Where the factors are zero, as after Keras' own load, this makes
no difference before the model is trained on; with the factors of a recorded checkpoint, at once.

Source: `build` in keras/src/layers/core/dense.py and embedding.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kerasguard.models.kerases import is_layer
from kerasguard.models.walk import walk

__all__ = ["keep_scales"]


def keep_scales(model: Any, config: Mapping[str, Any]) -> None:
    """Give layers of a model that was just built the `lora_alpha` that its config tells.

    What a constructor made is left as it is: it was so, too, when the model was saved.
    """
    told = {(one.get("name"), one["lora_rank"]): one["lora_alpha"] for one in _scaled(config)}
    for visit in walk(model) if told else ():
        layer = visit.object
        if is_layer(layer) and getattr(layer, "lora_enabled", False):
            layer.lora_alpha = told.get((layer.name, layer.lora_rank), layer.lora_alpha)


def _scaled(config: Any) -> Iterator[Mapping[str, Any]]:
    """The arguments of layers with LoRA, wherever they lie in a config."""
    left = [config]
    while left:
        node = left.pop()
        if isinstance(node, Mapping):
            if node.get("lora_rank") and node.get("lora_alpha"):
                yield node
            left += node.values()
        elif isinstance(node, (list, tuple)):
            left += node
