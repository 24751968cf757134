from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from surveyed import surveyed

from kerasguard.storage import companion, durable, owners, placing, safetensors, sidecar
from kerasguard.storage.commit import Stage, staged

Writer = Callable[[Path], None]


def write_file(content: bytes) -> Writer:
    def write(path: Path) -> None:
        with path.open("wb") as file:  # as Keras does: a directory is refused here
            file.write(content)

    return write


def write_directory(content: bytes, *extra: str) -> Writer:
    def write(path: Path) -> None:
        if not path.exists():
            path.mkdir(parents=True)
        for name in ("config.json", "model.weights.h5", *extra):
            (path / name).parent.mkdir(exist_ok=True)
            (path / name).write_bytes(content)

    return write


def write_shards(*contents: bytes) -> Writer:
    def write(path: Path) -> None:
        path = path.with_name(path.name.removesuffix(".h5").removesuffix(".json") + ".json")
        base = path.name.removesuffix(".weights.json")
        names = [f"{base}_{i:05}.weights.h5" for i in range(len(contents))]
        for name, content in zip(names, contents, strict=True):
            path.with_name(name).write_bytes(content)
        weight_map = {f"/layers/{i}/vars": name for i, name in enumerate(names)}
        weight_map["/layers/both/vars"] = names  # type: ignore[assignment]
        path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))

    return write


def save(path: Path, write: Writer, checkpoint_id: str = "") -> Stage:
    with staged(path) as stage:
        stage.write(write)
        if stage.checkpoint is not None:
            stage.commit(surveyed(stage.checkpoint, checkpoint_id=checkpoint_id))
    return stage


