"""What layers of Keras 3 are given: initialisers, regularisers, constraints, activations."""

from __future__ import annotations

__all__ = ["ACTIVATIONS", "CONSTRAINTS", "INITIALIZERS", "REGULARIZERS"]

_SEEDED = frozenset({"seed"})

INITIALIZERS: dict[str, frozenset[str]] = {
    "Constant": frozenset({"value"}),
    "GlorotNormal": _SEEDED,
    "GlorotUniform": _SEEDED,
    "HeNormal": _SEEDED,
    "HeUniform": _SEEDED,
    "Identity": frozenset({"gain"}),
    "LecunNormal": _SEEDED,
    "LecunUniform": _SEEDED,
    "Ones": frozenset(),
    "Orthogonal": frozenset({"gain", "seed"}),
    "RandomNormal": frozenset({"mean", "stddev", "seed"}),
    "RandomUniform": frozenset({"minval", "maxval", "seed"}),
    "STFT": frozenset({"side", "window", "scaling", "periodic"}),
    "TruncatedNormal": frozenset({"mean", "stddev", "seed"}),
    "VarianceScaling": frozenset({"scale", "mode", "distribution", "seed"}),
    "Zeros": frozenset(),
}

REGULARIZERS: dict[str, frozenset[str]] = {
    "L1": frozenset({"l1"}),
    "L1L2": frozenset({"l1", "l2"}),
    "L2": frozenset({"l2"}),
    "OrthogonalRegularizer": frozenset({"factor", "mode"}),
}

CONSTRAINTS: dict[str, frozenset[str]] = {
    "MaxNorm": frozenset({"max_value", "axis"}),
    "MinMaxNorm": frozenset({"min_value", "max_value", "rate", "axis"}),
    "NonNeg": frozenset(),
    "UnitNorm": frozenset({"axis"}),
}

_NAMES = (
    "celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh "
    "leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink "
    "softmax softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh "
    "tanh_shrink threshold"
)

ACTIVATIONS = frozenset(_NAMES.split())
