"""One of two processes of JAX with four devices each that save steps by Orbax together.

    orbax_worker_job.py FOLDER RANK

Prints `NAME: ok` or `NAME: wrong` per load. Everything stays alive until the last one is done.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
import warnings
from pathlib import Path
from typing import Any

# First: this starts JAX in its two processes.
from mesh_worker_job import holds, meet  # isort: skip

import keras
import numpy as np
from mesh_job import filled, net, state, under

import kerasguard as kg
from kerasguard.tensors.elements import digest

SAVED = ("data", "2x4", "1x8")
RESTORED = ("2x4", "1x8")
"""On 1x8 each process has one half of every kernel."""


def boxed(manifest: kg.Manifest, wanted: list[np.ndarray], layout: str) -> bool:
    """Whether the boxes of each kernel are those of the layout, and hold what it holds."""
    own = {(a.shape, digest(a)): a for a in wanted}
    kernels = [r for r in manifest.recorded.values() if r.name.endswith("kernel")]
    count = {"data": 0, "2x4": 4, "1x8": 8}[layout]
    return bool(kernels) and all(
        len(r.boxes) == count
        and all(
            digest(np.ascontiguousarray(own[r.spec.shape, r.digest or ""][b.slices])) == b.digest
            for b in r.boxes
        )
        for r in kernels
    )


def tell(name: str, fine: bool) -> None:
    print(f"{name}: {'ok' if fine else 'wrong'}", flush=True)


def main(folder: Path, rank: int) -> None:
    for kind in ("functional", "sequential"):
        for saved in SAVED:
            under("none")
            wanted = state(filled(net(kind)))
            under(saved)
            keras.utils.set_random_seed(1)  # JAX demands it of a model that several processes make
            root = folder / f"{kind} {saved}"
            saving = keras.callbacks.OrbaxCheckpoint(root, max_to_keep=1)
            saving.set_model(filled(net(kind)))
            with kg.patched(strict=True):
                saving.on_epoch_end(0)
                saving.on_epoch_end(1)
            saving.on_train_end()
            meet(root.name)
            names = sorted(p.name for p in root.iterdir())
            manifest = kg.inspect(root / "1")
            fine = names == ["1", "1.manifest.json"] and kg.verify(root / "1").ok
            fine = fine and manifest.environment["workers"] == 2
            tell(f"{root.name} recorded", fine and boxed(manifest, wanted, saved))
            for restored in RESTORED:
                under(restored)
                for given in (net(kind), None):
                    found = kg.restore(root / "1", given, learning_rate="stored")
                    proven = all(outcome.proven for outcome in found.report.outcomes)
                    label = f"{root.name} onto {restored}, {'built' if given is None else 'given'}"
                    tell(label, proven and holds(found.model, wanted))
    _of_their_own(folder, rank, wanted)
    under("none")
    if rank:  # by itself, which the other processes need not know of
        single: Any = kg.load(folder / "functional 1x8" / "1")
        tell("one process alone", len(single.layers) > 1)
    meet("done")


def _of_their_own(folder: Path, rank: int, wanted: list[np.ndarray]) -> None:
    """Each process has a copy of the step; the second one's is missing or damaged."""
    for case in ("missing", "damaged"):
        own = folder / f"disk{rank}" / case
        shutil.copytree(folder / "sequential 1x8", own)
        if rank and case == "missing":
            shutil.rmtree(own / "1")
        elif rank:
            files = [p for p in (own / "1").rglob("*") if p.is_file()]
            largest = max(files, key=lambda p: p.stat().st_size)
            content = bytearray(largest.read_bytes())
            content[len(content) // 2] ^= 8
            largest.write_bytes(content)
        found = kg.restore(own / "1", net("sequential"), learning_rate="stored")
        codes = {f.code for f in found.report.findings}
        tell(f"{case} on one", holds(found.model, wanted) and "KG307" in codes)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    # JAX aborts a process that outlives the coordinator, which is process 0, or Gloo's peer.
    time.sleep(3 if sys.argv[2] == "0" else 0)
    os._exit(0)
