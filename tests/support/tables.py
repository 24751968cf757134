"""Makes the tables of imaginary Keras 3 models, as their files and their live selves have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kerasguard.tensors import LayerRecord, Table, TensorRecord, TensorSpec, snake_case


@dataclass(frozen=True)
class Layer:
    """One layer of an imaginary model: its name, class, kernel shape and what it is called on."""

    name: str
    shape: tuple[int, ...] = (4, 4)
    cls: str = "Dense"
    config: str = ""
    inputs: tuple[str, ...] | None = None
    variables: tuple[str, ...] = field(default=("kernel", "bias"))


def table(
    layers: Sequence[Layer], *, graph: bool = True, names: bool = True, classes: bool = True
) -> Table:
    """The table of a model: layers in a row unless they say what they are called on."""
    used: dict[str, int] = {}
    keys: dict[str, str] = {}
    tensors: list[TensorRecord] = []
    records: dict[str, LayerRecord] = {}
    previous: str | None = None
    for position, layer in enumerate(layers):
        kind = snake_case(layer.cls)
        number = used.get(kind, 0)
        used[kind] = number + 1
        key = f"layers/{kind}" + (f"_{number}" if number else "")
        keys[layer.name] = key
        sources = layer.inputs if layer.inputs is not None else ((previous,) if previous else ())
        inbound = (tuple((keys[s], 0, 0) for s in sources),) if graph else None
        config = (layer.config or str(layer.shape)) if graph else ""
        records[key] = LayerRecord(
            key, layer.name, layer.cls if classes else "", config, inbound, position
        )
        for i, variable in enumerate(layer.variables):
            shape = layer.shape if i == 0 else layer.shape[-1:]
            tensors.append(
                TensorRecord(
                    f"{key}/vars/{i}",
                    TensorSpec(shape, "float32"),
                    name=f"{layer.name}/{variable}",
                    variable=variable if names else "",
                    layer=key,
                    digest=f"xxh3:{layer.name}/{variable}",
                    nonfinite=0,
                )
            )
        previous = layer.name
    return Table({t.key: t for t in tensors}, records)


def by_name(pairs: Mapping[str, str], expected: Table, stored: Table) -> dict[str, str]:
    """Pairs of keys as pairs of the names that persons know."""
    return {expected.tensors[a].name: stored.tensors[b].name for a, b in pairs.items()}
