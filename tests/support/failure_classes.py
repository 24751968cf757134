"""The ways in which Keras weights are known to fail, and how each ends: stock and with kerasguard.

`CLASSES` is the registry that `tests/classes` is held to and `docs/failures.md` is made of.
Stock means Keras 3.15.1 on its own. A verdict is `right`, `refused` (an error, and the model is
as it was) or `reported` (loaded, with a finding that says what is not as it was), followed by the
finding's code or the error's name. `unseen`: nothing in such a file tells; only a manifest does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["CLASSES", "OPEN", "FailureClass", "classes_table"]

Stock = Literal["wrong", "wrong, warns", "refused", "right", "not run"]


@dataclass(frozen=True)
class FailureClass:
    """One way to fail.

    Args:
        id: its name.
        stock: the worst that Keras alone does.
        recorded: the verdict where the checkpoint has a manifest; empty where old versions wrote it
            that cannot record.
        alone: the verdict without a manifest; empty where kerasguard's save never leaves such a
            file.
        repairable: whether the right values can be had at all, from the file or from a manifest.
    """

    id: str
    stock: Stock
    recorded: str
    alone: str
    repairable: bool

    @property
    def test(self) -> str:
        """The name of its test, without `test_`."""
        return self.id.replace("-", "_")


def _of(text: str) -> Iterable[FailureClass]:
    for line in text.strip().splitlines():
        name, stock, recorded, alone, repairable = (part.strip() for part in line.split("|"))
        assert stock in ("wrong", "wrong, warns", "refused", "right", "not run")
        yield FailureClass(name, stock, recorded, alone, repairable == "yes")  # type: ignore[arg-type]


# name | stock | with a manifest | without | repairable
CLASSES = tuple(
    _of(
        """
