"""At the end of a restore: does the model compute what it did when it was saved?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kerasguard.errors import listed
from kerasguard.loader.reading import Reading
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.plan import RepairPlan
from kerasguard.planning.probe import sampled, tolerance
from kerasguard.rules.probe import probe

__all__ = ["not_compared", "probed"]


def probed(
    model: Any, told: Mapping[str, Any], reading: Reading, decided: RepairPlan
) -> Iterator[Finding]:
    """Yield a finding if the model makes something else of the manifest's probe now.

    Args:
        model: with everything assigned.
        told: the manifest's probe.
        reading: holds the recorded outputs.
        decided: tells what is known to differ.
    """
    from kerasguard.models import kerases, live_probe
    from kerasguard.models.kerases import backends

    kept = reading.kept_values()
    inputs = [kept.get(one["kept"]) for one in told["inputs"] if "kept" in one]
    recorded = [kept.get(key) for key in told["outputs"]]
    if any(array is None for array in (*inputs, *recorded)):
        yield _impossible("the recorded outputs are in a companion that is missing or damaged")
        return
    try:
        now = live_probe.answer(
            model,
            told,
            [array for array in inputs if array is not None],
            layers=bool(told.get("layers")),
        )
    except Exception as error:  # noqa: BLE001  # whatever the model raises, it does not compute
        yield _impossible(f"the model raises {type(error).__name__}: {error}")
        return
    device = backends.device(kerases.of(model))
    policy = model.dtype_policy
    accepted = tolerance(
        [told["compute_dtype"], str(getattr(policy, "compute_dtype", None) or "float32")],
        same_device=device == told["device"],
        quantised=told["quantised"],
    )
    outputs = [sampled(array) for array in recorded if array is not None]
    causes = list(_causes(told, reading, decided, model, device))
    yield from probe(told, outputs, now.outputs, now.layers, accepted, causes)


def not_compared(model: Any, skipped: Sequence[str]) -> tuple[Finding, ...]:
    """Says why the model is not asked: some of it is another's, or it must not be in this process.

    Args:
        model: with nothing assigned yet.
        skipped: names of its variables that keep their values.
    """
    from kerasguard.models import live_probe

    reason = live_probe.not_here(model)
    if skipped:
        reason = f"the model kept its own values ({listed(skipped)})"
    message = f"the model's outputs were not compared with the manifest's probe: {reason}"
    return (Finding("KG502", "", message, Severity.INFO),) if reason else ()


def _impossible(why: str) -> Finding:
    message = f"the model's outputs could not be compared: {why}; to skip it: probe=False"
    return Finding("KG502", "", message, Severity.ERROR)


def _causes(
    told: Mapping[str, Any], reading: Reading, decided: RepairPlan, model: Any, device: str
) -> Iterator[str]:
    """What is known to be different, the likeliest first."""
    for finding in decided.findings:
        if finding.code in ("KG107", "KG202") or finding.code.startswith("KG4"):
            yield str(finding)[:160]
    manifest = reading.manifest
    if manifest is not None:
        from kerasguard.models import environment

        for name, version in environment.versions(model).items():
            before = manifest.versions.get(name)
            if before not in (None, version):
                yield f"{name} was {before} and is now {version}"
    if told["device"] != device:
        yield f"it was computed on {told['device']} and is now on {device}"
    yield "a function or class of the same name that computes something different"
