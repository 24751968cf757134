"""Keras checkpoints loaded exactly as they were saved, or not at all, and never silently wrong.

An import may only go down, from a higher floor to a lower one:

    5  cli/                                the command line
    4  mlflow                              a flavor of MLflow, on the verbs below
       callbacks  guard  checkpoints/      the public verbs; clock and environment enter here
    3  loader/  recorder/                  from a checkpoint to a model, and back
    2  formats/  models/  tracking/        files, frameworks, MLflow: a foreign library, a room
       storage/                            bytes: opened once, read once, replaced as a whole
       report/                             what came of it: text, JSON, a page
       rules/  migrations/                 what can be wrong and why; one file each
    1  blueprint/  layouts/                a config while it is migrated; how old writers wrote
       bytecode/                           functions in a file: parsed and read, never run
       planning/                           drafts, findings, operations, plans
       identity/                           which stored tensor is which expected one
    0  manifest/                           the values that everything speaks of
       tensors/  arguments -> errors  version

A folder's docstring says what lives there and where to start reading. Floors 0 and 1, rules,
migrations and what is told know no file, no clock, no environment and no framework. Importing
`kerasguard` imports none of them either: each public name is fetched when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kerasguard.version import __version__ as __version__

if TYPE_CHECKING:
    from kerasguard.callbacks import WeightManifestCallback
    from kerasguard.checkpoints.average import average
    from kerasguard.checkpoints.compare import compare
    from kerasguard.checkpoints.drift import drift
    from kerasguard.checkpoints.explain import explain
    from kerasguard.checkpoints.inspect import inspect, verify
    from kerasguard.checkpoints.latest import latest
    from kerasguard.checkpoints.read import read
    from kerasguard.checkpoints.repair import convert, repair
    from kerasguard.checkpoints.scan import scan
    from kerasguard.errors import KerasguardError, UnrepairableError
    from kerasguard.guard import load, plan, record, restore
    from kerasguard.loader.arrays import Arrays
    from kerasguard.loader.replicas import replica_differences
    from kerasguard.manifest import Manifest
    from kerasguard.planning.findings import Finding, Severity
    from kerasguard.planning.operations import Safety
    from kerasguard.planning.plan import RepairPlan
    from kerasguard.recorder.patching import patch, patched, unpatch
    from kerasguard.report import Report
    from kerasguard.tensors import TensorSpec

__all__ = [
    "Arrays",
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
    "average",
    "compare",
    "convert",
    "drift",
    "explain",
    "inspect",
    "latest",
    "load",
    "patch",
    "patched",
    "plan",
    "read",
    "record",
    "repair",
    "replica_differences",
    "restore",
    "scan",
    "unpatch",
    "verify",
]

_HOMES = {
    "callbacks": ("WeightManifestCallback",),
    "checkpoints.average": ("average",),
    "checkpoints.compare": ("compare",),
    "checkpoints.drift": ("drift",),
    "checkpoints.inspect": ("inspect", "verify"),
    "checkpoints.latest": ("latest",),
    "checkpoints.read": ("read",),
    "checkpoints.repair": ("convert", "repair"),
    "checkpoints.scan": ("scan",),
    "errors": ("KerasguardError", "UnrepairableError"),
    "checkpoints.explain": ("explain",),
    "guard": ("load", "plan", "record", "restore"),
    "loader.arrays": ("Arrays",),
    "loader.replicas": ("replica_differences",),
    "manifest": ("Manifest",),
    "planning.findings": ("Finding", "Severity"),
    "planning.operations": ("Safety",),
    "planning.plan": ("RepairPlan",),
    "recorder.patching": ("patch", "patched", "unpatch"),
    "report": ("Report",),
    "tensors": ("TensorSpec",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker shall see the names above, and no others

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'kerasguard' has no attribute {name!r}")
        try:
            module = importlib.import_module(f"kerasguard.{_HOME[name]}")
        except ModuleNotFoundError as error:
            if error.name == "keras":
                importlib.import_module("kerasguard.models")  # raises, and says what to install
            raise
        value = getattr(module, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
