"""What a checkpoint can be written as: one entry per ending, with what its file cannot hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasguard.errors import OutputError
from kerasguard.manifest import Manifest
from kerasguard.report.report import counted

__all__ = ["TARGETS", "Target", "beside", "target_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of file that is written.

    Args:
        suffix: of its name.
        write: writes a model to a path.
        reader: who reads it back, to compare with the model: `keras`, or `kerasguard` where
            Keras has no reader for it.
        architecture: whether the model's config is in the file.
        optimizer: whether the optimizer's state is.
        line: of Python that loads it; `{path}` and `{more}` are filled in.
    """

    suffix: str
    write: Callable[[Any, Path], object]
    reader: str = "keras"
    architecture: bool = True
    optimizer: bool = True
    line: str = 'keras.saving.load_model("{path}"{more})'

    def lacks(self, model: Any) -> Iterator[str]:
        """What a file of this kind never holds, and where it is instead."""
        if not self.architecture:
            yield "the architecture, which its manifest has"
        optimizer = getattr(model, "optimizer", None)
        if not self.optimizer and optimizer is not None and optimizer.variables:
            yield "the optimizer's state, which is nowhere then"

    def read_back(
        self, path: Path, model: Any, custom_objects: Mapping[str, Any]
    ) -> tuple[str, str]:
        """What differs in the file from the model, empty where nothing does; what was compared."""
        from kerasguard.models import stock

        if self.reader == "kerasguard":
            return _compared(path, model)
        if self.architecture and self.optimizer and self.suffix == ".keras":
            return stock.read_back(path, model, custom_objects)
        return stock.read_weights_back(path, model, custom_objects, whole=self.architecture)


def beside(manifest: Manifest) -> Iterator[str]:
    """What of the model is in the companion, and what is lost, as the manifest tells it."""
    kept = Counter(r.role for r in manifest.unwritten if r.key in manifest.kept)
    lost = Counter(r.role for r in manifest.unwritten if r.key not in manifest.kept)
    for role, count in kept.items():
        yield f"{counted(count, role)}, which the companion has"
    for role, count in lost.items():
        yield f"{counted(count, role)}, which cannot be kept"


def target_of(path: Path) -> Target:
    """The kind of file that a name says.

    Raises:
        OutputError: it says none.
    """
    for target in TARGETS:
        if path.name.endswith(target.suffix):
            return target
    listed = ", ".join(target.suffix for target in TARGETS)
    raise OutputError(path, f"its ending does not tell what to write; give it one of {listed}")


def _whole(model: Any, path: Path) -> None:
    model.save(path)


def _weights(model: Any, path: Path) -> None:
    model.save_weights(path)


def _safetensors(model: Any, path: Path) -> None:
    from kerasguard.storage.safetensors import pack

    arrays = _arrays(model, path)
    try:
        path.write_bytes(pack(arrays, path.name)[0])
    except TypeError as error:
        raise OutputError(path, f"{error}; write another kind of file") from error


def _arrays(model: Any, path: Path) -> dict[str, Any]:
    from kerasguard.models import stock

    named = stock.weights_by_path(model)
    twice = [name for name, values in named.items() if len(values) > 1]
    if twice:
        raise OutputError(
            path,
            f"{len(twice)} variable paths stand for several variables, such as {twice[0]}; give "
            "their layers names of their own, or write another kind of file",
        )
    return {name: values[0] for name, values in named.items()}


def _compared(path: Path, model: Any) -> tuple[str, str]:
    from kerasguard.elements import digest
    from kerasguard.formats import open_checkpoint

    arrays = _arrays(model, path)
    with open_checkpoint(path) as checkpoint:
        for name, array in arrays.items():
            if digest(checkpoint.read(name)) != digest(array):
                return f"{name} is another tensor in the file", ""
    return "", f"{len(arrays)} tensors have the same bytes"


TARGETS: tuple[Target, ...] = (
    Target(".keras", _whole),
    Target(".weights.h5", _weights, architecture=False, line='model.load_weights("{path}")'),
    # Keras 3 cannot read the short names of losses that it writes into these.
    Target(".h5", _whole, line='keras.saving.load_model("{path}"{more}, compile=False)'),
    Target(
        ".safetensors",
        _safetensors,
        reader="kerasguard",
        architecture=False,
        optimizer=False,
        line='kerasguard.load("{path}"{more})',
    ),
)