def is_pair(path: Path) -> bool:
    manifest = sidecar.read(path)
    return manifest is not None and sidecar.describes(manifest, path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def shards(listing: Path) -> dict[str, bytes]:
    weight_map = json.loads(listing.read_text())["weight_map"]
    return {
        key: listing.with_name(n).read_bytes() for key, n in weight_map.items() if "both" not in key
    }


@pytest.fixture(params=["file", "directory", "shards"])
def kind(request: pytest.FixtureRequest) -> tuple[str, Callable[[bytes], Writer]]:
    return {
        "file": ("m.keras", write_file),
        "directory": ("m", write_directory),
        "shards": ("m.weights.json", lambda content: write_shards(content, content + b"2")),
    }[request.param]


def test_checkpoint_and_manifest_appear_and_nothing_else_stays(
    tmp_path: Path, kind: tuple[str, Callable[[bytes], Writer]]
) -> None:
    name, writer = kind
    for content in (b"first", b"second", b"third"):
        stage = save(tmp_path / name, writer(content))
        assert stage.recorded
        assert is_pair(tmp_path / name)
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_keras_is_told_the_same_name_in_the_same_folder(tmp_path: Path) -> None:
    with staged(tmp_path / "m.keras") as stage:
        assert stage.path.name == "m.keras"
        assert stage.path.parents[2] == tmp_path
        assert stage.path.parents[1].name.startswith(f".m.keras.kg-{os.getpid()}-")


def test_nothing_changes_while_the_save_is_being_written_and_surveyed(
    tmp_path: Path, kind: tuple[str, Callable[[bytes], Writer]]
) -> None:
    name, writer = kind
    path = tmp_path / name
    save(path, writer(b"old"), "old")
    with staged(path) as stage:
        stage.write(writer(b"new"))
        assert stage.checkpoint is not None
        found = sidecar.read(path)
        assert found is not None
        assert found.checkpoint_id == "old"
        assert is_pair(path)


def test_a_save_that_raises_leaves_the_old_pair_and_no_trace(
    tmp_path: Path, kind: tuple[str, Callable[[bytes], Writer]]
) -> None:
    name, writer = kind
    path = tmp_path / name
    save(path, writer(b"old"), "old")
    before = names(tmp_path)

    def fail(path: Path) -> None:
        writer(b"new")(path)
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with pytest.raises(OSError, match="No space left") as caught:
        save(path, fail)
    assert caught.value.filename == str(path)
    assert ".kg-" not in str(caught.value)
    assert names(tmp_path) == before
    assert is_pair(path)


def test_messages_speak_of_the_path_that_was_given(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise ValueError(f"Invalid filepath extension. Received: filepath={path}")

    with pytest.raises(ValueError, match="Invalid") as caught:
        save(tmp_path / "m.txt", fail)
    assert str(caught.value).endswith(f"filepath={tmp_path / 'm.txt'}")


def test_leaving_without_a_commit_drops_what_was_written(tmp_path: Path) -> None:
    with staged(tmp_path / "m.keras") as stage:
        stage.write(write_file(b"new"))
    assert names(tmp_path) == []


def test_nothing_written_is_nothing_committed(tmp_path: Path) -> None:
    save(tmp_path / "m.keras", write_file(b"old"), "old")
    stage = save(tmp_path / "m.keras", lambda _: None)
    assert stage.checkpoint is None
    assert not stage.recorded
    assert is_pair(tmp_path / "m.keras")


def test_a_save_without_a_manifest_takes_the_old_manifest_away(
    tmp_path: Path, kind: tuple[str, Callable[[bytes], Writer]]
) -> None:
    name, writer = kind
    save(tmp_path / name, writer(b"old"))
    with staged(tmp_path / name) as stage:
        stage.write(writer(b"new"))
        stage.commit(None)
    assert sidecar.read(tmp_path / name) is None
    assert not stage.recorded


class Killed(BaseException):
    """What a `kill -9` is to this process: nothing after it runs."""


def die_before(fatal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the process, so to speak, before the `fatal`-th change to what a reader sees."""
    count = itertools.count()

    def fatal_at(call: Callable[..., object]) -> Callable[..., object]:
        def stepped(*args: object, **kwargs: object) -> object:
            if next(count) == fatal:
                raise Killed
            return call(*args, **kwargs)

        return stepped

    for name in ("rename", "replace", "unlink"):
        monkeypatch.setattr(Path, name, fatal_at(getattr(Path, name)))
    for name in ("exchange", "link"):
        monkeypatch.setattr(placing, name, fatal_at(getattr(placing, name)))
    # A dead process clears nothing away.
    monkeypatch.setattr(Stage, "close", lambda _: None)


def test_death_before_any_change_to_the_disk_leaves_a_pair(
    tmp_path: Path, kind: tuple[str, Callable[[bytes], Writer]]
) -> None:
    name, writer = kind
    seen = set()
    for fatal in range(100):
        folder = tmp_path / str(fatal)
        folder.mkdir()
        path = folder / name
        for content in (b"older", b"old"):
            save(path, writer(content), "old")
        died = True
        with pytest.MonkeyPatch.context() as patch:
            die_before(fatal, patch)
            try:
                save(path, writer(b"new"), "new")
                died = False
            except Killed:
                pass
        manifest = sidecar.read(path)
        assert manifest is not None
        assert sidecar.describes(manifest, path), f"lost at step {fatal}: {names(folder)}"
        seen.add(manifest.checkpoint_id)
        disown(folder)
        save(path, writer(b"newest"), "newest")
        assert is_pair(path)
        assert not [n for n in names(folder) if n.startswith(".")], "the next save clears away"
        if not died:
            break
    else:
        pytest.fail("the save never ended")
    assert fatal >= 2
    assert seen == {"old", "new"}


def disown(folder: Path) -> None:
    """Give this process' staging folders to one that no longer is."""
    for path in folder.glob(".*.kg-*"):
        path.rename(path.with_name(path.name.replace(f"-{os.getpid()}-", "-999999999-")))


def test_without_an_exchange_of_directories_two_renames_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "exchange", lambda *_: False)
    for content in (b"first", b"second"):
        save(tmp_path / "m", write_directory(content))
        assert is_pair(tmp_path / "m")
        assert (tmp_path / "m" / "config.json").read_bytes() == content


def test_a_directory_set_aside_by_a_killed_save_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m"
    save(path, write_directory(b"old"), "old")
    with pytest.MonkeyPatch.context() as patch:
        die_before(1, patch)  # the second of the two renames
        patch.setattr(placing, "exchange", lambda *_: False)
        with pytest.raises(Killed):
            save(path, write_directory(b"new"), "new")
    assert not path.exists()
    disown(tmp_path)
    sidecar.clear_abandoned(path)
    assert is_pair(path)


def test_the_system_exchanges_two_directories_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "one").touch()
    if not placing.exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot")
    assert names(tmp_path / "b") == ["one"]
    with pytest.raises(FileNotFoundError):
        placing.exchange(tmp_path / "a", tmp_path / "c")


def test_what_else_lies_in_a_directory_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "m"
    save(path, write_directory(b"old", "assets/old.txt"))
    (path / "README.md").write_text("mine")
    (path / "notes").mkdir()
    (path / "notes" / "a.txt").write_text("mine, too")
    save(path, write_directory(b"new", "assets/new.txt"))
    assert (path / "README.md").read_text() == "mine"
    assert (path / "notes" / "a.txt").read_text() == "mine, too"
    assert names(path / "assets") == ["new.txt"]
    assert is_pair(path)


@pytest.mark.parametrize("told", ["m.weights.json", "m.weights.h5"])
def test_new_shards_never_touch_those_that_the_old_list_names(tmp_path: Path, told: str) -> None:
    listing = tmp_path / "m.weights.json"
    save(tmp_path / told, write_shards(b"a", b"b", b"c"))
    assert names(tmp_path) == [
        "m.weights.json",
        "m.weights.json.manifest.json",
        "m_00000.weights.h5",
        "m_00001.weights.h5",
        "m_00002.weights.h5",
    ]
    save(tmp_path / told, write_shards(b"A", b"B"))
    assert sorted(shards(listing).values()) == [b"A", b"B"]
    assert is_pair(listing)
    # Keras opens the plain first name before it reads the list.
    assert (tmp_path / "m_00000.weights.h5").read_bytes() == b"A"
    assert len(names(tmp_path)) == 5


def test_shards_of_another_model_in_the_same_folder_are_left_alone(tmp_path: Path) -> None:
    save(tmp_path / "other.weights.json", write_shards(b"x", b"y"))
    save(tmp_path / "other.weights.json", write_shards(b"x", b"y"))
    (tmp_path / "m_00007.weights.h5").write_bytes(b"nobody knows")
    for _ in range(3):
        save(tmp_path / "m.weights.json", write_shards(b"a", b"b"))
    assert is_pair(tmp_path / "other.weights.json")
    assert (tmp_path / "m_00007.weights.h5").exists()


def test_a_hostile_list_cannot_make_us_delete_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    victim = tmp_path / "v_00000.weights.h5"
    victim.write_bytes(b"precious")
    listing = tmp_path / "run" / "m.weights.json"
    listing.write_text(json.dumps({"weight_map": {"/a": "../v_00000.weights.h5", "/b": "/etc/x"}}))
    save(listing, write_shards(b"a"))
    assert victim.exists()
    assert is_pair(listing)


def test_the_mode_of_the_old_file_is_kept_and_a_new_one_gets_the_usual(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    save(path, write_file(b"old"))
    (tmp_path / "plain").write_bytes(b"")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    path.chmod(0o640)
    save(path, write_file(b"new"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    real = tmp_path / "data" / "model.bin"
    real.write_bytes(b"old")
    link = tmp_path / "latest.keras"
    link.symlink_to(real)
    save(link, write_file(b"new"))
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert is_pair(link)
    assert is_pair(real)


def test_a_dangling_link_is_written_through_too(tmp_path: Path) -> None:
    link = tmp_path / "latest.keras"
    link.symlink_to(tmp_path / "model.keras")
    save(link, write_file(b"new"))
    assert (tmp_path / "model.keras").read_bytes() == b"new"
    assert is_pair(link)


def test_a_file_where_a_directory_lies_is_refused_as_without_us(tmp_path: Path) -> None:
    (tmp_path / "m.keras").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        save(tmp_path / "m.keras", write_file(b"new"))
    assert caught.value.filename == str(tmp_path / "m.keras")
    assert names(tmp_path) == ["m.keras"]


def test_a_directory_where_a_file_lies_is_refused_as_without_us(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"a file")

    def write(path: Path) -> None:
        if not path.exists():
            path.mkdir()
        (path / "config.json").write_text("{}")

    with pytest.raises(NotADirectoryError):
        save(tmp_path / "m", write)
    assert (tmp_path / "m").read_bytes() == b"a file"
    assert names(tmp_path) == ["m"]


def test_a_missing_folder_is_reported_as_without_us(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        save(tmp_path / "none" / "m.keras", write_file(b"new"))
    assert caught.value.filename == str(tmp_path / "none" / "m.keras")
    assert names(tmp_path) == []


def test_a_writer_that_makes_its_folder_is_recorded_in_place(tmp_path: Path) -> None:
    stage = save(tmp_path / "a" / "b" / "m", write_directory(b"new"))
    assert stage.reason
    assert is_pair(tmp_path / "a" / "b" / "m")


def refuse_beside(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int) -> None:
    """No folder can be made in `folder` from now on."""
    make = Path.mkdir

    def mkdir(self: Path, *args: object, **options: object) -> None:
        if self.parent == folder:
            raise OSError(number, os.strerror(number), str(self))
        make(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", mkdir)


@pytest.mark.parametrize("kind", [write_file, write_directory])
def test_where_no_staging_folder_can_be_made_what_was_staged_elsewhere_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Callable[[bytes], Writer]
) -> None:
    path = tmp_path / "m.keras"
    save(path, kind(b"old"))
    refuse_beside(monkeypatch, tmp_path, errno.EACCES)
    inode = path.stat().st_ino
    with pytest.warns(UserWarning, match="saved in place.*Permission denied"):
        stage = save(path, kind(b"new"), "new")
    assert path.stat().st_ino == inode
    assert b"new" in {p.read_bytes() for p in (path, *path.glob("config.json")) if p.is_file()}
    assert stage.recorded
    assert is_pair(path)


@pytest.mark.parametrize("kind", [write_file, write_directory])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_takes_no_folder_ends_the_save_and_the_old_pair_stays(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Callable[[bytes], Writer],
    number: int,
) -> None:
    path = tmp_path / "m.keras"
    save(path, kind(b"old"), "old")
    refuse_beside(monkeypatch, tmp_path, number)
    with pytest.raises(OSError, match=os.strerror(number)):
        save(path, kind(b"new"), "new")
    found = sidecar.read(path)
    assert found is not None
    assert found.checkpoint_id == "old"
    assert is_pair(path)


def test_a_target_that_cannot_be_renamed_to_is_written_over_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.keras"
    save(path, write_file(b"old and longer"))
    inode = path.stat().st_ino

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(placing, "move", refuse)
    with pytest.warns(UserWarning, match="saved in place.*not permitted"):
        stage = save(path, write_file(b"new"))
    assert path.read_bytes() == b"new"
    assert path.stat().st_ino == inode
    assert stage.recorded
    assert is_pair(path)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_checkpoint_that_cannot_be_flushed_does_not_take_the_place_of_a_recorded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "m.keras"
    save(path, write_file(b"old"), "old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        save(path, write_file(b"new"), "new")
    assert path.read_bytes() == b"old"
    assert is_pair(path)


@pytest.mark.parametrize("writable", [True, False])
def test_no_older_manifest_stays_beside_a_newer_file_where_it_cannot_be_renamed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    path = tmp_path / "m.keras"
    save(path, write_file(b"old"), "old")
    move, write = Path.replace, placing.overwrite

    def replace(self: Path, target: Path) -> Path:
        if target.name.endswith(sidecar.SUFFIX):
            raise OSError(errno.ENOSPC, "No space left on device")
        return move(self, target)

    def overwrite(target: Path, content: bytes) -> None:
        if not writable:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(target, content)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(placing, "overwrite", overwrite)
    if writable:
        save(path, write_file(b"new"), "new")
    else:
        with pytest.warns(UserWarning, match=r"manifest waits in .*\.kg-.*No space"):
            save(path, write_file(b"new"), "new")
        assert not sidecar.place_of(path).exists()
    assert is_pair(path)
    assert path.read_bytes() == b"new"
    monkeypatch.undo()
    save(path, lambda _: None)
    assert names(tmp_path) == ["m.keras", "m.keras.manifest.json"]
    assert is_pair(path)


def test_a_list_of_shards_that_cannot_be_read_back_does_not_take_the_place_of_a_recorded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = tmp_path / "m.weights.json"
    save(listing, write_shards(b"a", b"b"), "old")

    def broken(path: Path) -> None:
        write_shards(b"A", b"B")(path)
        path.write_bytes(bytes(10))

    with pytest.raises(OSError, match=r"m\.weights\.json: cannot be read back"):
        save(listing, broken)

    def fail(self: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error", str(self))

    with monkeypatch.context() as failing:
        failing.setattr(Path, "read_bytes", fail)
        with pytest.raises(OSError, match="Input/output"):
            save(listing, write_shards(b"A", b"B"))
    assert is_pair(listing)
    assert sorted(shards(listing).values()) == [b"a", b"b"]
    assert not [name for name in names(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize("step", ["link", "unlink"])
def test_a_save_is_done_where_only_what_is_superseded_cannot_be_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    listing = tmp_path / "m.weights.json"
    save(listing, write_shards(b"a", b"b"), "old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(placing if step == "link" else Path, step, fail)
    with pytest.warns(UserWarning, match="older parts could not be cleared away.*Input/output"):
        assert save(listing, write_shards(b"A", b"B"), "new").recorded
    assert is_pair(listing)
    assert sorted(shards(listing).values()) == [b"A", b"B"]


def test_a_pipe_is_written_to_as_without_us(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    received = []
    reader = threading.Thread(target=lambda: received.append(path.read_bytes()))
    reader.start()
    with staged(path) as stage:
        assert stage.path == path
        write_file(b"through")(stage.path)
    reader.join(10)
    assert received == [b"through"]


def test_the_folder_that_the_process_works_in_is_not_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m"
    save(path, write_directory(b"old"))
    monkeypatch.chdir(path)
    inode = path.stat().st_ino
    with pytest.warns(UserWarning, match="working directory"):
        save(path, write_directory(b"new"))
    assert path.stat().st_ino == inode
    assert Path("config.json").read_bytes() == b"new"
    assert is_pair(path)


def test_a_directory_without_an_earlier_checkpoint_is_not_exchanged(tmp_path: Path) -> None:
    path = tmp_path / "experiments"
    path.mkdir()
    (path / "notes.txt").write_text("mine")
    inode = path.stat().st_ino
    with pytest.warns(UserWarning, match="no earlier checkpoint"):
        save(path, write_directory(b"new"))
    assert path.stat().st_ino == inode
    assert is_pair(path)


def test_a_staging_folder_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    with staged(tmp_path / "m.keras") as stage:
        write_file(b"slow")(stage.path)
        save(tmp_path / "m.keras", write_file(b"fast"), "fast")
        stage.commit(surveyed(stage.checkpoint, checkpoint_id="slow"))  # type: ignore[arg-type]
    assert (tmp_path / "m.keras").read_bytes() == b"slow"
    assert is_pair(tmp_path / "m.keras")


def test_a_staging_folder_of_a_dead_process_is_removed_by_the_next_save(tmp_path: Path) -> None:
    code = (
        "import os; from kerasguard.storage.commit import staged;"
        f"context = staged({str(tmp_path / 'm.keras')!r}); stage = context.__enter__();"
        "stage.path.write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    assert done.returncode == -9
    assert len(names(tmp_path)) == 1
    save(tmp_path / "m.keras", write_file(b"new"))
    assert names(tmp_path) == ["m.keras", "m.keras.manifest.json"]


def test_a_staging_folder_of_another_machine_is_removed_only_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(owners, "_here", lambda: "0a1b2c3d")
        folder = tmp_path / owners.Claim(".m.keras.kg-").name
    folder.mkdir()
    save(tmp_path / "m.keras", write_file(b"new"))
    assert folder.exists()
    os.utime(folder, (0, 0))
    save(tmp_path / "m.keras", write_file(b"new"))
    assert not folder.exists()


def test_a_process_number_given_anew_is_not_taken_for_the_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = owners.Claim(".m.keras.kg-")
    folder = tmp_path / claim.name
    assert not owners.is_abandoned(folder)
    monkeypatch.setattr(owners, "_born", lambda _: "ffff")
    assert owners.is_abandoned(folder)


def test_only_names_that_we_give_are_ever_taken_for_ours(tmp_path: Path) -> None:
    for name in (".m.keras.kg-1-mine", ".m.keras.kg-notes", ".m.keras.kg-1-0a1b2c3d"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    save(tmp_path / "m.keras", write_file(b"new"))
    assert len(names(tmp_path)) == 5


@pytest.mark.parametrize("name", ["modell ü 模型.keras", "a\nb.keras", "x" * 230 + ".keras"])
def test_unusual_names_are_saved_and_recorded(tmp_path: Path, name: str) -> None:
    save(tmp_path / name, write_file(b"old"))
    save(tmp_path / name, write_file(b"new"))
    assert is_pair(tmp_path / name)
    assert len(names(tmp_path)) == 2


def test_the_longest_name_there_can_be_is_recorded_with_its_companion(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 124 + ".keras")
    other = tmp_path / ("ü" * 123 + "uu.keras")
    for name in (path, other, path):
        content, _ = safetensors.pack({"a": np.zeros(3, np.float32)}, "x")
        with staged(name) as stage:
            stage.write(write_file(b"new"))
            assert stage.checkpoint is not None
            file = companion.described(companion.name_of(name.name, os.urandom(4).hex()), content)
            stage.commit(replace(surveyed(stage.checkpoint), companion=file), content)
        found = sidecar.read(name)
        assert found is not None
        assert found.companion is not None
        assert companion.located(name, found.companion.name).is_file()
        assert is_pair(name)
    assert len(names(tmp_path)) == 6


def test_a_relative_path_is_saved_where_the_process_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path("m.keras"), write_file(b"new"))
    assert names(tmp_path) == ["m.keras", "m.keras.manifest.json"]
    assert is_pair(Path("m.keras"))


def test_an_interrupt_between_the_renames_still_leaves_the_manifest_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.keras"
    save(path, write_file(b"old"), "old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(Stage, "_describe", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save(path, write_file(b"new"), "new")
    found = sidecar.read(path)
    assert found is not None
    assert found.checkpoint_id == "new"
    assert is_pair(path)
    save(path, write_file(b"newer"), "newer")
    assert len(names(tmp_path)) == 2


# An interrupt in the middle of `open` leaves the file to the collector, which tells.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [write_file, write_directory])
def test_an_interrupt_at_any_line_of_a_save_leaves_a_pair_and_nothing_after_the_next_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Callable[[bytes], Writer]
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    path = tmp_path / "m.keras"
    storage = str(Path(durable.__file__).parent)
    line = 0

    def at_each_line(frame: FrameType, event: str, _: object) -> Any:
        nonlocal line
        if not frame.f_code.co_filename.startswith(storage):
            return None
        if event == "line":
            line -= 1
            if line == 0:
                raise KeyboardInterrupt
        return at_each_line

    save(path, kind(b"old"), "old")
    tracing = sys.gettrace()
    interrupted = 0
    while line <= 0:
        interrupted += 1
        line = interrupted
        sys.settrace(at_each_line)
        try:
            save(path, kind(b"new"), "new")
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(tracing)
        assert is_pair(path), f"line {interrupted}"
        if interrupted % 7 == 0:
            save(path, kind(b"old"), "old")
            assert len(names(tmp_path)) == 2, f"line {interrupted}"
    assert interrupted > 100


def test_everything_is_flushed_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, str]] = []
    flush, move = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        events.append(("flush", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        flush(descriptor)

    def replace(self: Path, target: Path) -> Path:
        events.append(("rename", self.name))
        return move(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    save(tmp_path / "m.keras", write_file(b"new"))
    kinds = [event for event in events if event[1] in ("m.keras", "manifest.json", tmp_path.name)]
    assert kinds == [
        ("flush", "m.keras"),
        ("flush", "manifest.json"),
        ("rename", "m.keras"),
        ("rename", "manifest.json"),
        ("flush", tmp_path.name),
    ]


def test_threads_that_save_to_one_path_leave_a_pair_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    save(path, write_file(b"first"))
    stop = threading.Event()
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            while not stop.is_set():
                save(path, write_file(os.urandom(64)), str(number))
        except BaseException as error:  # noqa: BLE001  # told to the test below
            problems.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            copy = tmp_path / "copy"
            # The file is opened first, its manifest read second: as a reader does that verifies.
            shutil.copy(path, copy)
            assert copy.stat().st_size in (5, 64)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not problems
    assert is_pair(path)
    assert names(tmp_path) == ["copy", "m.keras", "m.keras.manifest.json"]
