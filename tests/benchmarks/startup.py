"""What the command line costs before it does anything: CPU seconds of fresh processes.

python tests/benchmarks/startup.py
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

import kerasguard

ROUNDS = 7


def seconds(*arguments: str) -> float:
    """CPU seconds, user and system, of a Python process with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Print a table: medians, and how many times as long as Python by itself."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.weights.h5"
        with h5py.File(path, "w") as file:
            file["layers/dense/vars/0"] = np.ones((4, 4), "float32")
        kerasguard.record(path)
        cases = {
            "python": ("-c", "pass"),
            "import numpy": ("-c", "import numpy"),
            "import kerasguard": ("-c", "import kerasguard"),
            "kerasguard verify": ("-m", "kerasguard", "verify", str(path)),
            "kerasguard inspect": ("-m", "kerasguard", "inspect", str(path)),
        }
        measured: dict[str, list[float]] = {case: [] for case in cases}
        for _ in range(ROUNDS):
            for case, arguments in cases.items():
                measured[case].append(seconds(*arguments))
    base = statistics.median(measured["python"])
    print(f"{'case':20} {'CPU (s)':>8} {'ratio':>6}")
    for case, times in measured.items():
        median = statistics.median(times)
        print(f"{case:20} {median:8.3f} {median / base:6.1f}")


if __name__ == "__main__":
    main()
