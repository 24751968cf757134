"""KG451: an optimizer is named as one backend's class of it.

What it looks like: `"module": "keras.src.backend.torch.optimizers.torch_adam", "class_name":
"Adam"`; without PyTorch, Keras answers `Could not deserialize class 'Adam' because its parent
module keras.src.backend.torch.optimizers.torch_adam cannot be imported`.

Why it happens: under PyTorch, `keras.optimizers.Adam(...)` makes an object of a subclass that steps
all variables at once, and Keras writes that subclass's module into the file. It is not reported,
since the class name is right again where PyTorch is the backend.

Source: Keras 3.15 `backend/torch/optimizers/torch_optimizer.py`, `TorchOptimizer.__new__`.

When it is exact: always; the subclass has the same arguments and the same state.
"""

from __future__ import annotations

from kerasguard.blueprint.backend_classes import of_every_backend
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG451": "an optimizer is named as one backend's class of it"}


def rewrite(blueprint: Blueprint) -> None:
    """Name the class that every backend has."""
    of_every_backend(blueprint.architecture)


MIGRATION = Migration("KG451", "Keras 3", lambda w: not w.before_keras3, rewrite)
