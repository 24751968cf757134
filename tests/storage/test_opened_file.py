"""Files opened once."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
from pathlib import Path

import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kerasguard.errors import CheckpointError, CheckpointNotFoundError, CorruptCheckpointError
from kerasguard.storage.opened_file import OpenedFile, first_bytes

DATA = bytes(range(256)) * 300


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("opened") / "file.bin"
    place.write_bytes(DATA)
    return place


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    for name in ("nothing", "a/b", "x" * 300, "nul\0byte"):
        with pytest.raises(CheckpointNotFoundError, match="check the path"):
            OpenedFile(tmp_path / name)


def test_a_file_is_not_a_folder(path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError):
        OpenedFile(path / "inside")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_permission_denied_is_told(path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CheckpointError, match="permission denied; make it readable"):
        OpenedFile(path)


def test_a_fifo_is_refused_and_waits_for_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="no regular file"):
        OpenedFile(tmp_path / "pipe")
    assert first_bytes(tmp_path / "pipe", 8) == b""


def test_folders_and_devices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a folder"):
        OpenedFile(tmp_path)
    with pytest.raises(CheckpointError, match="no regular file"):
        OpenedFile("/dev/zero")


def test_pread_gives_the_bytes_or_raises(path: Path) -> None:
    with OpenedFile(path) as file:
        assert file.size == len(DATA)
        assert file.pread(100, 50) == DATA[100:150]
        assert file.pread(len(DATA), 0) == b""
        for offset, length in ((len(DATA) - 1, 2), (-1, 4), (1 << 62, 1), (0, 1 << 62)):
            with pytest.raises(CorruptCheckpointError, match=r"file\.bin"):
                file.pread(offset, length)


def test_a_file_that_shrinks_while_it_is_read_is_told(tmp_path: Path) -> None:
    place = tmp_path / "shrinks"
    place.write_bytes(DATA)
    with OpenedFile(place) as file:
        os.truncate(place, 10)
        with pytest.raises(CorruptCheckpointError, match="ends at byte 10"):
            file.pread(0, 100)


def test_a_disk_that_fails_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with OpenedFile(path) as file:
        monkeypatch.setattr(os, "preadv", fail)
        with pytest.raises(CheckpointError, match=r"at byte 5.*check the disk"):
            file.pread(5, 100)


def test_short_reads_are_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, bufs, at: whole(fd, [bufs[0][:7]], at))
    with OpenedFile(path) as file:
        assert file.pread(3, 1000) == DATA[3:1003]


def test_what_is_read_is_what_was_opened_even_if_the_file_is_replaced(tmp_path: Path) -> None:
    place = tmp_path / "swapped"
    place.write_bytes(b"old")
    with OpenedFile(place) as file:
        (tmp_path / "new").write_bytes(b"new")
        (tmp_path / "new").replace(place)
        assert file.pread(0, 3) == b"old"


def test_several_threads_read_one_file(path: Path) -> None:
    with OpenedFile(path) as file:
        wrong: list[int] = []

        def check(offset: int) -> None:
            wrong.extend(
                offset for _ in range(100) if file.pread(offset, 64) != DATA[offset : offset + 64]
            )

        threads = [threading.Thread(target=check, args=(i * 777,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_sha256_is_that_of_the_range(path: Path) -> None:
    with OpenedFile(path) as file:
        assert file.sha256() == hashlib.sha256(DATA).hexdigest()
        assert file.sha256(10, 1000) == hashlib.sha256(DATA[10:1010]).hexdigest()


@given(
    extents=st.lists(
        st.tuples(st.integers(0, len(DATA) + 50), st.integers(0, len(DATA) // 3)), max_size=30
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_skeleton_is_the_digest_of_the_bytes_outside_all_extents(
    path: Path, extents: list[tuple[int, int]]
) -> None:
    outside = bytearray(b"\1") * len(DATA)
    for offset, length in extents:
        outside[offset : offset + length] = b"\0" * len(outside[offset : offset + length])
    kept = bytes(b for b, keep in zip(DATA, outside, strict=True) if keep)
    with OpenedFile(path) as file:
        assert file.skeleton(extents) == f"xxh3:{xxhash.xxh3_128_hexdigest(kept)}"


@given(
    window=st.tuples(st.integers(0, 2000), st.integers(0, 2000)),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("read"), st.integers(-1, 3000)),
            st.tuples(st.sampled_from(["set", "cur", "end"]), st.integers(-500, 3000)),
        ),
        max_size=12,
    ),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_object_behaves_like_one_over_the_same_bytes(
    path: Path, window: tuple[int, int], steps: list[tuple[str, int]]
) -> None:
    offset, length = window
    expected = io.BytesIO(DATA[offset : offset + length])
    with OpenedFile(path) as file:
        found = file.fileobj(offset, length)
        for what, number in steps:
            if what == "read":
                assert found.read(number) == expected.read(number)
                continue
            base = {"set": 0, "cur": expected.tell(), "end": length}[what]
            if base + number < 0:
                with pytest.raises(ValueError, match="seek"):
                    found.seek(number, ("set", "cur", "end").index(what))
            else:
                assert found.seek(number, ("set", "cur", "end").index(what)) == base + number
                expected.seek(base + number)
        assert found.tell() == expected.tell()
        assert found.seekable()
        assert found.readable()
        assert not found.writable()


def test_closing_twice_does_nothing(path: Path) -> None:
    file = OpenedFile(path)
    file.close()
    file.close()
    with pytest.raises(CheckpointError):
        file.pread(0, 1)


def test_first_bytes_are_none_where_there_is_no_file(path: Path, tmp_path: Path) -> None:
    assert first_bytes(path, 4) == DATA[:4]
    assert first_bytes(path, 1 << 30) == DATA
    assert first_bytes(tmp_path, 4) == first_bytes(tmp_path / "nothing", 4) == b""
