"""What a backend has to do, in a process and an environment of its own; prints a line per cell.

    backend_job.py FOLDER NAME [BEFORE]

Works in FOLDER/NAME, and first reads there what the backend before it left in FOLDER/BEFORE. The
exit status tells whether every cell is as it should be. TensorFlow and MLflow must not be
installed, unless TensorFlow is the backend.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np

FORMATS = (".keras", ".weights.h5", ".h5")
BACKENDS = ("tensorflow", "jax", "torch")


def main(folder: Path, name: str, before: str) -> int:
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        strangers = [n for n in ("tensorflow", "mlflow") if util.find_spec(n)]
        assert not strangers, f"this environment is to be without {strangers}"
    cells: dict[str, str] = {}
    for label, cell in (*_crossing(folder / before if before else None), *_alone(folder / name)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                warnings.filterwarnings("ignore", r"The \.grad attribute")  # PyTorch's own
                cell()
            cells[label] = ""
        except Exception:  # noqa: BLE001  # whatever it is, the next cell is tried too
            cells[label] = traceback.format_exc()
        print(f"{'ok  ' if not cells[label] else 'FAIL'} {backend}: {label}", flush=True)
    print("\n".join(filter(None, cells.values())))
    return int(any(cells.values()))


def net() -> Any:
    """With what backends do differently: order of axes, statistics, seeds; and a shared layer."""
    import keras

    layers = keras.layers
    inputs = keras.Input((6, 4), name="x")
    hidden = layers.Conv1D(5, 3, padding="same", name="conv")(inputs)
    hidden = layers.BatchNormalization(name="norm")(hidden)
    # Without a seed, PyTorch draws from a generator of its own, which no checkpoint holds.
    hidden = layers.Dropout(0.3, seed=1, name="drop")(hidden)
    shared = layers.Dense(5, activation="tanh", name="shared")
    hidden = layers.Flatten()(shared(shared(hidden)))
    return keras.Model(inputs, layers.Dense(2, name="head")(hidden), name="net")


def compiled() -> Any:
    import keras

    model = net()
    # Compiling a step takes PyTorch a minute; JAX is slower without.
    jit = False if keras.backend.backend() == "torch" else "auto"
    model.compile("adam", "mse", metrics=["mae"], jit_compile=jit)
    return model


def data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(24, 6, 4)).astype("float32")
    return x, x[:, 0, :2]


def state(model: Any) -> list[np.ndarray]:
    """Weights without seeds, and all that the optimizer has."""
    import keras

    found = [*model.trainable_variables, *model.layers[2].non_trainable_variables]
    return [keras.ops.convert_to_numpy(v) for v in (*found, *model.optimizer.variables)]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


def _equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """JAX counts steps in 32 bits, the others in 64."""
    pairs = zip(one, other, strict=True)
    return same(one, [b.astype(a.dtype) if b.dtype.kind == "i" else b for a, b in pairs])


def _crossing(before: Path | None) -> Iterator[tuple[str, Callable[[], None]]]:
    if before is None:
        return
    for suffix in FORMATS:
        for recorded in ("recorded", "alone"):
            path = before / f"{recorded}{suffix}"
            yield f"{path.parent.name} {path.name} into a model", partial(_into, path)
            if "weights" not in suffix or recorded == "recorded":
                yield f"{path.parent.name} {path.name} whole", partial(_whole, path)
    yield f"{before.name} verified", lambda: _verified(before)


def _wanted(path: Path) -> list[np.ndarray]:
    stored = np.load(path.parent / "state.npz")
    return [stored[f"arr_{i}"] for i in range(len(stored.files))]


def _into(path: Path) -> None:
    import kerasguard as kg

    model = compiled()
    restored = kg.restore(path, model)
    assert _equal(state(model), _wanted(path)), restored.report


def _whole(path: Path) -> None:
    import kerasguard as kg

    restored = kg.restore(path)
    assert _equal(state(restored.model), _wanted(path)), restored.report
    if path.name == "recorded.keras":
        x, y = data()
        restored.model.jit_compile = compiled().jit_compile
        restored.model.fit(x, y, verbose=0)


def _verified(folder: Path) -> None:
    import kerasguard as kg

    for suffix in FORMATS:
        assert kg.verify(folder / f"recorded{suffix}").ok


def _alone(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    import keras

    folder.mkdir(parents=True)
    yield "saved for the next backend", lambda: _left(folder)
    if keras.backend.backend() == "tensorflow":
        return  # all other tests are about it
    yield "trains, is recorded, goes on as if it had not stopped", lambda: _resumed(folder)
    yield "a damaged file is refused and the model left alone", lambda: _refused(folder)
    yield "plan, record, repair", lambda: _repaired(folder)
    yield "what computes something else is found by its probe", lambda: _probed(folder)
    yield "saved in the background, loaded with little memory", lambda: _frugal(folder)
    yield "what is not filled has its initial value", _initialised
    yield "neither TensorFlow nor MLflow was imported", _no_strangers


def _resumed(folder: Path) -> None:
    import keras

    import kerasguard as kg

    x, y = data()
    keras.utils.set_random_seed(3)
    model = compiled()
    saved = keras.callbacks.ModelCheckpoint(folder / "{epoch:02d}.keras")
    recording = kg.WeightManifestCallback(probe=True)
    told = {"verbose": 0, "shuffle": False, "batch_size": 8}
    model.fit(x, y, epochs=2, callbacks=[recording, saved], **told)
    again = kg.restore(folder / "02.keras")
    assert all(o.proven for o in again.report.outcomes), again.report
    for one, seen in ((again.model, []), (model, [recording, saved])):
        one.fit(x, y, epochs=3, initial_epoch=2, callbacks=seen, **told)
    assert kg.inspect(folder / "03.keras").training["epoch"] == 2
    assert same(state(again.model), state(model))


def _refused(folder: Path) -> None:
    import kerasguard as kg

    path = folder / "damaged.keras"
    content = bytearray((folder / "03.keras").read_bytes())
    extent = kg.inspect(folder / "03.keras").recorded["layers/dense/vars/0"].extent
    assert extent is not None
    content[extent.offset] ^= 1
    path.write_bytes(content)
    manifest = (folder / "03.keras.manifest.json").read_text("utf-8")
    (folder / "damaged.keras.manifest.json").write_text(manifest, "utf-8")
    model = compiled()
    before = model.get_weights()
    assert not kg.verify(path).ok
    with _raises(kg.KerasguardError, "damaged.keras"):
        kg.load(path, model)
    assert same(model.get_weights(), before)


def _repaired(folder: Path) -> None:
    import keras

    import kerasguard as kg

    plain = folder / "plain.keras"
    model = kg.load(folder / "03.keras")
    model.save(plain)
    assert kg.plan(plain, compiled()).total
    assert kg.record(plain, model, probe="layers").probe
    assert kg.load(plain) is not None
    report = kg.repair(plain, folder / "repaired.keras")
    assert report.ok, report
    assert same(state(keras.saving.load_model(folder / "repaired.keras")), state(model))


def _probed(folder: Path) -> None:
    import keras

    import kerasguard as kg

    def curve(x: Any) -> Any:
        return keras.ops.tanh(x)

    def other(x: Any) -> Any:
        return keras.ops.relu(x)

    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2, activation=curve)(inputs))
    path = folder / "curve.keras"
    with kg.patched(probe="layers"):
        model.save(path)
    other.__name__ = "curve"
    kg.load(path, custom_objects={"curve": curve})
    with _raises(kg.UnrepairableError, "KG50"):
        kg.load(path, custom_objects={"curve": other})


def _frugal(folder: Path) -> None:
    import kerasguard as kg

    x, y = data()
    path = folder / "background.weights.h5"
    model = compiled()
    saving = kg.WeightManifestCallback(path, save_weights_only=True, background=True)
    model.fit(x, y, verbose=0, callbacks=[saving])
    other = compiled()
    kg.load(path, other, memory="low")
    assert same(state(other), state(model))


def _initialised() -> None:
    import keras

    from kerasguard.models.placeholders import skip_initialisers

    ran: list[str] = []

    class Counted(keras.initializers.Constant):  # type: ignore[misc]
        def __call__(self, shape: Any, dtype: Any = None, **more: Any) -> Any:
            ran.append("run")
            return super().__call__(shape, dtype, **more)

    def made(value: float) -> Any:
        return keras.Variable(Counted(value), (2,))

    with skip_initialisers() as skipped:
        left, filled, read, changed = (made(float(value)) for value in (1, 2, 3, 4))
        skips = len(skipped)
        assert skips == (4 if keras.backend.backend() == "jax" else 0)
        thirds = 1.0 / read
        changed.assign_add([1.0, 1.0])
    filled.assign([7.0, 7.0])
    skipped.fill([filled])
    assert len(ran) == (3 if skips else 4)
    found = [np.asarray(keras.ops.convert_to_numpy(v)) for v in (left, filled, thirds, changed)]
    np.testing.assert_allclose(np.array(found)[:, 0], [1.0, 7.0, 1 / 3, 5.0], rtol=1e-6)


def _left(folder: Path) -> None:
    import kerasguard as kg

    x, y = data()
    model = compiled()
    model.fit(x, y, verbose=0)
    np.savez(folder / "state.npz", *state(model))
    for suffix in FORMATS:
        for name in ("recorded", "alone"):
            path = folder / f"{name}{suffix}"
            save = model.save_weights if "weights" in suffix else model.save
            with contextlib.ExitStack() as stack, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Keras calls its own .h5 legacy
                if name == "recorded":
                    stack.enter_context(kg.patched())
                save(path)
            assert (folder / f"{path.name}.manifest.json").exists() == (name == "recorded")


def _no_strangers() -> None:
    assert not {"tensorflow", "mlflow"} & sys.modules.keys()


@contextlib.contextmanager
def _raises(kind: type[Exception], text: str) -> Iterator[None]:
    try:
        yield
    except kind as error:
        told = str(error)
    else:
        told = f"no {kind.__name__}"
    assert text in told, told


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""))
