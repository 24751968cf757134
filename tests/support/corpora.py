"""Real files with the predictions that their writers made, and the verdict on a loader.

Three corpora: `writers` (this project's small models, saved by ten TensorFlow versions: the golden
files), `dl4j` (another project's import tests) and `wild` (files out of public repositories).
`cases` lists their files, `judge` loads one and compares; a script prints the counts:

    python tests/support/corpora.py writers [--only tf2.3.1] [--format h5]
    python tests/support/corpora.py writers --table

The second writes what it found into `tests/golden/writers/measured.json`, for `docs/formats.md`.

By default files are loaded by `kerasguard.load`; `--by stock` loads them as Keras alone does,
`--by round-trip` saves what was loaded and loads it again, and `--by repair` has
`kerasguard.repair` write a `.keras` file that Keras alone loads. A round trip is right where the
second model also has, to the bit, the first one's weights and predictions.
"""

from __future__ import annotations

import argparse
import collections
import functools
import json
import os
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

__all__ = ["LOADERS", "MEASURED", "Case", "Verdict", "cases", "judge", "undefined", "writers_table"]

Load = Callable[..., Any]
GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "writers"
MEASURED = GOLDEN / "measured.json"
_PATHS = {
    "h5": "{}.h5",
    "weights_h5": "{}_weights.h5",
    "ckpt": "ckpt/{}",
    "savedmodel": "savedmodel/{}",
    "keras": "{}.keras",
}


@dataclass(frozen=True)
class Case:
    """One file and what a right load of it predicts.

    Args:
        corpus: `writers`, `dl4j` or `wild`.
        writer: who wrote it, `tf2.3.1`, or Keras' version.
        name: of the model.
        format: `h5`, `weights_h5`, `ckpt`, `savedmodel`, `keras`.
        path: of the file, the folder or the checkpoint's prefix.
        inputs: one array per input.
        outputs: one array per output; empty where no reference exists.
        build: makes the model to load into; None where the file alone is enough.
        options: further arguments of `load`.
        tolerance: largest difference, relative to the largest output (1 at least).
    """

    corpus: str
    writer: str
    name: str
    format: str
    path: Path
    inputs: tuple[Any, ...] = ()
    outputs: tuple[Any, ...] = ()
    build: Callable[[], Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-5

    def __str__(self) -> str:
        return f"{self.corpus}/{self.writer}/{self.name}/{self.format}"


@dataclass(frozen=True)
class Verdict:
    """`right`, `wrong` (loaded, other predictions), `refused` (an exception), `loaded` (no
    reference to compare with), and why."""

    kind: Literal["right", "wrong", "refused", "loaded"]
    why: str


def undefined(writer: str, name: str, kind: str) -> bool:
    """Weights alone cannot tell what the layers computed: today's defaults are other ones."""
    if kind not in ("weights_h5", "ckpt"):
        return False
    rnn = writer.startswith("tf1.") and name in ("lstm", "gru", "gru_reset_after", "bidir")
    return rnn or (name in ("activations", "tfops") and not writer.startswith("tf2.21"))


def cases(corpus: str, shared: Path, scratch: Path) -> Iterator[Case]:
    """All files of a corpus.

    Args:
        corpus: `writers`, `dl4j` or `wild`.
        shared: the folder with `fixtures`; the writers' files need none.
        scratch: where archives may be unpacked.
    """
    if corpus == "writers":
        for archive in sorted(GOLDEN.glob("*.tar.xz")):
            yield from written_by(archive.name.removesuffix(".tar.xz"), scratch)
    else:
        yield from {"dl4j": _dl4j, "wild": _wild}[corpus](shared / "fixtures" / corpus)


def judge(case: Case, load: Load | None = None) -> Verdict:
    """Load a file and compare the predictions; an exception is a verdict, not an error.

    Args:
        case: the file.
        load: `load(path, model, **options)`; by default `kerasguard.load`.
    """
    import keras

    if load is None:
        import kerasguard

        load = kerasguard.load
    keras.utils.clear_session()
    keras.config.set_floatx("float32")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras' own, on code of the time when it was written
            into = case.build() if case.build else None
            keras.config.set_floatx("float32")
            model = load(case.path, into, **case.options)
            if not case.outputs:
                return Verdict("loaded", "")
            inputs = list(case.inputs)
            found = predicted(model, inputs)
    except Exception as error:  # noqa: BLE001  every refusal counts, whatever its type
        return Verdict("refused", f"{type(error).__name__}: {' '.join(str(error).split())}"[:2000])
    return _compared(_flat(found), case)


def predicted(model: Any, inputs: Sequence[Any]) -> Any:
    """What the model predicts for one array per input."""
    return model.predict(list(inputs) if len(inputs) > 1 else inputs[0], verbose=0)


def by_stock(path: Path, model: Any, **options: Any) -> Any:
    """What Keras alone makes of the file."""
    import keras

    if model is None:
        return keras.models.load_model(path, custom_objects=options.get("custom_objects"))
    model.load_weights(path)
    return model


def by_round_trip(path: Path, model: Any, **options: Any) -> Any:
    """The model after it was loaded, saved and loaded again; it must not have changed."""
    import kerasguard

    first = kerasguard.load(path, model, **options)
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "again.keras")
        first.save(saved)
        second = kerasguard.load(saved, custom_objects=options.get("custom_objects"))
    return unchanged(first, second)


