"""What a checkpoint can be written as, by the ending of its name, and what such a file holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kerasguard.errors import OutputError

__all__ = ["TARGETS", "Target", "target_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of file that is written.

    Args:
        suffix: of its name.
        content: `whole`, a model as Keras saves it; `weights`, as Keras saves those; `named`,
            arrays by the path of their variable, which Keras has no reader for.
        line: of Python that loads it; `{path}` and `{more}` are filled in.
        optimizer: whether it holds the optimizer's state.
        complete: whether Keras reads all of it back as it was, random states included.
    """

    suffix: str
    content: Literal["whole", "weights", "named"]
    line: str
    optimizer: bool = True
    complete: bool = False

    @property
    def architecture(self) -> bool:
        """Whether the model's config is in it."""
        return self.content == "whole"

    @property
    def reader(self) -> str:
        """Who reads it back, to compare it with the model."""
        return "kerasguard" if self.content == "named" else "keras"


TARGETS = (
    Target(".keras", "whole", 'keras.saving.load_model("{path}"{more})', complete=True),
    Target(".weights.h5", "weights", 'model.load_weights("{path}")'),
    # Keras 3 cannot read the short names of losses that it writes into these.
    Target(".h5", "whole", 'keras.saving.load_model("{path}"{more}, compile=False)'),
    Target(".safetensors", "named", 'kerasguard.load("{path}"{more})', optimizer=False),
)


def target_of(path: Path) -> Target:
    """The kind of file that a name says.

    Raises:
        OutputError: it says none.
    """
    for target in TARGETS:
        if path.name.endswith(target.suffix):
            return target
    listed = ", ".join(target.suffix for target in TARGETS)
    raise OutputError(path, f"its suffix does not say what to write; use one of {listed}")
