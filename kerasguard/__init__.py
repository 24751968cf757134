"""Keras checkpoints loaded exactly as they were saved, or not at all, and never silently wrong.

An import may only go down, from a higher floor to a lower one:

    6  cli -> commands -> console           the command line
    5  repairing  scanning  doctor          whole files to whole files; many files; the surroundings
       callbacks  patch  saving             what goes with Keras' public API
    4  guard                                the pipelines; clock, versions, environment enter here
       attempt -> restoring -> prepared -> comparable   one attempt at a restore: read, build, plan
       inspecting -> sources                the pipelines without a model; what is a checkpoint
       reading  recording -> keeping        one checkpoint with its manifest; what a save leaves
       probing                              what a model makes of a seeded input
    3  integrations/                        live models, strategies, MLflow
       formats/  arena  commit              files: how they are laid out, read at once, replaced
       sidecar  companion  durable  opened  the files beside a checkpoint; bytes of one file
       as_recorded  pages                   the proof that nothing changed; reports as HTML
    2  report  explain  difference          what is told
       diagnose                             three tables in, a total plan out
    1  rules/  migrations/                  what can be wrong and why; one file each
       blueprint/                           the config that migrations work on
    0  plans -> draft                       how rules make a draft into a plan
       optimizer_state -> classic_slots  architecture  layouts/
       identity -> alignment  leftovers  suspicions -> evidence  graph  which tensor is which
       units  pairing  probe  spelling  findings  losses
       repairs -> manifest -> manifest_records -> elements -> tensors -> strict_json
       garbage  arguments -> errors

Floors 0 to 2 know no file, no clock, no environment and no framework. Importing `kerasguard`
imports none of them either: each public name is fetched when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kerasguard.callbacks import WeightManifestCallback
    from kerasguard.errors import KerasguardError, UnrepairableError
    from kerasguard.findings import Finding, Severity
    from kerasguard.guard import load, plan, record, restore
    from kerasguard.inspecting import inspect, verify
    from kerasguard.manifest import Manifest
    from kerasguard.patch import patch, patched, unpatch
    from kerasguard.plans import RepairPlan
    from kerasguard.repairing import repair
    from kerasguard.repairs import Safety
    from kerasguard.report import Report
    from kerasguard.tensors import TensorSpec

__version__ = "0.1.0"

__all__ = [
    "Finding",
    "KerasguardError",
    "Manifest",
    "RepairPlan",
    "Report",
    "Safety",
    "Severity",
    "TensorSpec",
    "UnrepairableError",
    "WeightManifestCallback",
    "inspect",
    "load",
    "patch",
    "patched",
    "plan",
    "record",
    "repair",
    "restore",
    "unpatch",
    "verify",
]

_HOMES = {
    "callbacks": ("WeightManifestCallback",),
    "errors": ("KerasguardError", "UnrepairableError"),
    "findings": ("Finding", "Severity"),
    "guard": ("load", "plan", "record", "restore"),
    "inspecting": ("inspect", "verify"),
    "manifest": ("Manifest",),
    "patch": ("patch", "patched", "unpatch"),
    "plans": ("RepairPlan",),
    "repairing": ("repair",),
    "repairs": ("Safety",),
    "report": ("Report",),
    "tensors": ("TensorSpec",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kerasguard' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"kerasguard.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
