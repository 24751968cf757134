from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from surveyed import surveyed

from kerasguard.errors import ManifestError, UnsupportedManifestError
from kerasguard.storage import manifest_file, sidecar


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "07.keras"
    path.write_bytes(b"weights" * 100)
    return path


def leave_pending(checkpoint: Path, text: str, pid: int = 1) -> Path:
    """What a save leaves that is killed between its two renames."""
    folder = checkpoint.with_name(f"{sidecar.staging_prefix(checkpoint.name)}{pid}-0a1b2c3d")
    folder.mkdir()
    (folder / sidecar.PENDING_NAME).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("07.keras", "07.keras.manifest.json"),
        ("m.weights.json", "m.weights.json.manifest.json"),
        ("ckpt-3", "ckpt-3.manifest.json"),
        ("modell ü.keras", "modell ü.keras.manifest.json"),
    ],
)
def test_the_manifest_lies_beside_the_checkpoint(tmp_path: Path, name: str, place: str) -> None:
    assert sidecar.sidecar_path(tmp_path / name) == tmp_path / place


def test_the_manifest_of_a_directory_lies_beside_it_also_for_a_relative_dot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "run"
    inside.mkdir()
    monkeypatch.chdir(inside)
    assert sidecar.sidecar_path(Path()) == tmp_path / "run.manifest.json"


def test_a_checkpoint_without_a_manifest_reads_as_none(checkpoint: Path) -> None:
    assert sidecar.read(checkpoint) is None


def test_what_was_written_is_read(checkpoint: Path) -> None:
    manifest = surveyed(checkpoint, checkpoint_id="a" * 32)
    assert sidecar.write(checkpoint, manifest) == sidecar.sidecar_path(checkpoint)
    assert sidecar.read(checkpoint) == manifest
    assert sorted(p.name for p in checkpoint.parent.iterdir()) == [
        "07.keras",
        "07.keras.manifest.json",
    ]


def test_a_link_finds_the_manifest_of_the_file_that_it_leads_to(
    checkpoint: Path, tmp_path: Path
) -> None:
    manifest = surveyed(checkpoint)
    sidecar.write(checkpoint, manifest)
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "latest.keras"
    link.symlink_to(checkpoint)
    assert sidecar.read(link) == manifest


def test_a_manifest_beside_the_link_itself_comes_first(checkpoint: Path, tmp_path: Path) -> None:
    sidecar.write(checkpoint, surveyed(checkpoint, checkpoint_id="target"))
    link = tmp_path / "snapshot.keras"
    link.symlink_to(checkpoint)
    beside = surveyed(checkpoint, checkpoint_id="link")
    sidecar.sidecar_path(link).write_text(beside.to_json())
    assert sidecar.read(link) == beside


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b'{"schema": "kerasguard/manif', "JSON"),
        (b"PK\3\4 no json at all", "JSON"),
        (b'\xff\xfe{"schema"', "UTF-8"),
        (b"[]", "object"),
        (b'{"schema":"kerasguard/manifest/1","schema":"kerasguard/manifest/1"}', "twice"),
        (b'{"schema":"kerasguard/manifest/1"}', "missing"),
        (b'{"schema":1}', "schema"),
    ],
)
def test_a_broken_manifest_is_an_error_that_names_the_file(
    checkpoint: Path, content: bytes, says: str
) -> None:
    place = sidecar.sidecar_path(checkpoint)
    place.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        sidecar.read(checkpoint)
    assert str(caught.value).startswith(f"{place}: ")
    assert says in str(caught.value)


def test_a_manifest_cut_anywhere_is_an_error_never_a_manifest(checkpoint: Path) -> None:
    whole = surveyed(checkpoint).to_json().rstrip().encode()
    place = sidecar.sidecar_path(checkpoint)
    for length in range(len(whole)):
        place.write_bytes(whole[:length])
        with pytest.raises(ManifestError):
            sidecar.read(checkpoint)


def test_a_newer_schema_is_refused_and_the_remedy_told(checkpoint: Path) -> None:
    text = surveyed(checkpoint).to_json().replace("kerasguard/manifest/1", "kerasguard/manifest/2")
    sidecar.sidecar_path(checkpoint).write_text(text)
    with pytest.raises(UnsupportedManifestError, match="upgrade"):
        sidecar.read(checkpoint)


