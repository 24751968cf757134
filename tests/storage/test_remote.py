"""Checkpoints elsewhere: a memory file system and a web server stand for `s3://` and `gs://`."""

from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard as kg
from kerasguard.errors import (
    ArgumentError,
    CheckpointError,
    CheckpointNotFoundError,
    CorruptCheckpointError,
    MissingPackageError,
)
from kerasguard.storage import remote, safetensors

GOLDEN = Path(__file__).parent.parent / "golden" / "tf_checkpoint"
ARRAYS = {"head/kernel": np.arange(6.0).reshape(2, 3), "head/bias": np.zeros(3, "float32")}


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's memory file system, empty."""
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A recorded safetensors file."""
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors.pack(ARRAYS, path.name)[0])
    kg.record(path)
    return path


def upload(memory: Any, folder: Path, pattern: str = "*") -> None:
    for path in folder.glob(pattern):
        memory.pipe_file(f"/run/{path.name}", path.read_bytes())


def test_a_recorded_checkpoint_elsewhere_is_fetched_with_its_manifest_and_verified(
    memory: Any, recorded: Path
) -> None:
    upload(memory, recorded.parent)
    report = kg.verify("memory://run/w.safetensors")
    assert (report.ok, report.origin, report.path) == (
        True,
        "recorded",
        "memory://run/w.safetensors",
    )
    assert kg.inspect("memory://run/w.safetensors").checkpoint_id == report.checkpoint_id
    assert kg.compare("memory://run/w.safetensors", recorded) == ()


def test_what_was_damaged_elsewhere_differs(memory: Any, recorded: Path) -> None:
    upload(memory, recorded.parent)
    content = bytearray(recorded.read_bytes())
    content[-1] ^= 1
    memory.pipe_file("/run/w.safetensors", bytes(content))
    report = kg.verify("memory://run/w.safetensors")
    assert [f.code for f in report.findings if f.severity is kg.Severity.ERROR] == ["KG302"]


def test_all_parts_of_a_tensorflow_checkpoint_are_fetched(memory: Any) -> None:
    upload(memory, GOLDEN, "tf2.15.1-bidir.*")
    found = kg.inspect("memory://run/tf2.15.1-bidir")
    assert found.table.tensors.keys() == kg.inspect(GOLDEN / "tf2.15.1-bidir").table.tensors.keys()
    with pytest.raises(CheckpointNotFoundError, match="beside it there is tf2"):
        kg.inspect("memory://run/tf2.15.1-bi")


def test_a_manifest_that_cannot_be_fetched_is_no_missing_one(
    memory: Any, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure on the way must not turn a recorded checkpoint into one that nobody recorded."""
    upload(memory, recorded.parent)
    info = type(memory).info

    def failing(self: Any, path: str, **more: Any) -> Any:
        if path.endswith(".manifest.json"):
            raise TimeoutError("no answer")
        return info(self, path, **more)

    monkeypatch.setattr(type(memory), "info", failing)
    with pytest.raises(
        CheckpointError, match=r"memory://run/w.*could not be fetched \(TimeoutError"
    ):
        kg.verify("memory://run/w.safetensors")


def test_a_download_that_ended_early_is_refused(
    memory: Any, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(memory, recorded.parent, "w.safetensors")  # and nobody recorded it

    def cut(self: Any, there: str, here: str, **_: Any) -> None:
        Path(here).write_bytes(self.cat_file(there)[:-8])

    monkeypatch.setattr(type(memory), "get_file", cut)
    with pytest.raises(
        CorruptCheckpointError, match=r"ended after \d+ of \d+ bytes; load it again"
    ):
        kg.inspect("memory://run/w.safetensors")


class _Cutting(http.server.SimpleHTTPRequestHandler):
    """A server that breaks off in the middle of every safetensors file."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        content = source.read()
        cut = self.path.endswith(".safetensors") and self.server.cut  # type: ignore[attr-defined]
        outputfile.write(content[:100] if cut else content)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.mark.filterwarnings("ignore")  # aiohttp's own, on what it leaves open
def test_a_web_server_that_breaks_off_is_refused(recorded: Path) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    handler = partial(_Cutting, directory=str(recorded.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.cut = False  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/w.safetensors"
        try:
            assert kg.verify(url).origin == "recorded"
            server.cut = True  # type: ignore[attr-defined]
            with pytest.raises(CheckpointError, match=r"could not be fetched|ended after"):
                kg.verify(url)
        finally:
            server.shutdown()


def test_what_no_installed_package_knows_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    for name in ("fsspec", "fsspec.core", "kerasguard.storage.fsspec_files"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (kg.inspect, kg.verify):
        with pytest.raises(
            MissingPackageError, match=r"^s3://b/x.keras: .*install kerasguard\[rem"
        ):
            call("s3://b/x.keras")


def test_an_address_that_nobody_knows_is_told() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(CheckpointError, match="nowhere:// is not a kind of address"):
        kg.inspect("nowhere://b/x.keras")


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO])
def test_bytes_and_open_files_are_checkpoints(recorded: Path, wrap: Any) -> None:
    content = recorded.read_bytes()
    source = wrap(content)
    report = kg.verify(source)
    assert (report.path, report.origin) == ("bytes in memory", "unrecorded")
    assert {r.key: r.digest for r in report.records} == {
        r.key: r.digest for r in kg.verify(recorded).records
    }


def test_an_open_file_is_read_from_its_start_and_left_where_it_was(recorded: Path) -> None:
    with recorded.open("rb") as file:
        file.seek(11)
        assert kg.inspect(file).table.tensors.keys() == ARRAYS.keys()
        assert file.tell() == 11
    with pytest.raises(ArgumentError, match="open it with mode 'rb'"):
        kg.inspect(io.StringIO("x" * 100))  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="is not a path"):
        kg.inspect(b"w.safetensors")
    with pytest.raises(kg.KerasguardError, match=r"^bytes in memory: not a checkpoint"):
        kg.inspect(b"x" * 100)


def test_the_home_folder_and_addresses_of_this_machine(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(recorded.parent))
    assert kg.verify("~/w.safetensors").origin == "recorded"
    assert kg.verify(f"file://{recorded}").origin == "recorded"
    monkeypatch.chdir(recorded.parent)
    (recorded.parent / "~").mkdir()
    with pytest.raises(CheckpointNotFoundError):  # Keras would look here, too
        kg.verify("~/w.safetensors")


def test_names_come_from_addresses() -> None:
    names = {
        "memory://m.keras": "m.keras",
        "s3://b/run/07.keras": "07.keras",
        "https://h/a%20b.keras?sign=a/b": "a b.keras",
        "hf://me/model/": "model",
    }
    assert {url: remote.name_of(url) for url in names} == names
