"""Names in the environment that are nearly kerasguard's."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import kerasguard
from kerasguard.errors import CheckpointError
from kerasguard.storage import variables


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KERASGUARD_LIMIT", "KERASGUARD_LIMITS"),
        ("KERASGUARD_OUT_BOX", "KERASGUARD_OUTBOX"),
        ("KERASGUARD_WORKER_TIMEOUT", "KERASGUARD_WORKERS_TIMEOUT"),
        ("kerasguard_limits", "KERASGUARD_LIMITS"),
        ("KERAS_GUARD_LIMITS", "KERASGUARD_LIMITS"),
    ],
)
def test_a_misspelt_name_is_told_once(
    name: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables._tell.cache_clear()
    monkeypatch.setenv(name, "2")
    (tmp_path / "m.keras").write_bytes(b"")
    told = pytest.warns(UserWarning, match=f"{name} .* did you mean {meant}")
    with told, pytest.raises(CheckpointError):
        kerasguard.verify(tmp_path / "m.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        variables.tell_of_misspelt()


@pytest.mark.parametrize(
    "name", ["KERASGUARD_LIMITS", "KERASGUARD_OUTBOX", "KERASGUARD_SERVICE_HOST", "LIMITS"]
)
def test_other_names_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables._tell.cache_clear()
    monkeypatch.setenv(name, "2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        variables.tell_of_misspelt()
