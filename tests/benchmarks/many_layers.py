"""What a tensor costs in a model of many layers, against the same in a model of few.

    python tests/benchmarks/many_layers.py                    10,000 layers against 500
    python tests/benchmarks/many_layers.py 5000 --rounds 3

Processor time per tensor, medians over rounds in which both models take turns in one process. A
ratio of 1 is a cost that grows with the number of tensors and no faster. `stock` rows are Keras'
own, whose times are no part of kerasguard's. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FEW, ROW = 500, 50


def made(count: int) -> Any:
    """So many Dense layers of 20 numbers, in rows of 50: Keras itself recurses along a row."""
    import keras

    tensor = inputs = keras.Input((4,))
    ends = []
    for number in range(1, count + 1):
        tensor = keras.layers.Dense(4)(tensor)
        if number % ROW == 0:
            ends.append(tensor)
            tensor = inputs
    return keras.Model(inputs, keras.layers.Add()(ends))


def ways(folder: Path, count: int) -> dict[str, Callable[[], object]]:
    """What is measured, by name; the files are written here."""
    import keras

    import kerasguard as kg

    model = made(count)
    whole, weights = folder / f"{count}.keras", folder / f"{count}.weights.h5"
    with kg.patched(strict=True, log_to_mlflow=False):
        model.save(whole)
        model.save_weights(weights)

    def recorded(path: Path, save: Callable[[Path], None]) -> None:
        with kg.patched(strict=True, log_to_mlflow=False):
            save(path)

    return {
        "load into": lambda: kg.load(weights, model),
        "plan": lambda: kg.plan(weights, model),
        "load whole": lambda: kg.load(whole),
        "save": lambda: recorded(whole, model.save),
        "save_weights": lambda: recorded(weights, model.save_weights),
        "verify": lambda: kg.verify(whole),
        "stock load into": lambda: model.load_weights(weights),
        "stock load whole": lambda: keras.saving.load_model(whole),
        "stock save": lambda: model.save(whole),
    }


def main() -> None:
    """Print a row per way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        calls = {count: ways(Path(folder), count) for count in (FEW, options.count)}
        print(f"{'':18}{FEW:>8} layers {options.count:>8} layers   ratio   (CPU per tensor)")
        for way in calls[FEW]:
            costs: dict[int, list[float]] = {count: [] for count in calls}
            for turn in range(options.rounds + 1):
                for count, by_way in calls.items():
                    gc.collect()
                    before = time.process_time()
                    kept = by_way[way]()
                    spent = time.process_time() - before
                    del kept
                    if turn:  # the first one imports what is only used here
                        costs[count].append(spent / (2 * count))
            few, many = (statistics.median(found) for found in costs.values())
            costs_shown = f"{few * 1e6:>12.0f} us {many * 1e6:>12.0f} us"
            print(f"{way:18}{costs_shown} {many / few:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
