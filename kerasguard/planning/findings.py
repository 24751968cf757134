"""What can be wrong, and how sure a repair of it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from kerasguard.planning.operations import Safety, Step
from kerasguard.tensors import TensorRecord

__all__ = ["Finding", "Severity", "skipping"]


class Severity(str, Enum):
    """How bad a finding is.

    ERROR: the tensor cannot be restored. WARNING: it can be restored, but is suspect.
    INFO: something differs and was settled without loss.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with one tensor, with one layer or with the architecture.

    Args:
        code: `KG1xx` which tensor, `KG2xx` which form, `KG3xx` which values, `KG4xx` architecture.
        key: the expected key (or the stored one, for what nobody expects; a layer's key; or "").
        message: what was found, what was expected and what would resolve it; one line that names
            the tensor.
        severity: of the finding as long as it is not repaired; what INFO says is always taken.
        repairs: steps that would resolve it, in place of their targets' current steps.
        safety: how sure those repairs are; EXACT where there is none to judge.
    """

    code: str
    key: str
    message: str
    severity: Severity = Severity.ERROR
    repairs: tuple[Step, ...] = ()
    safety: Safety = Safety.EXACT

    def __str__(self) -> str:
        tag = f" [{self.safety.value}]" if self.repairs and self.safety is not Safety.EXACT else ""
        return f"{self.code} {self.message}{tag}"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "code": self.code,
            "key": self.key,
            "message": self.message,
            "severity": self.severity.value,
            "safety": self.safety.value,
            "repairs": [step.to_dict() for step in self.repairs],
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Finding:
        """Law: `Finding.from_dict(f.to_dict()) == f`."""
        return Finding(
            data["code"],
            data["key"],
            data["message"],
            Severity(data["severity"]),
            tuple(Step.from_dict(step) for step in data["repairs"]),
            Safety(data["safety"]),
        )


def skipping(*records: TensorRecord) -> str:
    """The option that leaves the layers of these tensors as they are: `skip=["head"]`."""
    layers = dict.fromkeys(r.label.rpartition("/")[0] or r.label for r in records)
    named = ", ".join(f'"{layer}"' for layer in layers)
    return f"skip=[{named}]"