def test_a_huge_manifest_is_refused_before_it_is_parsed(checkpoint: Path) -> None:
    with sidecar.sidecar_path(checkpoint).open("wb") as file:
        file.write(b"{")
        file.truncate(manifest_file.SIZE_LIMIT + 1)
    with pytest.raises(ManifestError, match="at most 67108864 are read"):
        sidecar.read(checkpoint)


def test_a_folder_or_a_pipe_in_the_manifests_place_is_an_error(checkpoint: Path) -> None:
    place = sidecar.sidecar_path(checkpoint)
    place.mkdir()
    with pytest.raises(ManifestError, match="regular file"):
        sidecar.read(checkpoint)
    place.rmdir()
    os.mkfifo(place)
    with pytest.raises(ManifestError, match="regular file"):
        sidecar.read(checkpoint)


def test_a_manifest_that_may_not_be_read_is_an_error_that_names_the_remedy(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = sidecar.write(checkpoint, surveyed(checkpoint))

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom no mode stops
    with pytest.raises(ManifestError, match="Permission denied; give this user the right") as error:
        sidecar.read(checkpoint)
    assert error.value.path == place


def test_a_save_cut_short_before_its_rename_leaves_the_old_manifest_valid(
    checkpoint: Path,
) -> None:
    old = surveyed(checkpoint, checkpoint_id="old")
    sidecar.write(checkpoint, old)
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(b"new")
    new = surveyed(checkpoint, checkpoint_id="new")
    checkpoint.write_bytes(content)
    leave_pending(checkpoint, new.to_json())
    assert sidecar.read(checkpoint) == old


def test_a_save_cut_short_after_its_rename_leaves_a_manifest_that_is_found(
    checkpoint: Path,
) -> None:
    sidecar.write(checkpoint, surveyed(checkpoint, checkpoint_id="old"))
    checkpoint.write_bytes(b"new")
    new = surveyed(checkpoint, checkpoint_id="new")
    folder = leave_pending(checkpoint, new.to_json())
    assert sidecar.read(checkpoint) == new
    sidecar.clear_abandoned(checkpoint)
    assert folder.exists(), "process 1 lives, and who claimed the folder is unknown"
    sidecar.promote(checkpoint)
    assert sidecar.sidecar_path(checkpoint).read_text() == new.to_json()


def test_the_first_save_cut_short_after_its_rename_is_found_as_well(checkpoint: Path) -> None:
    new = surveyed(checkpoint)
    leave_pending(checkpoint, new.to_json())
    assert sidecar.read(checkpoint) == new


def test_a_pending_manifest_of_other_bytes_or_cut_short_is_never_taken(checkpoint: Path) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(b"other")
    leave_pending(checkpoint, surveyed(checkpoint).to_json(), pid=1)
    checkpoint.write_bytes(content)
    leave_pending(checkpoint, surveyed(checkpoint).to_json()[:-20], pid=2)
    assert sidecar.read(checkpoint) is None


def test_a_stale_manifest_is_returned_as_it_is(checkpoint: Path) -> None:
    old = surveyed(checkpoint)
    sidecar.write(checkpoint, old)
    checkpoint.write_bytes(b"written by somebody else")
    assert sidecar.read(checkpoint) == old
    assert not sidecar.describes(old, checkpoint)


def test_a_manifest_describes_its_file_under_a_new_name(checkpoint: Path) -> None:
    manifest = surveyed(checkpoint)
    moved = checkpoint.rename(checkpoint.with_name("best.keras"))
    assert sidecar.describes(manifest, moved)


def test_a_manifest_cannot_make_us_read_files_elsewhere(checkpoint: Path) -> None:
    manifest = surveyed(checkpoint)
    away = tuple(replace(record, name="../07.keras") for record in manifest.files)
    assert not sidecar.describes(replace(manifest, files=away), checkpoint)


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        ("{}".encode("utf-16"), "UTF-16"),
    ],
)
def test_what_a_manifest_was_turned_into_is_named(
    checkpoint: Path, start: bytes, told: str
) -> None:
    sidecar.sidecar_path(checkpoint).write_bytes(start)
    with pytest.raises(ManifestError, match=told):
        sidecar.read(checkpoint)


def test_reading_a_manifest_imports_no_framework(checkpoint: Path) -> None:
    sidecar.write(checkpoint, surveyed(checkpoint))
    code = (
        "import sys; from pathlib import Path; from kerasguard.storage import sidecar;"
        f"assert sidecar.read(Path({str(checkpoint)!r})).format == 'bytes';"
        "assert not {'tensorflow', 'keras', 'mlflow', 'h5py'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
