"""Checkpoints below an address: only what begins as one is downloaded, and addresses are told."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_folders import damage, leave

from kerasguard.checkpoints.scan import scan
from kerasguard.cli import program
from kerasguard.cli.program import main

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def bucket(repository: Path, tmp_path: Path) -> Iterator[str]:
    """A run, a checkpoint of several files, folders that are one, and a large file of data."""
    leave(tmp_path / "run" / "01.weights.h5", 1)
    damage(leave(tmp_path / "run" / "02.weights.h5", 2))
    leave(tmp_path / "run" / "03.keras", 3, recorded=False)
    golden = repository / "tests/golden"
    shutil.copytree(golden / "saved_model/tf2.0.4-mlp", tmp_path / "exported")
    for path in (golden / "tf_checkpoint").glob("tf2.15.1-bidir.*"):
        shutil.copy(path, tmp_path / path.name)
    (tmp_path / "data.bin").write_bytes(b"\0" * 4096)
    url = f"memory://bucket-{uuid.uuid4().hex}"
    files = fsspec.filesystem("memory")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            files.pipe_file(f"{url}/{path.relative_to(tmp_path)}", path.read_bytes())
    yield url
    files.rm(url, recursive=True)


def test_every_checkpoint_is_found_with_its_state(bucket: str) -> None:
    found = list(scan(bucket))
    assert {f.path.removeprefix(f"{bucket}/"): (f.format, f.state) for f in found} == {
        "exported": ("saved_model", "unrecorded"),
        "tf2.15.1-bidir": ("tf_checkpoint", "unrecorded"),
        "run/01.weights.h5": ("weights_h5", "intact"),
        "run/02.weights.h5": ("weights_h5", "differs"),
        "run/03.keras": ("keras_zip", "unrecorded"),
    }
    assert all("/tmp" not in f.detail for f in found)


def test_data_is_not_downloaded_nor_what_is_skipped(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kerasguard.storage.fsspec_files import FsspecFiles

    got: list[str] = []
    before = FsspecFiles.get

    def counted(self: Any, url: str, path: Path) -> None:
        got.append(url)
        before(self, url, path)

    monkeypatch.setattr(FsspecFiles, "get", counted)
    list(scan(bucket, skip={f"{bucket}/run/01.weights.h5", f"{bucket}/exported"}))
    names = {url.removeprefix(f"{bucket}/") for url in got}
    assert "data.bin" not in names
    assert not any(name.startswith(("exported", "run/01")) for name in names)
    assert "run/02.weights.h5" in names


def test_the_command_line_tells_addresses_and_the_worst_state(
    bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", bucket, "--processes", "1", "--json"]) == program.DIFFERS
    told = json.loads(capsys.readouterr().out)
    assert told["states"] == {"unrecorded": 3, "intact": 1, "differs": 1}
    (bad,) = [one for one in told["checkpoints"] if one["state"] == "differs"]
    assert bad["path"] == f"{bucket}/run/02.weights.h5"
    assert bad["detail"] == "in 1 place"


def test_an_address_without_anything_is_an_error() -> None:
    with pytest.raises(NotADirectoryError, match="it cannot be listed"):
        list(scan("memory://nothing-here"))
