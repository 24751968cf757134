"""An architecture in the place of a stored one, with what it says of its writer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kerasguard.layouts.origin import layer_configs
from kerasguard.tensors import Table

__all__ = ["GivenConfig"]


@dataclass(frozen=True, slots=True)
class GivenConfig:
    """An architecture, not migrated, and what it tells of its writer.

    Args:
        architecture: `{"class_name": ..., "config": ...}`.
        form: as `Traits.config`: `keras3` with modules, `legacy` without.
        versions: `keras` and `backend`, as far as they are told.
    """

    architecture: Mapping[str, Any]
    form: str
    versions: Mapping[str, str]

    def writer(self, told: Mapping[str, str]) -> dict[str, str]:
        """What a file tells of its writer, and what it does not say from here.

        An HDF5 file without a version is one of Keras 1, of which this knows more.
        """
        found = {**self.versions, **told}
        if told.get("keras") == "1" and self.versions.get("keras", "").startswith("1."):
            found["keras"] = self.versions["keras"]
        return found

    def describes(self, table: Table) -> bool:
        """Whether it is the file's own architecture, as far as names of layers tell.

        A model that was made anew has other names, and is only like the one that was saved.
        """
        ours = {str(config.get("name")) for _, config in layer_configs(self.architecture)}
        owners = {r.layer for r in table.tensors.values() if r.role == "weight"}
        names = {table.layers[key].name for key in owners if key in table.layers}
        return table.addressing != "order" or names <= ours
