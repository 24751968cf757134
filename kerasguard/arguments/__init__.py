"""Arguments of public functions, checked before a file is opened.

What is not understood is an error that names the allowed values: an option that is accepted and
not obeyed switches a check off silently.
"""

from __future__ import annotations

from kerasguard.arguments.names import check_mapping, check_patterns, check_renames
from kerasguard.arguments.options import (
    ALLOWABLE,
    WORKERS_LIMIT,
    allowed,
    check_choice,
    check_count,
    check_digest,
    check_flag,
    check_observers,
    check_probe,
    check_strategy,
    check_text,
    workers_limit,
)
from kerasguard.arguments.places import (
    check_config,
    check_model,
    check_path,
    check_place,
    check_source,
)

__all__ = [
    "ALLOWABLE",
    "WORKERS_LIMIT",
    "allowed",
    "check_choice",
    "check_config",
    "check_count",
    "check_digest",
    "check_flag",
    "check_mapping",
    "check_model",
    "check_observers",
    "check_path",
    "check_patterns",
    "check_place",
    "check_probe",
    "check_renames",
    "check_source",
    "check_strategy",
    "check_text",
    "workers_limit",
]
