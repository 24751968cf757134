"""The optimizers of a model: as they were when it was saved, and those that saved nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kerasguard.errors import listed
from kerasguard.loader.reading import Reading
from kerasguard.planning.findings import Finding, Severity

__all__ = ["stateless", "with_optimizers"]


def with_optimizers(
    model: Any, reading: Reading, custom_objects: Mapping[str, Any]
) -> tuple[Finding, ...]:
    """Give a model its optimizers back, with their slots, and its losses their settings.

    Args:
        model: just built from the checkpoint, compiled as far as its config tells.
        reading: the checkpoint.
        custom_objects: classes that the configs name.
    """
    from kerasguard.models import compiled_settings, optimizer_configs, optimizers, weight_decay

    recorded = reading.manifest.optimizer if reading.manifest else {}
    if reading.writer().get("keras", "").startswith("2."):
        recorded = {k: v for k, v in recorded.items() if k == "class"}  # compile knows the rest
    if recorded.get("config") or recorded.get("others"):
        given = optimizer_configs.give_back(model, recorded, custom_objects)
    else:
        given = optimizer_configs.give_class(model, _class_name(reading, recorded))
    optimizers.build_optimizers(model, reading.whole_table, own=True)
    weight_decay.exclude(model, recorded.get("undecayed", {}))
    compiled = reading.manifest.model.get("compiled") if reading.manifest else None
    compiled_settings.give_back(model, compiled if isinstance(compiled, Mapping) else {})
    settings = given.unrecorded
    if settings and _has_no_rate(model, reading):
        settings = ("learning_rate, which was a schedule", *settings)
    return (*_unknown(given.unknown), *_unrecorded(model, settings))


def _has_no_rate(model: Any, reading: Reading) -> bool:
    """Whether the stored optimizer had a schedule: no variable held its learning rate."""
    stored = [r for r in reading.table.tensors.values() if r.role == "optimizer"]
    return len(stored) == len(model.optimizer.variables) - 1


def _class_name(reading: Reading, recorded: Mapping[str, Any]) -> str:
    """The class of the stored optimizer, where the compile arguments do not say it."""
    if recorded:
        return str(recorded.get("class", ""))
    compiled = (reading.architecture() or {}).get("compile_config")
    layer = reading.table.layers.get("optimizer")
    if not isinstance(compiled, Mapping) or "optimizer" in compiled or layer is None:
        return ""
    return layer.class_name or layer.name.rstrip("0123456789").rstrip("_")


def _unknown(paths: tuple[str, ...]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            "KG108",
            path,
            f"{path}: the recorded optimizer cannot be rebuilt; pass its class in "
            "custom_objects=, or compile a model in code and pass it: kerasguard.load(path, "
            "model)",
            Severity.WARNING,
        )
        for path in paths
    )


def _unrecorded(model: Any, settings: tuple[str, ...]) -> tuple[Finding, ...]:
    if not settings:
        return ()
    message = (
        f"optimizer: {type(model.optimizer).__name__} is restored with its state; its settings "
        f"were not recorded and now have Keras' defaults ({listed(settings, 20)})"
    )
    return (Finding("KG108", "optimizer", message, Severity.WARNING),)


def stateless(model: Any, reading: Reading) -> Iterator[Finding]:
    """An optimizer that saves no state of its own, as those of before Keras 2.11 in tf_keras."""
    from kerasguard.models.kerases import is_optimizer

    optimizer = getattr(model, "optimizer", None)
    held = any(record.role == "optimizer" for record in reading.table.tensors.values())
    if optimizer is not None and not is_optimizer(optimizer) and not held:
        yield Finding(
            "KG108",
            "optimizer",
            f"optimizer: the state of a {type(optimizer).__name__} of {type(optimizer).__module__} "
            "is not stored in files of this format; training starts with fresh state",
            Severity.WARNING,
        )
