"""Steps of Keras' Orbax callback; all but the tensors is read without Orbax."""

from __future__ import annotations

import random
import shutil
from importlib import util
from pathlib import Path

import pytest

import kerasguard as kg
from kerasguard.errors import CorruptCheckpointError, MissingPackageError
from kerasguard.formats import open_checkpoint

HERE = util.find_spec("orbax") is not None
FLIPS = 200


@pytest.fixture
def step(repository: Path, tmp_path: Path) -> Path:
    """A copy of what Keras 3.15.1 and Orbax 0.12.8 wrote under JAX, with its manifest."""
    shutil.copytree(repository / "tests" / "golden" / "orbax", tmp_path / "run")
    return tmp_path / "run" / "0"


def test_a_step_tells_its_config_and_all_of_its_files(step: Path) -> None:
    with open_checkpoint(step) as opened:
        assert opened.name == "orbax"
        config = opened.architecture()
        assert config is not None
        assert [x["config"]["name"] for x in config["config"]["layers"]][1:] == [
            "body",
            "norm",
            "drop",
            "head",
        ]
        files = {p.relative_to(step).as_posix() for p in step.rglob("*") if p.is_file()}
        assert set(opened.files()) == files


def test_a_recorded_step_has_the_keys_of_a_keras_file_and_seeds_besides(step: Path) -> None:
    manifest = kg.inspect(step)
    kernel = manifest.recorded["layers/dense/vars/0"]
    assert (kernel.name, kernel.stored_as) == ("body/kernel", "trainable_variables/net/body/kernel")
    slot = next(r for r in manifest.recorded.values() if r.slot == "velocity")
    assert slot.slot_of in manifest.recorded
    assert [r.name for r in manifest.recorded.values() if r.role == "seed"] == [
        "drop/seed_generator_state"
    ]
    assert manifest.training["epoch"] == 0
    assert kg.Manifest.from_json(manifest.to_json()) == manifest


def test_a_sound_step_is_verified_without_its_reader(step: Path) -> None:
    report = kg.verify(step)
    assert report.ok, report
    assert report.origin == "recorded"
    assert [(f.format, f.state) for f in kg.scan(step.parent)] == [("orbax", "intact")]


def test_a_flipped_bit_is_found_in_every_file(step: Path) -> None:
    files = sorted(p for p in step.rglob("*") if p.is_file())
    chance = random.Random(0)
    for number in range(FLIPS):
        file = files[number % len(files)]
        whole = file.read_bytes()
        place = chance.randrange(8 * len(whole))
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        file.write_bytes(damaged)
        report = kg.verify(step)
        assert not report.ok, f"{file}: bit {place}"
        assert file.relative_to(step).as_posix() in str(report)
        file.write_bytes(whole)
    assert kg.verify(step).ok


def test_a_missing_file_is_found(step: Path) -> None:
    (step / "commit_success.txt").unlink()
    assert "commit_success.txt" in str(kg.verify(step))


@pytest.mark.skipif(HERE, reason="Orbax is installed")
def test_without_orbax_a_load_says_what_to_install(step: Path) -> None:
    pytest.importorskip("keras")
    with pytest.raises(MissingPackageError, match=r"pip install 'kerasguard\[orbax\]'"):
        kg.load(step)


def test_a_link_in_a_step_is_refused(step: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret", "utf-8")
    (step / "pytree" / "d" / "more").symlink_to(tmp_path / "secret")
    with pytest.raises(CorruptCheckpointError, match="link"):
        open_checkpoint(step)


@pytest.mark.parametrize("text", ["{", "[]", '{"config": 3}', '{"config": "{}"}'])
def test_a_damaged_config_is_refused(step: Path, text: str) -> None:
    (step / "model_config" / "_strings.json").write_text(text, "utf-8")
    with open_checkpoint(step) as opened, pytest.raises(CorruptCheckpointError, match="config"):
        opened.architecture()
