"""One of two processes of JAX with four devices each: all load the same checkpoint, or none.

    mesh_worker_job.py FOLDER RANK

Prints `LAYOUT CASE: ok` per load. Everything stays alive until the last one is done.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
import warnings
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax

jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(os.environ["WORKERS"], 2, int(sys.argv[2]))

import keras  # noqa: E402
import numpy as np  # noqa: E402
from mesh_job import filled, net, state, under  # noqa: E402

import kerasguard as kg  # noqa: E402
from kerasguard.errors import WorkersError  # noqa: E402

LAYOUTS = ("data", "2x4", "1x8")
"""On 1x8 each process has one half of every kernel."""


def meet(name: str) -> None:
    jax._src.distributed.global_state.client.wait_at_barrier(name, 100_000)


def holds(model: Any, wanted: list[np.ndarray]) -> bool:
    """Whether this process' devices hold their boxes of the wanted arrays."""
    variables = [*(v for v in model.weights if "seed" not in v.path), *model.optimizer.variables]
    return all(
        np.array_equal(shard.data, array[shard.index])
        for variable, array in zip(variables, wanted, strict=True)
        for shard in variable.value.addressable_shards
    )


def main(folder: Path, rank: int) -> None:
    model = filled(net("functional"))
    wanted = state(model)
    if rank == 0:
        with kg.patched(strict=True):
            model.save(folder / "m.keras")
            other = net("functional")
            other.save(folder / "other.keras")
    meet("saved")
    own = folder / f"disk{rank}"
    for case in ("good", "missing", "damaged", "other"):
        (own / case).mkdir(parents=True)
        name = "other.keras" if case == "other" and rank else "m.keras"
        for end in ("", ".manifest.json"):
            shutil.copy(f"{folder / name}{end}", f"{own / case / 'm.keras'}{end}")
    if rank:
        (own / "missing" / "m.keras").unlink()
        place = own / "damaged" / "m.keras"
        place.write_bytes(place.read_bytes()[:-100])
    for layout in LAYOUTS:
        under(layout)
        keras.utils.set_random_seed(1)  # JAX demands it of a model that several processes make
        given = net("functional")
        for case in ("good", "missing", "damaged", "other"):
            for target in (given, None):
                try:
                    restored = kg.restore(own / case / "m.keras", target, learning_rate="stored")
                except WorkersError as error:
                    fine = case == "other" and list(error.reasons) == [1]
                else:
                    codes = [f.code for f in restored.report.findings if f.code != "KG110"]
                    fine = holds(restored.model, wanted) and all(
                        outcome.proven for outcome in restored.report.outcomes
                    )
                    fine = fine and codes == ([] if case == "good" else ["KG307"])
                    fine = fine and kg.replica_differences(restored.model) == {}
                print(f"{layout} {case}: {'ok' if fine else 'wrong'}", flush=True)
        if layout == "data" and rank == 0:  # the chief alone
            with kg.patched(strict=True):
                given.save(folder / "again.keras")
            print(f"saved: {kg.verify(folder / 'again.keras').verdict}", flush=True)
    meet("done")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    # JAX aborts a process that outlives the coordinator, which is process 0, or Gloo's peer.
    time.sleep(3 if sys.argv[2] == "0" else 0)
    os._exit(0)
