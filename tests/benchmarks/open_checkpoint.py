"""Where the open checkpoint goes while a model is built and restored from it.

python tests/benchmarks/open_checkpoint.py [FILE]

Counted are the functions of kerasguard that are given the open checkpoint, or what reads it, and
the files that they lie in, between opening and the first plan; and among their calls those that go
back up to a higher floor of the import contract in `setup.cfg`. Without FILE a small functional
model is saved as `.h5`, which passes the most.
"""

from __future__ import annotations

import configparser
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "kerasguard"


def floors() -> dict[str, int]:
    """Height of each part of the package, by the contract's order."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["importlinter:contract:floors"]["layers"].split("\n")
    rows = [[part.strip() for part in line.split("|")] for line in lines if line.strip()]
    return {part: len(rows) - height for height, row in enumerate(rows) for part in row}


class Route:
    """The calls that carry the checkpoint, as `sys.setprofile` sees them."""

    def __init__(self) -> None:
        from kerasguard.loader.reading import Reading

        self._reading = Reading
        self._floors = floors()
        self.functions: Counter[CodeType] = Counter()
        self.up: Counter[str] = Counter()
        self.open = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """One event of the profiler."""
        if event != "call" or not self.open:
            return
        code = frame.f_code
        place = Path(code.co_filename)
        if PACKAGE not in place.parents or code.co_name.startswith("<"):
            return
        given = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if not any(self._is_checkpoint(frame.f_locals.get(name)) for name in given):
            return
        self.functions[code] += 1
        caller = frame.f_back
        below = Path(caller.f_code.co_filename) if caller else place
        if PACKAGE in below.parents and self._floor(below) < self._floor(place):
            self.up[
                f"{below.relative_to(PACKAGE)} -> {getattr(code, 'co_qualname', code.co_name)}"
            ] += 1

    def _is_checkpoint(self, value: Any) -> bool:
        return isinstance(value, self._reading) or hasattr(value, "layer_configs")

    def _floor(self, place: Path) -> int:
        part = place.relative_to(PACKAGE).parts[0].removesuffix(".py")
        return self._floors.get(part, len(self._floors))


def small(folder: Path) -> Path:
    """A functional model in a legacy file."""
    import keras

    inputs = keras.Input((8, 8, 3))
    hidden = keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(inputs))
    keras.Model(inputs, keras.layers.Dense(2)(hidden)).save(folder / "m.h5")
    return folder / "m.h5"


def main() -> None:
    """Print the counts and the route."""
    warnings.simplefilter("ignore")
    from kerasguard.loader import build_model
    from kerasguard.loader.reading import Reading
    from kerasguard.loader.request import Request

    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if sys.argv[1:] else small(Path(folder))
        route = Route()
        options: dict[str, Any] = dict.fromkeys(("model", "config"))
        request = Request.of({"path": path, **options})
        with Reading(path) as reading:
            route.open = True
            sys.setprofile(route)
            build_model.prepare(reading, request)
            sys.setprofile(None)
    files = {code.co_filename for code in route.functions}
    print(
        f"{len(route.functions)} functions in {len(files)} files, "
        f"{sum(route.up.values())} calls back up"
    )
    for code, times in route.functions.items():
        place = Path(code.co_filename).relative_to(PACKAGE)
        print(
            f"  {place}: {getattr(code, 'co_qualname', code.co_name)}"
            + (f" x {times}" if times > 1 else "")
        )
    for call in route.up:
        print(f"  up: {call}")


if __name__ == "__main__":
    main()