def by_repair(path: Path, model: Any, **options: Any) -> Any:
    """What Keras alone makes of a file that `kerasguard.repair` wrote."""
    import keras

    import kerasguard

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "again.keras")
        kerasguard.repair(path, saved, model, **options)
        return keras.models.load_model(saved, custom_objects=options.get("custom_objects"))


LOADERS: Mapping[str, Load | None] = {
    "kerasguard": None,
    "stock": by_stock,
    "round-trip": by_round_trip,
    "repair": by_repair,
}


def unchanged(first: Any, second: Any) -> Any:
    """The second model, if it has the first one's weights and predictions to the bit."""
    for one, other in zip(first.weights, second.weights, strict=True):
        same = np.array_equal(np.asarray(one), np.asarray(other))
        assert same, f"{one.path} has other values after the round trip"
    try:
        inputs = _made_up(first)
        before = _called(first, inputs)
    except Exception:  # noqa: BLE001  what is made up need not be what the model can take
        return second
    for one, other in zip(before, _called(second, inputs), strict=True):
        assert np.array_equal(one, other, equal_nan=True), "other predictions after the round trip"
    return second


def _called(model: Any, inputs: Sequence[Any]) -> list[Any]:
    """What the model computes step by step, which needs no tracing."""
    found = model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
    return [np.asarray(array) for array in _flat(found)]


def _made_up(model: Any) -> list[Any]:
    """Random numbers of the model's input shapes; open sizes are 16."""
    generator = np.random.default_rng(5)
    arrays = []
    for told in _flat(model.inputs):
        shape = (2, *(size or 16 for size in told.shape[1:]))
        arrays.append(generator.random(shape).astype(told.dtype))
    return arrays


def _flat(found: Any) -> list[Any]:
    if isinstance(found, Mapping):
        return list(found.values())
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _compared(found: Sequence[Any], case: Case) -> Verdict:
    if [np.shape(a) for a in found] != [a.shape for a in case.outputs]:
        return Verdict("wrong", f"shapes {[np.shape(a) for a in found]}")
    worst = 0.0
    for a, b in zip(found, case.outputs, strict=True):
        scale = max(1.0, float(np.max(np.abs(b), initial=0.0)))
        difference = np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))
        worst = max(worst, float(np.max(difference, initial=0.0)) / scale)
    return Verdict("right" if worst <= case.tolerance else "wrong", f"{worst:.2g}")


def unpacked(writer: str, scratch: Path) -> Path:
    """The folder with the files of one of the writers."""
    if not (scratch / writer).is_dir():
        with tarfile.open(GOLDEN / f"{writer}.tar.xz") as archive:
            archive.extractall(scratch, filter="data")
    return scratch / writer


def written_by(writer: str, scratch: Path) -> Iterator[Case]:
    """The files of one of the writers, unpacked where they are not yet."""
    for info in sorted(unpacked(writer, scratch).glob("*.json")):
        yield from _written(info, writer)


def _written(info: Path, writer: str) -> Iterator[Case]:
    import writer_models

    told = json.loads(info.read_text())
    name, inputs, outputs = told["model"], *_arrays(info.with_suffix(".npz"))
    for kind, said in told["formats"].items():
        path = info.parent / _PATHS[kind].format(name)
        if kind == "weights_h5" and not path.exists():
            path = info.parent / f"{name}.weights.h5"
        if kind == "ckpt" and not path.with_name(f"{name}.index").exists():
            path = path.with_name(f"{name}-1")
        if said != "ok" or undefined(writer, name, kind):
            continue
        options: dict[str, Any] = {"custom_objects": writer_models.CUSTOM_OBJECTS}
        if kind == "savedmodel" and writer == "tf2.21.0":
            options["allow_graph"] = True
        tolerance = 2e-3 if outputs[0].dtype == np.float16 else 1e-5
        alone = kind not in ("weights_h5", "ckpt")
        yield Case(
            *("writers", writer, name, kind, path, inputs, outputs),
            build=None if alone else functools.partial(writer_models.built, name, inputs[0]),
            options=options,
            tolerance=tolerance,
        )


