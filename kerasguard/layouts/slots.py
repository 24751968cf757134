"""Optimizer state of legacy files: which slot of which weight a name means.

tf.keras to 2.10 wrote `Adam/dense/kernel/m:0` (`training/Adam/...` while training), 2.11 on
`Adam/m/dense/kernel:0`, Keras 3 `adam/sequential_dense_kernel_momentum`. Keras before 2.3 on its
own numbered its variables; those names tell nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["slots_of"]

# Slot names of today by those of before, where an optimizer does not say otherwise.
_TODAY = {
    "m": "momentum",
    "v": "velocity",
    "vhat": "velocity_hat",
    "accum_grad": "accumulated_grad",
    "accum_var": "accumulated_delta_var",
    "rms": "velocity",
    "mg": "average_gradient",
}
_BY_OPTIMIZER = {"adamax": {"v": "norm"}, "nadam": {"v": "velocity"}}
_ITERATION = ("iter", "iterations", "iteration")


def slots_of(names: Iterable[str], weights: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Slot and weight of every optimizer tensor whose name tells them.

    Args:
        names: of the optimizer's tensors, as stored.
        weights: keys of the model's tensors by their names, as stored.

    Returns:
        By name: (`momentum`, key of the weight), or (`iteration`, "") and the like for what
        belongs to no weight.
    """
    plain = {_bare(name): key for name, key in weights.items()}
    flat = {name.replace("/", "_"): key for name, key in plain.items()}
    return {name: found for name in names if (found := _slot(_bare(name), plain, flat))}


def _bare(name: str) -> str:
    return re.sub(r":\d+$", "", name)


def _slot(name: str, plain: Mapping[str, str], flat: Mapping[str, str]) -> tuple[str, str] | None:
    parts = name.removeprefix("training/").split("/")
    if parts[-1] in _ITERATION:
        return "iteration", ""
    if parts[-1] == "learning_rate":
        return "learning_rate", ""
    optimizer, rest = re.sub(r"_\d+$", "", parts[0]).lower(), parts[1:]
    known = {**_TODAY, **_BY_OPTIMIZER.get(optimizer, {})}
    for slot, weight in ((rest[-1:], rest[:-1]), (rest[:1], rest[1:])):
        key = plain.get("/".join(weight))
        if slot and key is not None:
            return known.get(slot[0], slot[0]), key
    if len(rest) == 1:
        for weight_name, key in flat.items():
            if rest[0].startswith(f"{weight_name}_"):
                return rest[0].removeprefix(f"{weight_name}_"), key
    return None
