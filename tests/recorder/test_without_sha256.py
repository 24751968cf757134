"""`sha256=False`: all that works without SHA-256, and what refuses to."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from keras_zoo import MARKS  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402
from kerasguard.errors import PinnedDigestError  # noqa: E402
from kerasguard.manifest import Manifest  # noqa: E402
from kerasguard.storage import sidecar  # noqa: E402
from kerasguard.tracking.mlflow_layout import by_digest, entry_of  # noqa: E402

pytestmark = MARKS
X = np.ones((4, 3), "float32")


def net() -> Any:
    dropout = keras.layers.Dropout(0.5, seed=1)  # its seed is state that Keras does not write
    model = keras.Sequential([keras.Input((3,)), dropout, keras.layers.Dense(2)])
    model.compile("adam", "mse")
    return model


def saved(path: Path) -> Manifest:
    with kg.patched(sha256=False):
        net().save(path)
    found = sidecar.read(path)
    assert found is not None
    return found


def test_a_manifest_without_it_says_so(tmp_path: Path) -> None:
    found = saved(tmp_path / "m.keras")
    assert "without-sha256" in found.requires
    assert [record.sha256 for record in found.files] == [""]
    told = json.loads(sidecar.place_of(tmp_path / "m.keras").read_text())
    assert "sha256" not in told["files"][0]
    assert Manifest.from_json(json.dumps(told)) == found
    del told["requires"]
    with pytest.raises(kg.KerasguardError, match="sha256"):
        Manifest.from_dict(told)


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_it_is_verified_loaded_and_found_again(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    found = saved(path)
    assert not kg.verify(path).findings
    assert not kg.restore(path).report.findings
    renamed = tmp_path / f"other-{name}"
    path.rename(renamed)  # the manifest stays under the old name
    assert sidecar.describes(found, renamed)
    data = bytearray(renamed.read_bytes())
    data[-1] ^= 1
    renamed.write_bytes(data)
    assert not sidecar.describes(found, renamed)


def test_a_flipped_bit_is_found_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    saved(path)
    extent = next(r.extent for r in kg.inspect(path).table.tensors.values() if r.extent)
    data = bytearray(path.read_bytes())
    for place in (extent.offset, len(data) - 3):
        data[place] ^= 1
        path.write_bytes(data)
        with pytest.raises(kg.KerasguardError):
            kg.load(path)
        data[place] ^= 1
    path.write_bytes(data)
    kg.load(path)


def test_whoever_asks_for_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    saved(path)
    told = [str(f) for f in kg.verify(path, sha256=True).findings]
    assert any("no SHA-256 was recorded" in text for text in told)
    manifest = hashlib.sha256(sidecar.place_of(path).read_bytes()).hexdigest()
    with pytest.raises(PinnedDigestError, match="no SHA-256 was recorded"):
        kg.load(path, digest=f"sha256:{manifest}")
    whole = hashlib.sha256(path.read_bytes()).hexdigest()  # which is of the file itself
    kg.load(path, digest=f"sha256:{whole}", manifest="ignore")


def test_who_wants_it_gets_it_from_whoever_does_not(tmp_path: Path) -> None:
    model = net()
    with kg.patched(sha256=False):
        callback = kg.WeightManifestCallback(tmp_path / "a.keras")
        model.fit(X, X[:, :2], verbose=0, callbacks=[callback])
    found = sidecar.read(tmp_path / "a.keras")
    assert found is not None
    assert found.files[0].sha256
    alone = kg.WeightManifestCallback(tmp_path / "b.keras", sha256=False)
    net().fit(X, X[:, :2], verbose=0, callbacks=[alone])
    found = sidecar.read(tmp_path / "b.keras")
    assert found is not None
    assert not found.files[0].sha256
    again = kg.record(shutil.copy(tmp_path / "b.keras", tmp_path / "c.keras"), sha256=False)
    assert not again.files[0].sha256
    assert "without-sha256" in again.requires


def test_mlflow_tells_saves_apart_without_it(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "a.keras"), saved(tmp_path / "b.keras")
    assert entry_of(one).startswith("xxh3-")
    assert entry_of(one) != entry_of(other)
    whole = kg.record(tmp_path / "a.keras")
    assert entry_of(whole) == by_digest((f.size, f.sha256) for f in whole.files)