def _arrays(path: Path) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Inputs and outputs of an `.npz`; nothing where it does not exist."""
    if not path.exists():
        return (), ()
    with np.load(path) as arrays:
        inputs, outputs = (
            tuple(arrays[key] for key in sorted(arrays.files) if key[0] == letter)
            for letter in "xy"
        )
    return inputs, outputs


def _dl4j(folder: Path) -> Iterator[Case]:
    for row in json.loads((folder / "catalog.json").read_text()):
        path = folder / row["file"]
        inputs, outputs = _arrays(folder / f"{row['file']}.npz")
        yield Case("dl4j", "keras", row["file"], "h5", path, inputs, outputs)
        if row.get("recorded"):
            inputs, outputs = _recorded(folder / row["recorded"])
            if not outputs:
                continue
            name = f"{row['file']} (recorded)"
            yield Case("dl4j", "keras", name, "h5", path, inputs, outputs, tolerance=1e-4)


def _recorded(path: Path) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What the original Keras was given and predicted; its `outputs` are training targets."""
    import h5py

    with h5py.File(path) as file:
        if "predictions" not in file:
            return (), ()
        names = {side: json.loads(file.attrs[side])[side] for side in ("inputs", "outputs")}
        inputs = tuple(file[f"inputs/{name}"][()] for name in names["inputs"])
        outputs = tuple(file[f"predictions/{name}"][()] for name in names["outputs"])
    return inputs, outputs


def _wild(folder: Path) -> Iterator[Case]:
    kinds = {"h5-full": "h5", "keras-zip": "keras", "savedmodel": "savedmodel"}
    for row in json.loads((folder / "catalog.json").read_text()):
        kind = kinds.get(row["kind"])
        if kind is None:
            continue
        path = folder / row["file"]
        inputs, outputs = _arrays(folder / row["id"] / "expected.npz")
        program = kind == "savedmodel"
        options = {"allow_graph": True} if program else {}
        tolerance = 1e-4 if program else 1e-5  # its convolutions are oneDNN's, which round more
        case = Case("wild", str(row["keras_version"]), row["id"], kind, path, inputs, outputs)
        yield replace(case, options=options, tolerance=tolerance)


Measured = dict[str, dict[str, dict[str, int]]]


def measured(rows: Sequence[Sequence[str]]) -> Measured:
    """By writer and format, how many files got each verdict, out of rows of all verdicts."""
    found: Measured = {}
    for corpus, writer, _, kind, verdict, _ in rows:
        if corpus == "writers":
            counts = found.setdefault(writer, {}).setdefault(kind, {})
            counts[verdict] = counts.get(verdict, 0) + 1
    return found


def writers_table(found: Measured) -> str:
    """One row per writer, one column per format: how many files are right, out of how many."""
    titles = ["`.h5`", "weights `.h5`", "checkpoint", "SavedModel", "`.keras`", "refused", "wrong"]
    rows = [["TensorFlow", *titles]]
    for writer in sorted(found, key=lambda text: [int(n) for n in text[2:].split(".")]):
        kinds = found[writer]
        cells = [_right(kinds.get(kind, {})) for kind in _PATHS]
        others = [sum(c.get(v, 0) for c in kinds.values()) for v in ("refused", "wrong")]
        rows.append([writer.removeprefix("tf"), *cells, *map(str, others)])
    head, *lines = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *lines, ""])


def _right(counts: Mapping[str, int]) -> str:
    return f"{counts.get('right', 0)} of {sum(counts.values())}" if counts else ""


def main(arguments: Sequence[str]) -> None:
    """Judge a corpus and print what is not right, then the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", nargs="+", choices=["writers", "dl4j", "wild"])
    parser.add_argument("--only", default="", help="part of a case's name, commas between")
    parser.add_argument("--format", default="", help="formats, commas between")
    parser.add_argument("--by", choices=list(LOADERS), default="kerasguard", help="who loads")
    parser.add_argument("--shared", default=os.environ.get("KERASGUARD_SHARED", "../shared"))
    parser.add_argument("--json", help="write all verdicts here")
    parser.add_argument("--table", action="store_true", help="write what docs/formats.md says anew")
    told = parser.parse_args(arguments)
    counts: collections.Counter[tuple[str, str, str]] = collections.Counter()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for corpus in told.corpus:
            for case in cases(corpus, Path(told.shared), Path(scratch)):
                if told.format and case.format not in told.format.split(","):
                    continue
                if told.only and not any(part in str(case) for part in told.only.split(",")):
                    continue
                verdict = judge(case, LOADERS[told.by])
                counts[corpus, case.format, verdict.kind] += 1
                told_of = (case.corpus, case.writer, case.name, case.format)
                rows.append([*told_of, verdict.kind, verdict.why])
                if verdict.kind in ("wrong", "refused"):
                    print(f"{case} {verdict.kind} {verdict.why}", flush=True)
    for key, count in sorted(counts.items()):
        print(*key, count)
    if told.json:
        Path(told.json).write_text(json.dumps(rows))
    if told.table:
        MEASURED.write_text(json.dumps(measured(rows), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    main(sys.argv[1:])
