"""What a test of a failure class asks kerasguard, and how the answer is compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

import kerasguard as kg

if TYPE_CHECKING:
    from failure_classes import FailureClass

__all__ = ["Golden", "Judge", "predicts", "randomised", "recorded", "seq"]

Right = Callable[[Any], bool]


@dataclass
class Judge:
    """Holds a class to the verdicts that the registry gives for it.

    Args:
        case: the class.
        heard: which of its verdicts were put to the test.
    """

    case: FailureClass
    heard: set[str] = field(default_factory=set)

    def recorded(self, path: Path, model: Any = None, **rest: Any) -> Any:
        """A checkpoint with a manifest; arguments as for `attempt`."""
        self.heard.add("recorded")
        return self.attempt(self.case.recorded, path, model, **rest)

    def alone(self, path: Path, model: Any = None, **rest: Any) -> Any:
        """A checkpoint that nobody recorded; arguments as for `attempt`."""
        self.heard.add("alone")
        return self.attempt(self.case.alone, path, model, **rest)

    def attempt(
        self,
        expected: str,
        path: Path,
        model: Any = None,
        *,
        right: Right | None = None,
        instead: str = "",
        **options: Any,
    ) -> Any:
        """Load, and compare with the verdict.

        Args:
            expected: `right`, `right KG104`, `reported KG102`, `refused ModelError`.
            path: of the checkpoint.
            model: to load into.
            right: tells of the loaded model whether it is the one that was saved.
            instead: this verdict, where one variant of a class ends differently.
            options: of `kerasguard.load`.

        Returns:
            The restored model and its report, or the error.
        """
        verdict, _, code = (instead or expected).partition(" ")
        if verdict == "refused":
            return self._refused(code, path, model, options)
        restored = kg.restore(path, model, **options)
        told = _codes("", restored.report)
        assert not code or code in told, f"{self.case.id}: {sorted(told)}"
        if verdict == "right":
            assert right is not None
            assert right(restored.model), f"{self.case.id} is wrong: {restored.report}"
        return restored

    def _refused(self, code: str, path: Path, model: Any, options: dict[str, Any]) -> Any:
        before = model.get_weights() if model is not None and model.built else None
        with pytest.raises(kg.KerasguardError) as caught:
            kg.restore(path, model, **options)
        error = caught.value
        told = _codes(str(error), getattr(error, "report", None)) | {type(error).__name__}
        assert not code or code in told, f"{self.case.id}: {sorted(told)}: {error}"
        assert before is None or same_arrays(before, model.get_weights())
        return error

    def met(self, *which: str) -> None:
        """Verdicts that the test itself has asserted, of a save for instance."""
        self.heard.update(which)

    def complete(self) -> None:
        """Every verdict of the class was put to the test."""
        wanted = {
            name
            for name in ("recorded", "alone")
            if getattr(self.case, name) and getattr(self.case, name) != "unseen"
        }
        assert wanted <= self.heard, f"{self.case.id}: nothing tested {wanted - self.heard}"


def _codes(text: str, report: Any) -> set[str]:
    found = set(re.findall(r"\bKG\d{3}\b", text))
    return found | ({f.code for f in report.findings} if report is not None else set())


@dataclass(frozen=True)
class Golden:
    """One case of the golden files: a model saved by an old writer, and what it predicted.

    Args:
        folder: of the writer's unpacked files.
        name: of the case.
    """

    folder: Path
    name: str

    def path(self, ending: str) -> Path:
        """A file of the case: `.h5`, `.keras`, `_weights.h5`, `.weights.h5`, `_ckpt`."""
        return self.folder / f"{self.name}{ending}"

    @property
    def arrays(self) -> dict[str, Any]:
        """Inputs, predictions and what else was noted."""
        with np.load(self.path(".npz")) as arrays:
            return dict(arrays)

    @property
    def right(self) -> Right:
        """Whether a model predicts what the writer predicted."""
        arrays = self.arrays
        inputs = [arrays[k] for k in sorted(arrays) if k[0] == "x"]
        return predicts(inputs, arrays["y0"])


def predicts(x: Any, y: Any, tolerance: float = 1e-5) -> Right:
    """Whether a model computes `y` of `x`."""
    inputs = x if isinstance(x, list) else [x]
    tensors = [keras.ops.convert_to_tensor(i) if i.dtype.kind != "U" else i for i in inputs]

    def right(model: Any) -> bool:
        found = model(tensors if len(tensors) > 1 else tensors[0], training=False)
        found, wanted = np.asarray(found), np.asarray(y)
        rounded = str(found.dtype) == "bfloat16"  # processors add it up in other orders
        if wanted.dtype.kind not in "fV":
            return bool(np.array_equal(found, wanted))
        found, wanted = found.astype("float64"), wanted.astype("float64")
        loose = 2e-3 if str(np.asarray(y).dtype) == "float16" else tolerance
        loose = max(loose, 2**-6) if rounded else loose
        return found.shape == wanted.shape and bool(np.allclose(found, wanted, loose, loose))

    return right


def same_arrays(a: Any, b: Any) -> bool:
    """Whether two lists of arrays are bit for bit the same."""
    return len(a) == len(b) and all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def randomised(model: Any, seed: int = 7) -> Any:
    """The model with other weights; variances stay positive."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        if "float" in variable.dtype:
            value = generator.normal(size=variable.shape)
            variable.assign(np.abs(value) + 0.5 if "variance" in variable.path else value)
    return model


def seq(*layers: Any, shape: tuple[int, ...] = (4,), seed: int = 7, **kwargs: Any) -> Any:
    """A Sequential model with random weights."""
    return randomised(keras.Sequential([keras.Input(shape), *layers], **kwargs), seed)


def recorded(model: Any, path: Path) -> Path:
    """Save a model as its file's name says, with a manifest."""
    with kg.patched():
        if path.name.endswith((".weights.h5", ".weights.json", "_weights.h5")):
            model.save_weights(path)
        else:
            model.save(path)
    return path


def fresh(build: Callable[..., Any], *args: Any, seed: int = 8, **kwargs: Any) -> Any:
    """Another model of the same code, as another process would build it, with other weights."""
    keras.backend.clear_session()
    return randomised(build(*args, **kwargs), seed)
