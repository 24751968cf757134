"""Whatever bytes a reader is given, it answers or raises a `KerasguardError`, and soon.

`tests/support/fuzz.py` does the same for as long as it is told, guided by coverage.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import fuzz_targets
import pytest
from fuzz import raised_by, unguided
from fuzz_targets import TARGETS

from kerasguard.formats import open_checkpoint

PROGRAM = Path(__file__).parent / "support" / "fuzz.py"

# What the fuzzer has found, by target, in base64; each is mended.
FOUND: tuple[tuple[str, str], ...] = ()


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_answers_to_any_bytes(name: str) -> None:
    done, found = unguided(name, runs=150)
    assert done == 150
    assert not found, found[0]


@pytest.mark.parametrize("name", ["zip", "keras", "weights_h5", "legacy_h5", "npz", "tf_index"])
def test_the_seeds_get_past_the_door(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a fuzzer tests the door only; and so it is for the seed with another checksum."""
    opened: list[str] = []

    def counted(path: Path) -> Any:
        found = open_checkpoint(path)
        opened.append(found.name)
        return found

    monkeypatch.setattr(fuzz_targets, "open_checkpoint", counted)
    seeds = TARGETS[name].seeds()
    for seed in seeds:
        assert not raised_by(TARGETS[name].call, seed)
    assert len(opened) == len(seeds)


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_stays_mended(name: str, data: str) -> None:
    assert not raised_by(TARGETS[name].call, base64.b64decode(data))


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_fuzzer_that_sees_what_it_covers_finds_nothing_in_seconds(name: str) -> None:
    if util.find_spec("atheris") is None:
        pytest.skip("needs atheris: pip install -e .[fuzz]")
    done = subprocess.run(
        [sys.executable, PROGRAM, name, "--seconds", "5"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
