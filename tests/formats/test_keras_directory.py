"""A folder with what a `.keras` archive holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from format_files import CONFIG

from kerasguard.errors import CorruptCheckpointError, UnknownFormatError
from kerasguard.formats import open_checkpoint

if TYPE_CHECKING:
    import numpy as np

LOOKUP = "layers/string_lookup/vocabulary.txt"


@pytest.fixture
def folder(tmp_path: Path, weights: bytes) -> Path:
    place = tmp_path / "model"
    (place / "assets/layers/string_lookup").mkdir(parents=True)
    (place / "assets" / LOOKUP).write_text("eins\nzwei\n", "utf-8")
    (place / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    (place / "metadata.json").write_text('{"keras_version": "3.4.0"}', "utf-8")
    (place / "model.weights.h5").write_bytes(weights)
    return place


def test_it_tells_the_same_as_the_archive(folder: Path, tensors: Mapping[str, np.ndarray]) -> None:
    with open_checkpoint(folder) as opened:
        assert opened.name == "keras_directory"
        assert list(opened.specs()) == list(tensors)
        assert opened.table().layers["layers/dense_1"].name == "head"
        assert opened.architecture() == CONFIG
        assert opened.writer() == {"keras": "3.4.0"}
        assert opened.assets() == {LOOKUP: b"eins\nzwei\n"}
        assert list(opened.files()) == [
            "config.json",
            "metadata.json",
            "model.weights.h5",
            f"assets/{LOOKUP}",
        ]


def test_other_files_in_the_folder_are_left_alone(folder: Path) -> None:
    (folder / "README.md").write_text("notes", "utf-8")
    with open_checkpoint(folder) as opened:
        assert "README.md" not in opened.files()


def test_a_folder_that_lacks_one_of_the_files_is_no_checkpoint(folder: Path) -> None:
    (folder / "metadata.json").unlink()
    with pytest.raises(UnknownFormatError, match=r"config\.json"):
        open_checkpoint(folder)


@pytest.mark.parametrize("place", ["assets/link", "assets/layers/link"])
def test_an_asset_that_is_a_link_is_refused(folder: Path, place: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret", "utf-8")
    (folder / place).symlink_to(secret)
    with pytest.raises(CorruptCheckpointError, match="link"):
        open_checkpoint(folder)


def test_a_damaged_config_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text('{"class_name": "Sequential", "conf', "utf-8")
    with pytest.raises(CorruptCheckpointError, match=r"config\.json"):
        open_checkpoint(folder)
