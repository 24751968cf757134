"""Whatever call of a save the disk fails: the old pair or the new, with what the model held."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.keras, pytest.mark.slow]

NAMES = {
    "file": "m.keras",
    "directory": "m",
    "weights": "m.weights.h5",
    "shards": "s.weights.json",
    "legacy": "m.h5",
}
MODES = {"one": 0, "of this kind": 1, "from there on": 2}
ERRORS = ("EIO", "ENOSPC", "EINTR", "EDQUOT", "EROFS")
KILLED = 0
# No kernel answers EINTR for ever, and callers ask again for as long as it does.
INTERRUPTED = 20
# Of the cases, every so-manieth; KERASGUARD_EVERY=1 for all of them, which takes half an hour.
EVERY = int(os.environ.get("KERASGUARD_EVERY", "31"))


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("kind", NAMES)
def test_whatever_call_the_disk_fails_a_pair_is_left_and_tells_the_truth(
    tmp_path: Path, kind: str
) -> None:
    found = judged(tmp_path, kind, EVERY)
    assert found["calls"] > 20
    assert found["old"] > 0
    assert found["bad"] == [], found


def judged(folder: Path, kind: str, step: int) -> dict[str, Any]:
    """What every `step`-th failing call has left, from a process with the failing disk."""
    library = folder / "disk.so"
    source = Path(__file__).parents[1] / "support" / "failing_disk.c"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, timeout=60
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, __file__, kind, str(step)],
        env={**environment, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
        timeout=3000,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


# What follows runs in the process of its own. It forks a child for each save, so that Keras is
# imported once.


def main(kind: str, step: int) -> dict[str, Any]:
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    import kerasguard
    from kerasguard.recorder import unwritten_state

    unwritten_state.INLINE = -1  # the companion can fail, too
    kerasguard.patch(log_to_mlflow=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        folder.mkdir()
        path = folder / NAMES[kind]
        model, save = saver(kind, path)
        save()
        old = seen(path, model)
        assert old
        shutil.copytree(folder, Path(name) / "kept", symlinks=True)
        model.weights[0].assign(model.weights[0] + 1)
        calls, _ = failing(save, folder, -1, 0, 0, 0)
        new = seen(path, model)
        assert new
        assert new != old
        result: dict[str, Any] = {"calls": calls, **Counter(), "bad": []}
        for number, mode, at in cases(calls, step):
            shutil.rmtree(folder)
            shutil.copytree(Path(name) / "kept", folder, symlinks=True)
            times = INTERRUPTED if number == "EINTR" else -1
            error = KILLED if number == "KILL" else getattr(errno, number)
            _, told = failing(save, folder, at, error, MODES[mode], times)
            state = seen(path, model)
            verdict = "old" if state == old else "new" if state == new else "lost"
            result[verdict] = result.get(verdict, 0) + 1
            # What a save that raised has left may be either; one that returned has saved.
            if verdict == "lost" or (verdict == "old" and told["raised"] is None):
                result["bad"].append([number, mode, at, verdict, told, listing(folder)])
            elif not cleared_away(path, save):
                result["bad"].append([number, mode, at, "left behind", told, listing(folder)])
        return result


def cases(calls: int, step: int) -> Iterator[tuple[str, str, int]]:
    """What fails, how often and where; every call is also one at which the process is killed."""
    every = [(n, m, at) for at in range(calls) for n in ERRORS for m in MODES]
    yield from every[::step]
    for at in range(0, calls, (step + 2) // 3):
        yield "KILL", "one", at


def listing(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def saver(kind: str, path: Path) -> tuple[Any, Callable[[], None]]:
    import keras

    keras.utils.set_random_seed(0)
    middle = [keras.layers.Dense(8) for _ in range(2)]
    model = keras.Sequential([keras.Input((8,)), *middle, keras.layers.Dropout(0.5)])
    if kind == "weights":
        return model, lambda: model.save_weights(path)
    if kind == "shards":
        return model, lambda: model.save_weights(path, max_shard_size=3e-7)
    if kind == "directory":
        return model, lambda: model.save(path, zipped=False)
    return model, lambda: model.save(path)


def seen(path: Path, model: Any) -> list[str]:
    """The values of a pair that belongs together, by `verify` with SHA-256; empty without one."""
    import kerasguard as kg

    try:
        report = kg.verify(path, sha256=True)
        if not report.ok or report.origin != "recorded":
            return []
        values = kg.read(path)
        return [f"{key} {values[key].tobytes().hex()}" for key in sorted(values)]
    except kg.KerasguardError:
        return []


def cleared_away(path: Path, save: Callable[[], None]) -> bool:
    """Whether the next save, in a process of its own, leaves nothing hidden."""
    failing(save, path.parent, -1, 0, 0, 0)
    names = [p.name for p in path.parent.iterdir()]
    return not any(n.startswith(".") for n in names) and sum(".companion-" in n for n in names) == 1


def failing(
    save: Callable[[], None], folder: Path, at: int, number: int, mode: int, times: int
) -> tuple[int, dict[str, Any]]:
    """Save in a child whose disk fails; how many calls there were, and what the caller was told."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        disk = ctypes.CDLL(None)
        disk.disk_kind.restype = ctypes.c_char_p
        disk.disk_count.restype = ctypes.c_long
        told: dict[str, Any] = {"raised": None}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            disk.disk_arm(
                os.fsencode(folder), ctypes.c_long(at), number, mode, ctypes.c_long(times)
            )
            try:
                save()
            except BaseException as error:  # noqa: BLE001  # told to the parent
                told["raised"] = f"{type(error).__name__}: {error}"
        told["warned"] = [str(w.message)[:300] for w in caught]
        told["kind"] = disk.disk_kind().decode()
        calls = disk.disk_count()
        disk.disk_arm(b"", ctypes.c_long(-1), 0, 0, ctypes.c_long(0))
        with os.fdopen(writer, "w") as file:
            json.dump([calls, told], file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        answer = file.read()
    _, status = os.waitpid(child, 0)
    if not answer:
        return -1, {"raised": f"ended with {status}", "kind": "", "warned": []}
    calls, told = json.loads(answer)
    return calls, told


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