masked-never-built | wrong | right | right | yes
private-_layers-attr | wrong | right | refused KG101 | yes
set-container | wrong | right | refused KG101 | yes
nested-list-in-layer-old-keras | wrong, warns | right | refused KG101 | yes
h5-axis-list-dropped | wrong | right | right | yes
hard-sigmoid-semantics | wrong |  | right KG409 | yes
default-changed-convlstm | wrong | right | reported KG206 | yes
nested-normalization-not-finalized | wrong | right | right | yes
v3-ordinal-shift | wrong | right KG104 | right KG104 | yes
v3-reordered-branches | wrong | right | right | yes
v3-extra-groups-ignored | wrong | reported KG102 | reported KG102 | no
h5-topological-order | wrong | right | right | yes
h5-by-name-none | wrong | right | right | yes
h5-by-name-shift | wrong | right | right | yes
h5-by-name-on-v3-file | wrong | right | right | yes
bn-center-scale-flip | wrong | refused KG101 | unseen | no
dict-container-order | wrong | right KG113 | unseen | yes
custom-layer-var-order | wrong | right | unseen | yes
frozen-nested-order | wrong | right | right | yes
theano-flip | wrong |  | right | yes
keras1-conversion-dropped | wrong |  | right | yes
tf-checkpoint-restore | wrong |  | right | yes
optimizer-class-swap | wrong | reported KG108 | reported KG108 | no
learning-rate-overwritten | wrong | right | right | yes
h5-optimizer-lost | wrong | right | right | yes
vocab-not-in-weights | wrong | right | reported KG106 | yes
textvectorization-h5 | wrong | right | refused KG106 | yes
discretization-state | wrong | right | reported KG106 | yes
half-written-h5-after-save-error | wrong |  | refused CorruptCheckpointError | no
bitflip-weights-h5 | wrong | refused KG302 | unseen | no
zero-hole | wrong | refused KG302 | unseen | no
mixed-shards | wrong | refused KG302 | unseen | no
bn-replica0-only | wrong | reported KG306 | unseen | no
rng-state | wrong | right | reported KG106 | yes
metric-state | wrong | right | reported KG106 | yes
stateful-rnn | wrong | right | reported KG106 | yes
custom-function-same-name | wrong | refused KG501 | unseen | no
float64-downcast | wrong | refused KG202 | refused KG202 | no
float16-overflow | wrong, warns | refused KG202 | refused KG202 | no
int-truncation | wrong | refused KG202 | refused KG202 | no
skip-mismatch | wrong, warns | refused KG203 | refused KG203 | no
ema-not-in-weights | wrong, warns | right | right | yes
optimizer-unbuilt-skip | wrong, warns | right | right | yes
optimizer-k2-to-k3 | wrong, warns |  | right | yes
optimizer-count-mismatch | wrong, warns | reported KG108 | reported KG108 | no
legacy-h5-weights-no-optimizer | wrong |  | reported KG108 | no
optimizer-lr-decay-args | refused |  | right | yes
rnn-time-major | refused |  | right KG410 | yes
depthwise-groups | refused |  | right KG413 | yes
separable-groups | refused |  | right KG413 | yes
convtranspose-groups | refused |  | right KG413 | yes
nested-node-index | refused |  | right KG406 | yes
bn-axis-list-keras-zip | refused |  | right KG414 | yes
first-layer-batch-input-shape | refused |  | right | yes
functional-module-path | refused |  | right KG406 | yes
k3-keras-in-k2 | refused | refused ModelError | refused ModelError | no
k3-h5-in-k2 | refused | refused ModelError | refused ModelError | no
mha-query-shape | refused |  | right KG416 | yes
attention-score-mode | refused | right | right | yes
discretization-trainable | refused |  | right | yes
wrapper-inner-class-no-module | refused |  | right | yes
removed-layers | refused |  | right | yes
tfoplambda | refused |  | right KG419 | yes
loss-alias-mse | refused | right | right | yes
lambda-safe-mode | refused | refused KG421 | refused KG421 | no
lambda-marshal | not run |  | refused KG421 | no
custom-activation-missing | refused |  | refused KG425 | no
custom-layer-missing | refused | refused KG425 | refused KG425 | no
child-never-built | refused | right | right | yes
layer-count-mismatch | refused | refused KG105 | refused KG109 | no
weight-count-mismatch | not run | refused KG204 | refused KG204 | no
v3-path-missing | refused | right | right | yes
v3-tf212-paths | refused |  | right | yes
slash-in-name | refused |  | right KG423 | yes
duplicate-names | refused |  | right KG423 | yes
subclass-unbuilt | refused | right | right | yes
gru-reset-after | refused |  | refused KG204 | no
cudnn-gru | refused |  | right | yes
cudnn-lstm | refused |  | right | yes
keras1-lstm-12 | refused |  | right | yes
savedmodel-dir | refused |  | right | yes
tf-checkpoint-prefix | refused |  | right | yes
tf-checkpoint-h5-suffix | refused |  | right | yes
keras-suffix-h5-content | refused |  | right | yes
legacy-named-weights-h5 | refused |  | right | yes
v3-renamed-h5 | refused | right | right | yes
weights-only-load-model | refused | right | refused ArchitectureError | yes
h5-subclassed | refused |  | refused UnknownFormatError | no
bf16-legacy-h5 | refused | right | right | yes
bf16-v3-keras2 | refused |  | right | yes
mixed-precision-policy | refused |  | right KG408 | yes
quant-vs-float | refused | right | refused KG207 | yes
int4-packing | refused |  | refused KG207 | yes
truncated-h5 | refused | refused CorruptCheckpointError | refused CorruptCheckpointError | no
truncated-keras | refused | refused CorruptCheckpointError | refused CorruptCheckpointError | no
empty-file | refused | refused UnknownFormatError | refused UnknownFormatError | no
file-locking | not run | right | right | yes
h5py-decode | not run |  | right | yes
dist-optimizer-slots | right | right | right | yes
dist-scope | not run | right | right | yes
"""
    )
)

OPEN: dict[str, str] = {}
"""Classes that do not end as the registry says yet, and what they wait for."""


def classes_table(classes: Iterable[FailureClass]) -> str:
    """One row per class."""
    head = ["| class | stock Keras | with a manifest | without |", "|---|---|---|---|"]
    rows = [
        f"| {c.id} | {c.stock} | {_shown(c, c.recorded)} | {_shown(c, c.alone)} |" for c in classes
    ]
    return "\n".join([*head, *rows, ""])


def _shown(case: FailureClass, verdict: str) -> str:
    return "open" if verdict and case.id in OPEN else verdict or "-"
