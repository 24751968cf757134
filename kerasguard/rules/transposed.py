"""The axes are the expected ones in another order.

What it looks like: a stored kernel is (3, 4), the expected one (4, 3).

Why it happens: the file comes from a framework or backend that stores kernels transposed (PyTorch,
Theano), or was converted by hand.

Source: keras-team/keras issue 6759; the Keras 2 function that used to convert such kernels.

When the repair is exact: never from shapes alone, since nothing proves that a transpose was all
that happened. `repair="guess"` takes it. Layouts of known writers are handled by their format.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Safety, Transpose

CODES = {"KG201": "the axes are in a different order than expected"}


def transposed(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per step whose shape is a permutation of the expected one."""
    for key, step in draft.steps.items():
        have, want = draft.after(key), draft.expected.tensors[key].spec
        if have is None or have.shape == want.shape or sorted(have.shape) != sorted(want.shape):
            continue
        left = list(range(len(have.shape)))
        axes = []
        for size in want.shape:  # the first axis of that size; equal sizes make it more of a guess
            axis = next(a for a in left if have.shape[a] == size)
            left.remove(axis)
            axes.append(axis)
        yield Finding(
            "KG201",
            key,
            f"{draft.expected.tensors[key].label}: axes are {have.shape}, expected {want.shape}; "
            "a transpose would fit",
            Severity.ERROR,
            (step.then(Transpose(tuple(axes))),),
            Safety.GUESS,
        )
