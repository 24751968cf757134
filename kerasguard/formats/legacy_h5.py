"""HDF5 files of Keras 1 and 2, of tf.keras, and Keras 3's own `.h5`.

A full model has the config in attributes of the root and the weights in the group
`model_weights`; a weights-only file has the weights' groups at the root. The attribute
`layer_names` of that place lists one group per layer, `weight_names` of each group its datasets.
HDF5 holds attributes of 64 kB at most, so long lists are split: `layer_names0`, `layer_names1`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kerasguard.errors import CorruptCheckpointError
from kerasguard.formats.hdf5.file import START as HDF5
from kerasguard.formats.hdf5.file import Hdf5File, root_attributes
from kerasguard.formats.optimizer_slots import optimizer_layer, with_slots
from kerasguard.layouts.names import split_weight_name
from kerasguard.layouts.origin import layer_configs
from kerasguard.storage.checkpoint import Checkpoint, Traits
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.storage.strict_json import strict_json
from kerasguard.tensors import Extent, LayerRecord, Table, TensorRecord
from kerasguard.tensors.elements import Array

if TYPE_CHECKING:
    from kerasguard.formats.hdf5.dataset import StoredDataset

__all__ = ["LegacyH5"]

_WEIGHTS, _OPTIMIZER = "model_weights", "optimizer_weights"
_TELLTALE = {"layer_names", "layer_names0", "nb_layers", "model_config", _WEIGHTS}


class LegacyH5(Checkpoint):
    """A legacy Keras file, full model or weights only.

    Args:
        path: the file, whatever its name.

    Raises:
        CheckpointError: it cannot be opened, or is not a sound HDF5 file.
    """

    name: ClassVar[str] = "legacy_h5"
    traits: ClassVar[Traits] = Traits(
        "order", config="legacy", suffixes=(".h5", ".hdf5"), starts=HDF5
    )

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file = OpenedFile(self.path)
        try:
            self._h5 = Hdf5File(self._file)
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is HDF5 and has what only legacy files have."""
        return bool(root_attributes(path) & _TELLTALE)

    def files(self) -> Mapping[str, OpenedFile]:
        """The one file."""
        return {self.path.name: self._file}

    def table(self) -> Table:
        """Weights by layer in the file's order, then optimizer state."""
        return self._table

    def read(self, key: str) -> Array:
        """One tensor."""
        return self._h5.read(self._content[1][key])

    def architecture(self) -> dict[str, Any] | None:
        """The stored config, with `training_config` added where the file has one."""
        return self._architecture

    def writer(self) -> dict[str, str]:
        """`keras` (`"1"` where the file does not say), `backend` where known, and `format`."""
        told = {"format": self.name, "keras": self._told("keras_version") or "1"}
        backend = self._told("backend") or self._backend(told["keras"])
        return {**told, "backend": backend} if backend else told

    def assets(self) -> Mapping[str, bytes]:
        """Nothing: this format has none."""
        return {}

    def foreign(self) -> Sequence[str]:
        """Paths of datasets that are not Keras'."""
        return tuple(self._h5.foreign) if self._content else ()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._h5.close()
        self._file.close()

    @cached_property
    def _content(self) -> tuple[dict[str, str], dict[str, StoredDataset]]:
        return self._h5.walk()

    @cached_property
    def _place(self) -> str:
        """Where the layers' groups lie: `model_weights`, or the root."""
        return _WEIGHTS if _WEIGHTS in self._content[0] else ""

    def _told(self, attribute: str) -> str:
        """A text in an attribute of the root, else of the weights' group."""
        for place in dict.fromkeys(("", self._place)):
            value = _text(self._h5.attribute(place, attribute))
            if value:
                return value
        return ""

    def _backend(self, version: str) -> str:
        """Keras 1 did not say; but TensorFlow's variables end in `:0`, Theano's never did."""
        names = [name for _, names in self._layers for name in names]
        if not names or not version.startswith("1") or all(n.startswith("param_") for n in names):
            return ""
        return "tensorflow" if any(name.endswith(":0") for name in names) else "theano"

    @cached_property
    def _architecture(self) -> dict[str, Any] | None:
        config = self._json("model_config")
        if not isinstance(config, dict):
            return None
        training = self._json("training_config")
        return {**config, "training_config": training} if training else config

    def _json(self, attribute: str) -> Any:
        """An attribute's JSON, which some writers encoded twice; None where there is none."""
        value: Any = _text(self._h5.attribute("", attribute))
        try:
            for _ in range(2):
                if isinstance(value, str) and value:
                    value = strict_json(value, constants=True)
        except ValueError as error:
            raise CorruptCheckpointError(
                self.path, f"attribute {attribute} is not JSON ({error}); copy the file again"
            ) from error
        return value or None

    def _names(self, place: str, attribute: str) -> list[str]:
        """A list of names in an attribute, or in its pieces `<attribute>0`, `<attribute>1`..."""
        whole = self._h5.attribute(place, attribute)
        if whole is not None:
            return _texts(whole)
        return [name for piece in self._pieces(place, attribute) for name in _texts(piece)]

    def _pieces(self, place: str, attribute: str) -> Iterator[Any]:
        number = 0
        while (piece := self._h5.attribute(place, f"{attribute}{number}")) is not None:
            yield piece
            number += 1

    @cached_property
    def _layers(self) -> list[tuple[str, list[str]]]:
        """Layers in the file's order, each with the names of its weights."""
        groups = self._content[0]
        layers = self._names(self._place, "layer_names") or self._numbered(groups)
        if _top_level(self._place) in groups and "top_level_model_weights" not in layers:
            layers.append("top_level_model_weights")
        found = []
        for layer in layers:
            place = _join(self._place, layer)
            if place not in groups:
                raise self._broken(f"layer {layer!r} is listed but has no group")
            names = self._names(place, "weight_names") or self._parameters(place)
            if len(set(names)) != len(names):
                raise self._broken(f"layer {layer!r} lists a weight twice, so the save failed")
            found.append((layer, names))
        return found

    def _numbered(self, groups: Mapping[str, str]) -> list[str]:
        """Keras before 1.0: `nb_layers` groups `layer_0`, `layer_1`, ..."""
        names = [f"layer_{n}" for n in range(self._count(self._place, "nb_layers", len(groups)))]
        return [name for name in names if _join(self._place, name) in groups]

    def _parameters(self, place: str) -> list[str]:
        """Keras before 1.0: `nb_params` datasets `param_0`, `param_1`, ..."""
        most = len(self._content[1]) + 1  # so that one is missing where the file claims more
        return [f"param_{n}" for n in range(self._count(place, "nb_params", most))]

    def _count(self, place: str, attribute: str, most: int) -> int:
        """A number of groups or datasets that the file claims, at most what can be there."""
        told = self._h5.attribute(place, attribute)
        try:
            return 0 if told is None else min(int(told), most)
        except (OverflowError, TypeError, ValueError):
            raise self._broken(f"{attribute} of {place or '/'!r} is no number") from None

    @cached_property
    def _table(self) -> Table:
        classes = {
            config["name"]: name
            for name, config in reversed(list(layer_configs(self._architecture)))
            if isinstance(config.get("name"), str)
        }
        old = self.writer()["keras"].startswith("1")
        tensors: list[TensorRecord] = []
        layers: dict[str, LayerRecord] = {}
        rank = 0
        for layer, names in self._layers:
            key = _join(self._place, layer)
            position, rank = (rank, rank + 1) if names else (-1, rank)
            layers[key] = LayerRecord(key, layer, classes.get(layer, ""), position=position)
            for name in names:
                variable = split_weight_name(name, old)[1]
                tensors.append(self._record(_join(key, name), f"{layer}/{name}", variable, key))
        state = self._optimizer(tensors, layers)
        optimizer = optimizer_layer(state)
        if optimizer is not None:
            layers[optimizer.key] = optimizer
        return Table.of([*tensors, *state], layers=layers, addressing="order")

    def _record(self, key: str, name: str, variable: str, layer: str) -> TensorRecord:
        dataset = self._content[1].get(key)
        if dataset is None:
            self._h5.refuse(key)
            raise self._broken(f"weight {name!r} is listed but has no dataset")
        extent = None
        if dataset.offset is not None:
            extent = Extent(self.path.name, dataset.offset, dataset.spec.nbytes)
        return TensorRecord(key, dataset.spec, name, variable, layer, extent=extent)

    def _optimizer(
        self, tensors: list[TensorRecord], layers: Mapping[str, LayerRecord]
    ) -> list[TensorRecord]:
        """The optimizer's tensors, with slot and weight where their names tell them."""
        if _OPTIMIZER not in self._content[0]:
            return []
        records = {}
        for weight in tensors:
            name = weight.name.removeprefix(f"{layers[weight.layer].name}/")
            records[weight.key] = replace(weight, name=_bare(name))
        for name in self._names(_OPTIMIZER, "weight_names"):
            variable = split_weight_name(name)[1]
            record = self._record(_join(_OPTIMIZER, name), _bare(name), variable, "optimizer")
            records[record.key] = replace(record, role="optimizer")
        return list(with_slots(records).values())[len(tensors) :]

    def _broken(self, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(
            self.path, f"{what}; the file is incomplete or damaged: save or copy it again"
        )


def _top_level(place: str) -> str:
    return _join(place, "top_level_model_weights")


def _join(place: str, name: str) -> str:
    """A path as HDF5 reads it: empty parts and slashes at the ends mean nothing."""
    return "/".join(part for part in f"{place}/{name}".split("/") if part)


def _bare(name: str) -> str:
    """A TensorFlow variable's name without the `:0` of its tensor."""
    return name.removesuffix(":0")


def _texts(value: Any) -> list[str]:
    return [_text(item) for item in getattr(value, "tolist", lambda: [value])()]


def _text(value: Any) -> str:
    """Text of an attribute, which h5py gives as bytes or str by version and writer."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
