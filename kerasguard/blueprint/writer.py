"""Who wrote a file, as far as the file tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Version", "Writer"]

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Writer:
    """The software that wrote a checkpoint.

    Args:
        keras: version of Keras, `(2, 2, 4)`; what TensorFlow's own Keras calls `2.2.4-tf` too.
        tensorflow: version of TensorFlow; empty where the file does not say.
        backend: `tensorflow`, `theano`, `cntk`, ...; empty where unknown.
        config: the form of the architecture, as in `Traits.config`; empty where unknown.
        text: the Keras version as the file has it.
    """

    keras: Version
    tensorflow: Version = ()
    backend: str = ""
    config: str = ""
    text: str = ""

    @staticmethod
    def of(told: Mapping[str, str]) -> Writer:
        """From what a format found in the file.

        An HDF5 file without a Keras version was written by Keras 1 before 1.2; the other formats
        without one come from TensorFlow, whose Keras was a Keras 2 until TensorFlow 2.16.
        """
        text, kind = told.get("keras", ""), told.get("config", "")
        tensorflow = _version(told.get("tensorflow", ""))
        if not text:
            text = "1" if kind == "legacy" else "3" if tensorflow >= (2, 16) else "2"
        return Writer(_version(text), tensorflow, told.get("backend", ""), kind, text)

    @property
    def before_keras3(self) -> bool:
        """Whether Keras 1 or 2 wrote it."""
        return self.keras < (3,)

    @property
    def is_keras1(self) -> bool:
        """Whether Keras 1 wrote it."""
        return self.keras < (2,)

    def __str__(self) -> str:
        return f"Keras {self.text or '.'.join(map(str, self.keras))}"


def _version(text: str) -> Version:
    """`2.2.4-tf` -> (2, 2, 4); empty where there is no number."""
    found = re.match(r"[0-9]{1,9}(\.[0-9]{1,9})*", text)
    return tuple(map(int, found[0].split("."))) if found else ()
