"""Every field of a config and of a manifest, replaced by each type of JSON: typed errors only."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from kerasguard.blueprint.references import doubts
from kerasguard.errors import ArchitectureError, ManifestError
from kerasguard.formats.keras_paths import weights_table
from kerasguard.manifest import FileRecord, Manifest, MemberRecord
from kerasguard.migrations import migrate
from kerasguard.tensors import Extent, LayerRecord, Table, TensorRecord, TensorSpec

VALUES: tuple[Any, ...] = (None, True, 0, -1, 2**70, 1.5, "", "x", [], [None], {}, {"a": None})

HISTORY = {"class_name": "__keras_tensor__", "config": {"keras_history": ["in", 0, 0]}}


def functional() -> dict[str, Any]:
    layer = {"module": "keras.layers", "registered_name": None}
    inputs = {"batch_shape": [None, 3], "dtype": "float32", "name": "in"}
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "registered_name": "Functional",
        "config": {
            "name": "m",
            "layers": [
                {**layer, "class_name": "InputLayer", "config": inputs, "name": "in",
                 "inbound_nodes": []},
                {**layer, "class_name": "Dense", "config": {"name": "d", "units": 2}, "name": "d",
                 "inbound_nodes": [{"args": [HISTORY], "kwargs": {}}]},
            ],
            "input_layers": [["in", 0, 0]],
            "output_layers": [["d", 0, 0]],
        },
        "compile_config": {"loss": "mse", "optimizer": {"class_name": "Adam", "config": {}}},
    }  # fmt: skip


def manifest() -> Manifest:
    member = MemberRecord("config.json", 1, 2)
    file = FileRecord("m.keras", 10, "0" * 64, "xxh3:" + "0" * 32, (member,))
    record = TensorRecord(
        "layers/d/vars/0", TensorSpec((2,), "float32"), name="d/kernel", layer="layers/d",
        digest="xxh3:" + "1" * 32, nonfinite=0, extent=Extent("m.keras", 0, 8), trainable=True,
    )  # fmt: skip
    layer = LayerRecord("layers/d", "d", "Dense", "xxh3:1", ((("layers/i", 0, 0),),), 1)
    table = Table({record.key: record}, {layer.key: layer})
    return Manifest("keras_zip", (file,), table, companion=file, training={"metrics": {"a": 1.0}})


def replaced(data: Any) -> Iterator[tuple[str, Any]]:
    """The data with one place changed, for each place and each value."""
    for path in paths(data, ()):
        for value in VALUES:
            changed = copy.deepcopy(data)
            inner = changed
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = copy.deepcopy(value)
            yield f"{path} = {value!r}", changed


def paths(data: Any, before: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in list(items):
        yield (*before, key)
        if isinstance(value, (dict, list)):
            yield from paths(value, (*before, key))


def test_a_malformed_manifest_is_a_manifest_error() -> None:
    for place, data in replaced(manifest().to_dict()):
        try:
            found = Manifest.from_dict(data)
            assert Manifest.from_json(found.to_json()).to_json() == found.to_json(), place
        except ManifestError:
            continue
        except Exception as error:  # noqa: BLE001
            pytest.fail(f"{place}: {error!r}")


@pytest.mark.parametrize("writer", [{"keras": "3.15.1", "config": "keras3"}, {"keras": "2.4.0"}])
def test_a_malformed_config_is_an_architecture_error(writer: dict[str, str]) -> None:
    for place, config in replaced(functional()):
        for step in (
            lambda: list(doubts(config)),  # noqa: B023
            lambda: migrate(config, writer),  # noqa: B023
            lambda: weights_table({}, {}, config),  # noqa: B023
        ):
            try:
                step()
            except ArchitectureError:
                continue
            except Exception as error:  # noqa: BLE001
                pytest.fail(f"{place}: {error!r}")
