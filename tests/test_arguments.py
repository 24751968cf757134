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


PATH = "missing.keras"
ALL = (kg.load, kg.restore, kg.plan)
NOT_UNDERSTOOD: dict[str, tuple[dict[str, Any], str]] = {
    "repair": ({"repair": "none"}, "'off', 'exact', 'lossy', 'guess'"),
    "repair nearest": ({"repair": "exactly"}, "did you mean 'exact'"),
    "repair type": ({"repair": True}, "repair=True"),
    "learning_rate": ({"learning_rate": "store"}, "did you mean 'stored'"),
    "learning_rate type": ({"learning_rate": 0.1}, "learning_rate=0.1"),
    "renames list": ({"renames": ["a", "b"]}, "pass renames="),
    "renames values": ({"renames": {"a": 1}}, "pass renames="),
    "renames empty": ({"renames": {"": "a"}}, "pass renames="),
    "custom_objects": ({"custom_objects": ["a"]}, "pass custom_objects="),
    "custom_objects keys": ({"custom_objects": {1: "a"}}, "pass custom_objects="),
    "model": ({"model": "x"}, "no Keras model"),
    "model number": ({"model": 3}, "no Keras model"),
    "allow_graph": ({"allow_graph": "yes"}, "allowed: True, False"),
}


@pytest.mark.parametrize("call", ALL)
@pytest.mark.parametrize("case", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_refused_before_a_file_is_opened(
    call: Callable[..., Any], case: str
) -> None:
    options, message = NOT_UNDERSTOOD[case]
    with pytest.raises(ArgumentError, match=message):
        call(PATH, **options)


@pytest.mark.parametrize("call", ALL)
@pytest.mark.parametrize("path", [None, 3, "", ["a.keras"], b"a.keras", object()])
def test_what_is_no_path_is_refused(call: Callable[..., Any], path: object) -> None:
    with pytest.raises(ArgumentError, match="is no path"):
        call(path)


@pytest.mark.parametrize("name", ["compile", "probe"])
@pytest.mark.parametrize("value", ["layer", 1, None])
def test_a_switch_is_true_or_false(name: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=f"{name}="):
        kg.load(PATH, **{name: value})  # type: ignore[arg-type]


def test_a_model_in_the_place_of_the_path_is_named() -> None:
    class Model:
        layers: tuple[object, ...] = ()
        weights: tuple[object, ...] = ()

    for call in ALL:
        with pytest.raises(ArgumentError, match=r"changed places: kerasguard.load\(path, model\)"):
            call(Model(), PATH)


@pytest.mark.parametrize("options", [{"dry_run": 1}, {"overwrite": "yes"}, {"repair": "all"}])
def test_repair_checks_its_own_arguments(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        kg.repair(PATH, "out.keras", **options)
    with pytest.raises(ArgumentError, match="out=None is no path"):
        kg.repair(PATH, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kg.verify(None), "path=None is no path"),  # type: ignore[arg-type]
        (lambda: kg.verify(PATH, sha256="yes"), "sha256='yes'"),  # type: ignore[arg-type]
        (lambda: kg.inspect(7), "path=7 is no path"),  # type: ignore[arg-type]
        (lambda: kg.record(PATH, "model"), "no Keras model"),
        (lambda: kg.record(PATH, probe="layer"), "did you mean 'layers'"),
        (lambda: kg.record(PATH, probe=True), "probe= needs the model"),
        (lambda: kg.patch(strict="no"), "strict='no'"),  # type: ignore[arg-type]
        (lambda: kg.patch(log_to_mlflow="always"), "log_to_mlflow='always'"),  # type: ignore[arg-type]
        (lambda: kg.patch(probe="layer"), "did you mean 'layers'"),  # type: ignore[arg-type]
        (lambda: kg.patch(probe=[1.0]), "probe="),  # type: ignore[arg-type]
    ],
)
def test_every_public_function_checks_its_arguments(
    call: Callable[[], object], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


@pytest.mark.keras
@pytest.mark.parametrize(
    "options",
    [
        {"filepath": ""},
        {"filepath": 3},
        {"monitor": None},
        {"mode": "maximum"},
        {"save_best_only": "yes"},
        {"save_weights_only": 1},
        {"save_freq": "epochs"},
        {"save_freq": 0},
        {"save_freq": True},
        {"log_to_mlflow": "never"},
        {"strict": None},
        {"probe": "layer"},
    ],
    ids=str,
)
def test_the_callback_checks_its_arguments(options: dict[str, Any]) -> None:
    pytest.importorskip("keras")
    (name,) = options
    with pytest.raises(ArgumentError, match=name):
        kg.WeightManifestCallback(**options)
