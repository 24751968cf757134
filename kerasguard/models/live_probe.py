"""What a live model makes of a probe: inputs that fit it, outputs, summaries of its layers.

The model is as before afterwards: seeds, states and whatever a call changes are put back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np

from kerasguard.errors import KerasguardError, ModelError
from kerasguard.models.journal import Journal
from kerasguard.models.kerases import is_layer, is_variable, of, present
from kerasguard.models.kerases.backends import device, is_traced, several_workers, to_numpy
from kerasguard.models.patches import Patch, PatchSet
from kerasguard.models.probe_inputs import structured, told_of
from kerasguard.models.unwritten import hidden_state
from kerasguard.models.walk import walk
from kerasguard.planning.probe import compared, drawn, sampled, summary, tolerance
from kerasguard.tensors.elements import Array

__all__ = ["Answer", "Probe", "answer", "make", "not_here"]

Probe = bool | Literal["layers"] | Any
_SIZES = (16, 32, 64, 128, 224)


class Answer(NamedTuple):
    """What a model makes of a probe.

    Args:
        outputs: all of them, in the order of `keras.tree.flatten`; large ones sampled.
        layers: `key`, `name` and summaries of the `outputs` of every layer, in the order in
            which they were done; empty where nobody asked.
    """

    outputs: list[Array]
    layers: list[dict[str, Any]]


def make(model: Any, probe: Probe, *, seed: int = 1) -> tuple[dict[str, Any], dict[str, Array]]:
    """Probe a model.

    Args:
        model: built, with the weights that are being recorded.
        probe: True; `"layers"` to sum up each layer's output too; or the inputs themselves.
        seed: of the inputs.

    Returns:
        The manifest's `probe`, and the arrays that belong to it, by key.

    Raises:
        ModelError: no input for the model can be made up, or it computes something else each time.
    """
    layers = isinstance(probe, str) and probe == "layers"
    if not layers and probe is not True:
        told, inputs, found = _of_given(model, seed, probe)
    else:
        told, inputs, found = _made_up(model, seed, layers=layers)
    again = answer(model, told, inputs)
    accepted = tolerance([told["compute_dtype"]], same_device=True, quantised=told["quantised"])
    for index, (a, b) in enumerate(zip(found.outputs, again.outputs, strict=True)):
        if compared(a, b).relative > accepted:
            raise ModelError(
                f"model {model.name!r} gives different outputs for the same input each time "
                f"(output {index}), so a probe proves nothing; give its random layers a "
                "SeedGenerator"
            )
    numeric = [output for output in found.outputs if output.dtype.kind not in "OSU"]
    if not numeric:
        raise ModelError(f"model {model.name!r} has no output of numbers to compare")
    if not any(np.isfinite(output.astype("complex128")).any() for output in numeric):
        raise ModelError(
            f"model {model.name!r} gives no finite number for these inputs, so a probe proves "
            "nothing; pass others with probe=x"
        )
    kept = {f"probe/output/{i}": output for i, output in enumerate(found.outputs)}
    kept |= {f"probe/input/{i}": x for i, x in enumerate(inputs) if "kept" in told["inputs"][i]}
    told["outputs"] = [f"probe/output/{i}" for i in range(len(found.outputs))]
    told["device"] = device(of(model))
    return {**told, **({"layers": found.layers} if layers else {})}, kept


def _of_given(model: Any, seed: int, probe: Any) -> tuple[dict[str, Any], list[Array], Answer]:
    """The caller's inputs, which the model must take."""
    try:
        told, inputs = told_of(model, seed, given=probe)
        return told, inputs, answer(model, told, inputs)
    except KerasguardError:
        raise
    except Exception as error:
        raise ModelError(
            f"model {model.name!r} does not accept probe={probe!r:.80} ({error!s:.500}); pass its "
            "inputs as the model is called with them"
        ) from error


