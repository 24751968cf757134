from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kerasguard.manifest import Manifest
from kerasguard.storage import companion, sidecar

pytestmark = pytest.mark.keras

NAMES = {
    "file": "m.keras",
    "directory": "m",
    "weights": "m.weights.h5",
    "shards": "s.weights.json",
    "legacy": "m.h5",
    "ModelCheckpoint": "best.keras",
    "BackupAndRestore": "latest.weights.h5",
}


@pytest.mark.slow
@pytest.mark.parametrize("kills", [60])
def test_a_kill_during_a_save_never_loses_the_good_pair(kills: int) -> None:
    done = subprocess.run(
        [sys.executable, __file__, str(kills)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for kind, count in json.loads(done.stdout.splitlines()[-1]).items():
        assert count["lost"] == 0, f"{kind}: {count}"
        assert count["inside"] >= kills
        assert count["old"] + count["new"] == count["inside"]


# What follows runs in the process of its own that the test starts. That process forks a child for
# each save and kills it, so that Keras is imported once.


def count_kills(kind: str, folder: Path, kills: int) -> dict[str, int]:
    """Save over a good pair, again and again, and look at what every kill has left."""
    path = folder / NAMES[kind]
    model, save = saver(kind, path)
    save()
    duration = run(save, killer=None)
    count = dict.fromkeys(("inside", "late", "old", "new", "lost"), 0)
    generator = random.Random(kind)
    while count["inside"] < kills and count["late"] < 20 * kills:
        old = pair(path)
        model.weights[0].assign(model.weights[0] + 1)
        moment = generator.uniform(0, duration)
        # Every other kill waits for the commit, which is a small part of a save.
        eager = count["inside"] % 2 == 1
        run(save, killer=at_commit(path, moment / 50) if eager else partial(time.sleep, moment))
        inside = any(folder.glob(".*.kg-*"))
        count["inside" if inside else "late"] += 1
        found = pair(path)
        if found is None or old is None:
            count["lost"] += 1
            save()
        elif inside:
            count["old" if found.checkpoint_id == old.checkpoint_id else "new"] += 1
    save()
    left = [name.name for name in folder.iterdir() if name.name.startswith(".")]
    assert not left, f"the next save did not clear away {left}"
    kept = [name.name for name in folder.glob("*.companion-*")]
    assert len(kept) == 1, f"the next save did not clear away {kept}"
    return count


def saver(kind: str, path: Path) -> tuple[Any, Callable[[], None]]:
    import keras

    keras.utils.set_random_seed(0)
    middle = [keras.layers.Dense(512) for _ in range(5)]
    model = keras.Sequential([keras.Input((512,)), *middle, keras.layers.Dropout(0.5)])
    if kind == "weights":
        return model, lambda: model.save_weights(path)
    if kind == "shards":
        return model, lambda: model.save_weights(path, max_shard_size=2e6 / 1024**3)
    if kind == "directory":
        return model, lambda: model.save(path, zipped=False)
    callbacks = {
        "ModelCheckpoint": lambda: keras.callbacks.ModelCheckpoint(path),
        "BackupAndRestore": lambda: keras.callbacks.BackupAndRestore(path.parent),
    }
    if kind in callbacks:
        callback = callbacks[kind]()
        callback.set_model(model)
        return model, lambda: callback.on_epoch_end(0, {})
    return model, lambda: model.save(path)


def pair(path: Path) -> Manifest | None:
    """The manifest, if every byte of the checkpoint and its companion is as it says."""
    manifest = sidecar.read(path)
    if manifest is None or not sidecar.describes(manifest, path) or manifest.companion is None:
        return None
    kept = companion.located(path, manifest.companion.name)
    content = kept.read_bytes() if kept.is_file() else b""
    return manifest if companion.described(kept.name, content) == manifest.companion else None


def at_commit(path: Path, moment: float) -> Callable[[], None]:
    """Wait until the new manifest is complete, then `moment` seconds."""

    def wait() -> None:
        prefix = sidecar.staging_prefix(path.name)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if any(path.parent.glob(f"{prefix}*/{sidecar.PENDING_NAME}")):
                time.sleep(moment)
                return
            time.sleep(0.0002)

    return wait


def run(save: Callable[[], None], killer: Callable[[], None] | None) -> float:
    """Save in a child; kill it when `killer` returns. The seconds that it took."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"!")
        try:
            save()
        finally:
            os._exit(0)
    os.read(reader, 1)
    start = time.monotonic()
    if killer is not None:
        killer()
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    return time.monotonic() - start


def main(kills: int, kinds: list[str]) -> None:
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    import kerasguard
    from kerasguard.recorder import unwritten_state

    unwritten_state.INLINE = -1  # the companion is what may be lost
    kerasguard.patch(log_to_mlflow=False)
    counts = {}
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            counts[kind] = count_kills(kind, Path(folder), kills)
    print(json.dumps(counts))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:] or list(NAMES))
