"""KG210: a layer of the model and a module of a PyTorch state dict do not match.

What it looks like: there are arrays under the layer's name, or in its place, but the layer expects
others: an extra or missing bias, one direction instead of two, a GRU that resets before the
product.

Why it happens: the model was built with different arguments than the module, or with a layer that
PyTorch has no module for (SeparableConv2D, EinsumDense), or the module is of a class whose arrays
mean something else (weight normalisation, projections of an LSTM).

Source: PyTorch 2 `nn/modules/`; Keras 3 `layers/`; which array is which is in `layouts/pytorch`.

When the repair is exact: there is none. Build the layer as the module was, or leave it as it is
with `skip=` and set its weights from the arrays that `kerasguard.read` gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kerasguard.errors import listed
from kerasguard.identity.renames import asked
from kerasguard.layouts.pytorch.layers import Layer, layers_of
from kerasguard.layouts.pytorch.modules import COUNTER
from kerasguard.layouts.pytorch.pairing import Modules, Paired, pair
from kerasguard.layouts.pytorch.recipes import known, recipe
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Safety, Step
from kerasguard.tensors import Table, TensorRecord

__all__ = [
    "CODES",
    "EXPLANATIONS",
    "counted",
    "other_default",
    "refused",
    "restore_state_dict",
    "uncounted",
    "unordered",
]

CODES = {
    "KG210": "a layer's variables do not match a module in a PyTorch state dict",
    "KG211": "a PyTorch state dict does not say what its modules computed, and defaults differ",
}

EXPLANATIONS = {
    "KG211": """\
What it looks like: every array of a PyTorch state dict has its place, and the model may
predict something else than the module did: its normalisations divide by another epsilon, or its
convolutions with strides pad another side.

Why it happens: a state dict has no arguments, and the defaults of Keras and PyTorch differ: epsilon
of normalisations (0.001 and 0.00001), the slope of LeakyReLU (0.3 and 0.01), `padding="same"` with
strides, which PyTorch's `padding=` cannot say.

Source: PyTorch 2 `nn/modules/batchnorm.py`, `normalization.py`, `conv.py`; Keras 3
`layers/normalization`, `layers/convolutional/base_conv.py`.

When the repair is exact: there is none; it is a warning. Build the layers with the module's
arguments, and compare the outputs of both for one input.""",
}


def uncounted(stored: Table) -> tuple[Table, tuple[str, ...]]:
    """The table without the batches that a BatchNorm has counted, which no layer of Keras has."""
    counts = tuple(key for key, r in stored.tensors.items() if r.variable == COUNTER)
    kept = {key: r for key, r in stored.tensors.items() if key not in counts}
    return replace(stored, tensors=kept), counts


def restore_state_dict(
    stored: Table, expected: Table, renames: Mapping[str, str] | None = None
) -> list[Step | Finding]:
    """Pair the modules of a state dict with the layers of a model.

    Args:
        stored: of `as_modules`, without counters.
        expected: the model's table.
        renames: patterns of modules' names to the model's, as the caller says.

    Raises:
        ArgumentError: an entry of `renames` matches no module, or no layer.

    Returns:
        A step per weight that is settled, and a finding per layer that is not. Rows of kernels
        behind a Flatten are still in PyTorch's order.
    """
    layers = layers_of(expected)
    modules = {
        name: {r.variable: r for r in records if r.role == "weight"}
        for name, records in stored.members().items()
    }
    wishes: dict[str, str] = {}
    if renames:
        ours = {x.key: x.names[-1] if x.names else "" for x in layers}
        wishes = asked(ours, {name: name for name in modules}, renames)
    paired = pair(layers, modules, wishes, expected)
    return list(_settled(layers, modules, paired))


def counted(keys: Sequence[str]) -> Finding:
    """What is said of the batches that normalisations have counted, and nobody asks for."""
    message = f"{listed(keys)}: training batch counters, which no Keras layer has; ignored"
    return Finding("KG102", keys[0], message, Severity.INFO)


def other_default(what: str) -> Finding:
    """What a layer does by default, where PyTorch's module does something else."""
    return Finding("KG211", "", what, Severity.WARNING)


def refused(key: str, name: str, why: str, place: str = "") -> Finding:
    """A layer that no module's arrays can go to.

    Args:
        key: of the layer.
        name: its path.
        why: what is different, and what to build.
        place: what the message begins with, if not the name.
    """
    message = f'{place or name}: {why}; or leave the layer as it is with skip=["{name}"]'
    return Finding("KG210", key, message)


def unordered(record: TensorRecord, step: Step) -> Finding:
    """A kernel whose rows may be those of a flattened image; as they are, they are a guess."""
    message = (
        f"{record.label}: its rows or columns may be those of an image, which PyTorch flattens "
        "with the channels first, and the model's graph does not say, or there is none; build it "
        "as a functional model with Flatten and Reshape, or take them as they are"
    )
    return Finding("KG208", record.key, message, Severity.ERROR, (step,), Safety.GUESS)


def _settled(layers: Sequence[Layer], modules: Modules, paired: Paired) -> Iterator[Step | Finding]:
    specs = {r.key: r for arrays in modules.values() for r in arrays.values()}
    for layer in layers:
        if layer.key in paired.modules:
            yield from _taken(layer, paired.modules[layer.key], modules, specs)
        elif not known(layer.kind) and all(d.layer is not layer for d in paired.doubts):
            yield _misfit(layer, "", str(recipe(layer, {})))
    if paired.ordered:
        names = [paired.modules[key] for key in paired.ordered]
        message = (
            f"{listed(names)}: matched by number to layers of the same shapes, in the order in "
            "which the model calls them"
        )
        yield Finding("KG105", "", message, Severity.INFO)
    for doubt in paired.doubts:
        yield _ambiguous(doubt.layer, doubt.modules, layers, modules)


def _taken(
    layer: Layer, module: str, modules: Modules, specs: Mapping[str, TensorRecord]
) -> Iterator[Step | Finding]:
    """The steps of a pair; or why there are none."""
    steps = recipe(layer, modules[module])
    if isinstance(steps, str):
        yield _misfit(layer, module, steps)
        return
    for step in steps:
        try:
            step.infer([specs[source].spec for source in step.sources])
        except ValueError as error:
            yield _misfit(layer, module, f"its sizes differ: {error}")
            return
    yield from steps


def _misfit(layer: Layer, module: str, why: str) -> Finding:
    place = f"{layer.label} and {module} in the state dict" if module else layer.label
    return refused(layer.key, layer.label, why, place)


def _ambiguous(
    layer: Layer, names: Sequence[str], layers: Sequence[Layer], modules: Modules
) -> Finding:
    """Several modules fit; the likeliest is a guess."""
    steps = recipe(layer, modules[names[0]])
    own = layer.names[-1] if layer.names else layer.key
    alone = sum(bool(x.names) and x.names[-1] == own for x in layers) == 1
    return Finding(
        "KG105",
        layer.key,
        f"{layer.label}: cannot tell which module of the state dict it is ({listed(names)}): their "
        f'arrays have the same shapes; renames={{"{names[0]}": "{own if alone else layer.key}"}} '
        "decides it",
        Severity.ERROR,
        () if isinstance(steps, str) else steps,
        Safety.GUESS,
    )