def _made_up(model: Any, seed: int, *, layers: bool) -> tuple[dict[str, Any], list[Array], Answer]:
    """Inputs that the model takes: axes of any length get the shortest that it can do with."""
    problem: Exception | None = None
    for size in _SIZES:
        told, inputs = told_of(model, seed, size=size)
        try:
            return told, inputs, answer(model, told, inputs, layers=layers)
        except Exception as error:  # noqa: BLE001  # a model may raise anything
            problem = problem or error
        if not told["free"]:
            break
    raise ModelError(
        f"model {model.name!r} accepts none of the inputs that its specs allow ({problem}); pass "
        "some with probe=x"
    ) from problem


def answer(
    model: Any, told: Mapping[str, Any], inputs: Sequence[Array] = (), *, layers: bool = False
) -> Answer:
    """What the model makes of a probe's inputs in inference mode.

    Args:
        model: to be asked.
        told: the manifest's probe.
        inputs: that it tells of; made again from their seeds where there are none.
        layers: whether to sum up each layer's output.

    Raises:
        ModelError: other workers would have to take part, and nobody told them.
    """
    if reason := not_here(model):
        raise ModelError(f"model {model.name!r} cannot be probed here: {reason}")
    made = list(inputs) or [drawn(one, told["seed"] + i) for i, one in enumerate(told["inputs"])]
    with _as_if_fresh(model), _listening(model, enabled=layers) as heard:
        result = model(structured(model, told, made), training=False)
        outputs = [sampled(to_numpy(tensor)) for tensor in of(model).flatten(result)]
    return Answer(outputs, heard)


def not_here(model: Any) -> str:
    """Why the model must not be asked in this process; empty where it may be."""
    return "several workers would have to compute it together" if several_workers(model) else ""


@contextmanager
def _as_if_fresh(model: Any) -> Iterator[None]:
    """Inside, seeds are fixed and states empty; afterwards everything is as before."""
    visits = list(walk(model))
    journal = Journal()
    for variable in model.variables:
        journal.variable(variable)
    for held in hidden_state(model, visits, ()):
        if held.record.role in ("seed", "state") and is_variable(held.holder, model):
            journal.variable(held.holder)
            held.holder.assign(np.zeros(held.record.spec.shape, held.record.spec.dtype))
    try:
        yield
    finally:
        journal.roll_back(RuntimeError("the probe is over"))


class _Heard(threading.local):
    """This thread's record of layers' outputs, while somebody listens."""

    keys: dict[int, tuple[str, str]] | None = None
    layers: list[dict[str, Any]]


_heard = _Heard()


@contextmanager
def _listening(model: Any, *, enabled: bool) -> Iterator[list[dict[str, Any]]]:
    """Sum up the output of each layer as it is called."""
    if not enabled:
        yield []
        return
    _heard.layers = []
    _heard.keys = {
        id(v.object): (v.path, str(v.object.name))
        for v in walk(model)
        if v.path and is_layer(v.object)
    }
    patches = _listener(of(model).NAME)
    installed = patches.install()
    try:
        if not installed:
            raise ModelError("per-layer probes are not supported with this version of Keras")
        yield _heard.layers
    finally:
        patches.remove()
        _heard.keys = None


def _hearing(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        place = _heard.keys.get(id(self)) if _heard.keys else None
        if place is not None:
            found = [t for t in of(self).flatten(result) if t is not None]
            if any(map(is_traced, found)):
                return result  # a step of a loop, which has no values yet
            tensors = [to_numpy(t) for t in found]
            numbers = [summary(t) for t in tensors if t.dtype.kind not in "OSU"]
            _heard.layers.append({"key": place[0], "name": place[1], "outputs": numbers})
        return result

    return call


@cache
def _listener(name: str) -> PatchSet:
    keras = next(keras for keras in present() if name == keras.NAME)
    return PatchSet([Patch(keras.LAYER, "__call__", _hearing)])
