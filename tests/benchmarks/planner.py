"""How the cost of a plan grows: N stored against N expected tensors, as ratios within one run.

python tests/benchmarks/planner.py
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "nets"))

from tables import Layer, table

from kerasguard.loader.diagnose import diagnose
from kerasguard.tensors import Table


def models(tensors: int) -> dict[str, tuple[Table, Table]]:
    """Pairs of tables by what happened between saving and loading."""
    count = tensors // 2
    auto = [Layer(f"dense_{i}", config=str(i % 5)) for i in range(count)]
    named = [Layer(f"block{i}") for i in range(count)]
    return {
        "unchanged": (table(auto), table(auto)),
        "auto-names drifted": (
            table(auto),
            table([Layer(f"dense_{i + 7}", config=str(i % 5)) for i in range(count)]),
        ),
        "all renamed": (table([Layer(f"b{i}") for i in range(count)]), table(named)),
        "order reversed": (table(named, graph=False), table(named[::-1], graph=False)),
        "one inserted": (table([*auto[:5], Layer("dense_x"), *auto[5:]]), table(auto)),
    }


def seconds(expected: Table, stored: Table) -> float:
    """CPU seconds of one plan."""
    start = time.process_time()
    diagnose(expected, stored)
    return time.process_time() - start


def main() -> None:
    """Print a table: seconds at 1,000 and 10,000 tensors, and their ratio."""
    small, large = models(1_000), models(10_000)
    print(f"{'case':20} {'1,000 (s)':>10} {'10,000 (s)':>11} {'ratio':>6}")
    for case in small:
        a, b = [], []
        for _ in range(5):
            a.append(seconds(*small[case]))
            b.append(seconds(*large[case]))
        first, second = statistics.median(a), statistics.median(b)
        print(f"{case:20} {first:10.4f} {second:11.4f} {second / first:6.1f}")


if __name__ == "__main__":
    main()
