"""A digest that is kept elsewhere decides what is loaded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard as kg
from kerasguard.cli.program import main
from kerasguard.errors import ArgumentError, PinnedDigestError
from kerasguard.storage import sidecar

pytestmark = pytest.mark.keras


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture
def model() -> Any:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.set_weights([w + 1 for w in model.get_weights()])
    return model


@pytest.fixture(params=["m.keras", "m.weights.h5"])
def saved(request: pytest.FixtureRequest, tmp_path: Path, model: Any) -> Path:
    path: Path = tmp_path / request.param
    with kg.patched():
        (model.save if path.suffix == ".keras" else model.save_weights)(path)
    return path


def test_the_file_its_manifest_and_its_weights_can_be_demanded(saved: Path, model: Any) -> None:
    manifest = kg.inspect(saved)
    for digest in (sha256(sidecar.sidecar_path(saved)), manifest.weights_digest):
        loaded = kg.load(saved, digest=digest)
        np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
        assert not kg.plan(saved, digest=digest).unresolved
        assert main(["plan", str(saved), "--digest", digest]) == 0
    kg.load(saved, model, digest=sha256(saved))


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 64, "xxh3:" + "0" * 32])
def test_another_checkpoint_is_refused_and_the_model_stays(
    saved: Path, model: Any, digest: str
) -> None:
    model.set_weights([w * 0 for w in model.get_weights()])
    with pytest.raises(PinnedDigestError, match="not the demanded checkpoint"):
        kg.load(saved, model, digest=digest)
    assert not any(w.any() for w in model.get_weights())
    assert main(["plan", str(saved), "--digest", digest]) == 3


def test_a_demanded_manifest_covers_the_file_with_sha256(saved: Path, model: Any) -> None:
    digest = sha256(sidecar.sidecar_path(saved))
    kernel = model.get_weights()[0].tobytes()
    content = saved.read_bytes()
    assert kernel in content
    saved.write_bytes(content.replace(kernel, kernel[:-1] + bytes([kernel[-1] ^ 1])))
    with pytest.raises(PinnedDigestError, match="does not match the demanded manifest"):
        kg.load(saved, digest=digest)


def test_a_files_digest_does_not_cover_an_architecture_beside_it(
    tmp_path: Path, model: Any
) -> None:
    path = tmp_path / "m.weights.h5"
    with kg.patched():
        model.save_weights(path)
    with pytest.raises(PinnedDigestError, match="demand that of the manifest"):
        kg.load(path, digest=sha256(path))


@pytest.mark.parametrize("digest", ["", "sha256:12", "md5:" + "0" * 32, "SHA256:" + "0" * 64, 7])
def test_what_is_no_digest_is_an_error_before_a_file_is_opened(digest: Any) -> None:
    with pytest.raises(ArgumentError, match="is not a digest"):
        kg.load("nothing.keras", digest=digest)
