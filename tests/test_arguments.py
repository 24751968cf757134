"""No argument is accepted and not obeyed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kerasguard as kg
from kerasguard.arguments import check_choice
from kerasguard.errors import ArgumentError


@pytest.mark.parametrize(
    "value", ["requried", "required", "Require", "REQUIRE ", "", True, 1, None]
)
@pytest.mark.parametrize("call", [kg.load, kg.restore, kg.plan])
def test_a_misspelt_manifest_policy_is_refused_before_a_file_is_opened(
    call: Callable[..., Any], value: object, tmp_path: Path
) -> None:
    """A switch that demands a manifest must not fail open."""
    with pytest.raises(ArgumentError, match="allowed: 'auto', 'ignore', 'require'"):
        call(tmp_path / "missing.keras", manifest=value)


def test_repair_refuses_a_misspelt_manifest_policy(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="manifest='ignroe'"):
        kg.repair(tmp_path / "missing.keras", tmp_path / "out.keras", manifest="ignroe")


def test_the_nearest_allowed_value_is_named() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'require'"):
        check_choice("manifest", "required", ("auto", "ignore", "require"))


def test_what_is_allowed_passes() -> None:
    for value in ("auto", True):
        check_choice("log_to_mlflow", value, (True, False, "auto"))


def test_a_number_is_no_truth_value() -> None:
    with pytest.raises(ArgumentError):
        check_choice("log_to_mlflow", 1, (True, False, "auto"))
