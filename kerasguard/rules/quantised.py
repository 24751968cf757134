"""A layer is quantised on one side only, or differently.

What it looks like: an int8 kernel and its scale are stored, the model's kernel is float32; or vice
versa; or both are integers of different shapes.

Why it happens: `model.quantize("int8")` was called before saving and not before loading, or after
it; int4 numbers lie two to a byte, along another axis in Keras 3.12 than in 3.15.

Source: keras/src/layers/core/dense.py, `_int8_build`, `_int4_build`; keras/src/quantizers,
`pack_int4`.

When the repair is exact: there is none. A cast would take the integers for the weights, without
their scale.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.identity.units import Unit
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import TensorSpec

CODES = {"KG207": "a layer is quantised on one side only, or differently"}

_INTEGERS = ("int8", "uint8", "int4", "uint4")


def quantised(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per layer whose kernels are integers on one side, or other ones."""
    ours, theirs = draft.pairing.expected, draft.pairing.stored
    pairs = {key: key for key in ours if key in theirs} | dict(draft.pairing.layers)
    for e, s in pairs.items():
        have, want = _integers(theirs[s]), _integers(ours[e])
        scales = len(theirs[s].members) - len(ours[e].members)
        if have == want or (scales <= 0 and not want) or (scales >= 0 and not have):
            continue  # a table of integers has no scale
        label = ours[e].label
        if not want:
            text = (
                f"is stored quantised ({have[0]}), and the model's is not; call model.quantize(...)"
                " as before saving, or load the whole model: kerasguard.load(path)"
            )
        elif not have:
            text = (
                f"is stored as it was before quantisation, and the model's is quantised "
                f"({want[0]}); load first, then call model.quantize(...)"
            )
        elif _shapes(have) != _shapes(want):
            text = (
                f"is stored as {have[0]}, expected {want[0]}; both are quantised, but "
                "differently, or by a Keras that packs int4 along another axis: save it again "
                "from the float weights"
            )
        else:
            continue
        yield Finding("KG207", e, f"{label}: {text}", Severity.ERROR)


def _integers(unit: Unit) -> list[TensorSpec]:
    """Its integer kernels; a vector of integers is a counter or an index."""
    specs = (record.spec for record in unit.members.values())
    return [spec for spec in specs if spec.dtype in _INTEGERS and len(spec.shape) > 1]


def _shapes(specs: list[TensorSpec]) -> list[tuple[int, ...]]:
    return [spec.shape for spec in specs]
