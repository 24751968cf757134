"""Vocabularies that Keras took out of the configs of a SavedModel, put into them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from kerasguard.formats.tensorflow.keras_metadata import Metadata, Program
from kerasguard.formats.tensorflow.lookup_tables import Vocabulary
from kerasguard.formats.tensorflow.object_layers import ELEMENT
from kerasguard.formats.tensorflow.stored_objects import object_graph
from kerasguard.formats.tensorflow.stored_tables import stored_vocabulary
from kerasguard.formats.tensorflow.tensor_bundle import Bundle

__all__ = ["LookupSource"]

_WEIGHED, _ROUNDING = ("tf_idf", "tf-idf"), 1e-5
_NOTHING = Metadata("", {})


class LookupSource:
    """Where the lookup layers of one SavedModel have their vocabularies.

    Args:
        program: what `saved_model.pb` tells.
        metadata: what Keras stored of its objects, by node of the program.
        bundle: the variables; None where there are none.
        vocabularies: of the lookup tables in the program, by node; called once, if at all.
    """

    def __init__(
        self,
        program: Program,
        metadata: Mapping[int, Metadata],
        bundle: Bundle | None,
        vocabularies: Callable[[], Mapping[int, Vocabulary]],
    ) -> None:
        self._program, self._metadata, self._bundle = program, metadata, bundle
        self._read = vocabularies

    @cached_property
    def _vocabularies(self) -> Mapping[int, Vocabulary]:
        return self._read()

    def give(self, config: Mapping[str, Any], model: int = 0, around: str = "") -> None:
        """Put vocabularies into the configs of a model's layers.

        Args:
            config: the model's, whose layers are changed in place.
            model: its node; the root is 0.
            around: where it lies in the checkpoint, with a slash behind; empty for the root.
        """
        inner = config.get("config")
        entries = inner.get("layers") if isinstance(inner, dict) else None
        by_name: dict[object, tuple[int, list[str]]] = {}
        for edge, node in self._program.nodes[model].children:
            if ELEMENT.fullmatch(edge):
                name = self._metadata.get(node, _NOTHING).config.get("name")
                by_name.setdefault(name, (node, []))[1].append(f"{around}{edge}/")
        for entry in entries if isinstance(entries, list) else []:
            layer = entry.get("config") if isinstance(entry, dict) else None
            if isinstance(layer, dict) and layer.get("name") in by_name:
                node, places = by_name[layer["name"]]
                self._give_one(str(entry.get("class_name")), layer, node, places)
                for place in places:
                    self.give(entry, node, place)

    def _give_one(
        self, class_name: str, layer: dict[str, Any], node: int, places: Sequence[str]
    ) -> None:
        """The config of a lookup or of a TextVectorization, which has a lookup inside."""
        if layer.get("vocabulary") is not None:
            return
        node = dict(self._program.nodes[node].children).get("_lookup_layer", node)
        found = self._vocabularies.get(node)
        if found is None and self._bundle is not None:
            tables = (stored_vocabulary(self._bundle, place, class_name, layer) for place in places)
            found = next((table for table in tables if table is not None), None)
        if found is None:
            return
        if layer.get("output_mode") in _WEIGHED:
            weights = self._token_weights(node, found)
            if weights is None:
                return
            layer["idf_weights"] = weights
        layer["vocabulary"] = list(found.tokens)

    def _token_weights(self, node: int, vocabulary: Vocabulary) -> list[float] | None:
        """The weights of a vocabulary's tokens, if those before them are what Keras makes up."""
        if self._bundle is None:
            return None
        variable = dict(self._program.nodes[node].children).get("idf_weights")
        nodes = object_graph(self._bundle)
        same = self._program.matched(nodes).get(-1 if variable is None else variable)
        value = None if same is None else nodes[same].value
        if value is None:
            return None
        array = self._bundle.read(value.key)
        first, last = vocabulary.start, vocabulary.start + len(vocabulary.tokens)
        tokens, made_up = array[first:last], array[:first]
        if len(tokens) < last - first or abs(made_up - tokens.mean()).max(initial=0) > _ROUNDING:
            return None
        return [float(weight) for weight in tokens]
