"""Build a model from a stored architecture, without the work that loading undoes again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import keras

from kerasguard.blueprint.objects import copied
from kerasguard.errors import ArchitectureError
from kerasguard.models.fast_build import less_work
from kerasguard.models.kerases import KERAS3
from kerasguard.models.kerases.backends import is_read_together
from kerasguard.models.lora_scales import keep_scales
from kerasguard.models.own_compile import has_own_compile
from kerasguard.models.placeholders import Skipped, skip_initialisers, wait

__all__ = ["Built", "build", "compile_model", "deserialize"]


_MEANT_BY_OUTPUTS = ("acc", "accuracy", "ce", "crossentropy")


class Built(NamedTuple):
    """A model whose variables may still wait for their values.

    Args:
        model: of Keras.
        skipped: the variables that hold placeholders. `Sink.assign` fills them all, with
            what it is given or with what their initialisers make; who uses no `Sink` must call
            `skipped.fill()`.
    """

    model: Any
    skipped: Skipped

    @property
    def initialised(self) -> list[Any]:
        """The model's variables that got what their initialisers make, in order.

        What each replica keeps for itself is not among them.
        """
        found = self.skipped.initialised
        return [v for v in _variables(self.model) if id(v) in found and not is_read_together(v)]


def build(
    architecture: Mapping[str, Any],
    *,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,  # noqa: A002  # what Keras calls it
    shortcuts: bool = True,
) -> Built:
    """Build the model that an architecture describes, inside the caller's strategy scope.

    Args:
        architecture: as in a `.keras` file's `config.json`; not changed.
        custom_objects: classes and functions by name.
        compile: whether to compile the model as it was, and build its optimizer.
        shortcuts: whether to leave out the work that restoring undoes; else Keras does it all.

    Raises:
        ArchitectureError: Keras cannot build it.
    """
    config = copied(architecture)
    if not compile:
        config["compile_config"] = None
    with ExitStack() as stack:
        skipped = stack.enter_context(skip_initialisers(enabled=shortcuts))
        if shortcuts:
            stack.enter_context(less_work())
        stack.enter_context(KERAS3.sharing_scope())
        try:
            model = deserialize(config, custom_objects or {})
        except Exception as error:
            name = architecture.get("class_name", "the model")
            raise ArchitectureError(
                f"Keras {keras.__version__} cannot build {name} from the stored architecture; "
                f"nothing was built{_remedy(error)}. Keras says: {error}"
            ) from error
        found = _variables(model)
        if any(variable.name.startswith("lora_") for variable in found):
            keep_scales(model, architecture)
        skipped.drop_unreachable(found)
    wait(model, skipped)
    return Built(model, skipped)


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> Any:
    """What Keras 3 makes of a config that holds nothing but what may be made."""
    return keras.saving.deserialize_keras_object(
        dict(config), custom_objects=dict(custom_objects), safe_mode=True
    )


def _remedy(error: Exception) -> str:
    """What to do about a class or function that Keras does not find."""
    if "Could not locate" not in str(error):
        return ""
    match = re.search(r"Could not locate (?:class|function) '(\w+)'", str(error))
    name = match[1] if match else "name"
    return (
        f'; pass custom_objects={{"{name}": {name}}}, or, if it is a loss or a metric, '
        "compile=False for predictions alone"
    )


def _variables(model: Any) -> list[Any]:
    optimizer = getattr(model, "optimizer", None)
    metrics = getattr(model, "metrics_variables", ())
    return [*model.variables, *metrics, *(optimizer.variables if optimizer else ())]


def compile_model(
    model: Any, compile_config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> str:
    """Compile a model as a config says and build its optimizer; why not, where Keras cannot.

    A model without its loss still predicts, so what Keras refuses here stops nothing.
    """
    try:
        with keras.saving.custom_object_scope(dict(custom_objects or {})):
            _look_up_metrics([compile_config.get(k) for k in ("metrics", "weighted_metrics")])
            if has_own_compile(model):
                passed_on = deserialize(copied(compile_config), {})
                KERAS3.MODEL.compile(model, **passed_on)
            else:
                model.compile_from_config(copied(compile_config))
    except (TypeError, ValueError, KeyError) as error:
        return f"Keras {keras.__version__} says: {str(error).splitlines()[0]}"
    return ""


def _look_up_metrics(value: Any) -> None:
    """Raise what Keras raises of an unknown metric's name: it asks only at the first batch."""
    if isinstance(value, (list, tuple)):
        for item in value:
            _look_up_metrics(item)
    elif isinstance(value, Mapping):
        _look_up_metrics([] if "class_name" in value else list(value.values()))
    elif isinstance(value, str) and value.lower() not in _MEANT_BY_OUTPUTS:
        try:
            KERAS3.functions("metrics").get(value)
        except ValueError as error:
            raise ValueError(f"{error}; supply it: custom_objects={{{value!r}: ...}}") from None
