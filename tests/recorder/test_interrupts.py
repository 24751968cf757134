"""Ctrl-C at any line of a save through Keras leaves a pair, and nothing after the next save."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import kerasguard as kg
from kerasguard.storage import sidecar

pytestmark = [pytest.mark.keras, pytest.mark.slow]

PACKAGE = str(Path(kg.__file__).parent)
# Of the lines that a save runs through, every so-manieth; KERASGUARD_EVERY=1 for all of them.
EVERY = int(os.environ.get("KERASGUARD_EVERY", "61"))


class Interrupting:
    """Raises KeyboardInterrupt where a given line is first come to; or collects the lines."""

    def __init__(self, line: tuple[str, int] | None = None) -> None:
        self.line, self.seen = line, {}  # type: ignore[var-annotated]

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            here = frame.f_code.co_filename, frame.f_lineno
            self.seen[here] = None
            if here == self.line:
                self.line = None
                raise KeyboardInterrupt
        return self


# An interrupt in the middle of `open` leaves the file to the collector, which tells.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["m.keras", "m", "m.weights.h5"])
def test_an_interrupt_at_a_line_of_a_save_leaves_a_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import keras

    monkeypatch.setattr(os, "fsync", lambda _: None)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), keras.layers.Dropout(0.5)])
    path = tmp_path / name
    collected, tracing = Interrupting(), sys.gettrace()

    def save(trace: Interrupting | None) -> None:
        model.weights[0].assign(model.weights[0] + 1)
        sys.settrace(trace or tracing)
        try:
            if name == "m":
                model.save(path, zipped=False)
            elif name == "m.keras":
                model.save(path)
            else:
                model.save_weights(path)
        except BaseException:  # what Keras makes of an interrupt may be another exception
            if trace in (None, collected):
                raise
        finally:
            sys.settrace(tracing)

    with kg.patched(strict=True):
        save(None)
        save(collected)
        lines = list(collected.seen)[::EVERY]
        for number, line in enumerate(lines):
            save(Interrupting(line))
            manifest = sidecar.read(path)
            assert manifest is not None, line
            assert sidecar.describes(manifest, path), line
            if number % 10 == 0 or number == len(lines) - 1:
                save(None)
                report = kg.verify(path)
                assert report.ok, line
                assert report.origin == "recorded", line
                hidden = [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]
                assert not hidden, line
    assert len(collected.seen) > 500
