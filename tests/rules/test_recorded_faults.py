"""Value rules against manifests that `record` wrote: the damage is made in the files themselves.

The injectors in `faults.py` make tables, and share their idea of a manifest with the rules.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard as kg
from kerasguard.rules import VALUES

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras

WORDS = [f"word{n}" for n in range(400)]


def model(units: int = 3) -> Any:
    words = keras.Input((1,), dtype="string")
    lookup = keras.layers.StringLookup(name="words")
    lookup.adapt(WORDS)
    told = keras.layers.Embedding(402, 2)(lookup(words))
    return keras.Model(words, keras.layers.Dense(units, name="head")(told))


def saved(made: Any, path: Path) -> Path:
    with kg.patched(log_to_mlflow=False, strict=True):
        (made.save_weights if ".weights." in path.name else made.save)(path)
    return path


def nonfinite(folder: Path) -> Path:
    made = model()
    made.get_layer("head").bias.assign([np.nan, 1, np.inf])
    return saved(made, folder / "m.keras")


def corrupt(folder: Path) -> Path:
    path = saved(model(), folder / "m.weights.h5")
    extent = kg.inspect(path).table.tensors["layers/dense/vars/0"].extent
    assert extent is not None
    data = bytearray(path.read_bytes())
    data[extent.offset + 5] ^= 1
    path.write_bytes(data)
    return path


def stale(folder: Path) -> Path:
    path = saved(model(), folder / "m.weights.h5")
    model(4).save_weights(folder / "other.weights.h5")
    shutil.copyfile(folder / "other.weights.h5", path)
    return path


def container(folder: Path) -> Path:
    path = saved(model(), folder / "m.keras")
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["metadata.json"] = members["metadata.json"].replace(b"date_saved", b"date_aaved")
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
    return path


def companion(folder: Path) -> Path:
    path = saved(model(), folder / "m.weights.h5")
    [kept] = folder.glob("m.weights.h5.companion-*")
    kept.unlink()
    return path


# KG306 needs two replicas and so a process of its own: tests/classes/test_distribution.py.
MADE: dict[str, tuple[str, Callable[[Path], Path]]] = {
    f.__name__: (code, f)
    for code, f in (
        ("KG301", nonfinite),
        ("KG302", corrupt),
        ("KG303", stale),
        ("KG304", container),
        ("KG305", companion),
    )
}


@pytest.mark.parametrize("rule", MADE)
def test_damage_to_what_record_wrote_is_named_by_its_code_and_no_other(
    rule: str, tmp_path: Path
) -> None:
    code, damage = MADE[rule]
    found = kg.verify(damage(tmp_path)).findings
    # Another checkpoint's tensors have other values and another container, too.
    also = {"KG302", "KG304"} if rule == "stale" else set()
    assert {finding.code for finding in found} == {code} | also


def test_what_record_wrote_and_nobody_damaged_has_no_finding(tmp_path: Path) -> None:
    for name in ("m.keras", "m.weights.h5", "m.h5"):
        assert kg.verify(saved(model(), tmp_path / name)).findings == ()


def test_every_value_rule_has_such_damage() -> None:
    assert {*MADE, "replicas"} == {*VALUES}
