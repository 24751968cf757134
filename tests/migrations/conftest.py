"""Old architectures to migrate, and the Keras 3 that must build the result."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from kerasguard import migrations
from kerasguard.blueprint.working import Blueprint
from kerasguard.errors import ArchitectureError
from kerasguard.migrations import migrate
from kerasguard.planning.findings import Finding, Severity

Json = dict[str, Any]
KERAS2 = {"keras": "2.11.0", "config": "legacy"}


class Migrated:
    """A functional model of Keras 2 with one layer, and what became of it."""

    def __init__(
        self,
        layer: Json,
        shape: Sequence[int | None] = (4,),
        *,
        calls: Any = None,
        writer: dict[str, str] | None = None,
        known: Sequence[str] = (),
    ) -> None:
        layer = {"class_name": layer["class_name"], "config": {"name": "layer", **layer["config"]}}
        layer |= {
            "name": "layer",
            "inbound_nodes": [[["input", 0, 0, {}]]] if calls is None else calls,
        }
        start = {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, *shape], "dtype": "float32", "name": "input"},
            "name": "input",
            "inbound_nodes": [],
        }
        self.old = {
            "class_name": "Functional",
            "config": {
                "name": "model",
                "layers": [start, layer],
                "input_layers": [["input", 0, 0]],
                "output_layers": [["layer", 0, 0]],
            },
        }
        self.new, self.findings = migrate(self.old, writer or KERAS2, frozenset(known))
        self.layers = self.new["config"]["layers"]

    @property
    def layer(self) -> Json:
        """The layer that was called `layer`."""
        return next(item for item in self.layers if item["name"] == "layer")

    @property
    def config(self) -> Json:
        """Its config."""
        config: Json = self.layer["config"]
        return config

    @property
    def errors(self) -> list[Finding]:
        """What was refused."""
        return [f for f in self.findings if f.severity is Severity.ERROR]

    def codes(self) -> set[str]:
        """The migrations that had something to say."""
        return {finding.code for finding in self.findings}


@pytest.fixture(autouse=True)
def _words_change_nothing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is migrated here comes out the same if no migration is passed over."""
    if request.module.__name__.endswith(("test_words", "test_many_layers")):
        return  # which look at what is passed over, and at what it takes
    run, spelled = migrations.run, migrations._spelled

    def both(blueprint: Blueprint) -> None:
        other = replace(
            blueprint, architecture=copy.deepcopy(blueprint.architecture),
            taken=set(blueprint.taken), findings=[], missing={}, offers={}, _refused=set(),
        )  # fmt: skip
        monkeypatch.setattr(migrations, "_spelled", lambda _: b"")
        try:
            run(other)
        except ArchitectureError:
            other = None  # type: ignore[assignment]
        monkeypatch.setattr(migrations, "_spelled", spelled)
        run(blueprint)
        if other is not None:
            assert blueprint.architecture == other.architecture
            assert blueprint.findings == other.findings
            assert blueprint.taken == other.taken

    monkeypatch.setattr(migrations, "run", both)


@pytest.fixture
def migrated() -> type[Migrated]:
    """Makes a functional model with one layer and migrates it."""
    return Migrated


@pytest.fixture
def build() -> Callable[..., Any]:
    """Has Keras 3 build an architecture; skips where there is none."""
    keras = pytest.importorskip("keras")

    def run(architecture: Json, **custom_objects: Any) -> Any:
        return keras.saving.deserialize_keras_object(architecture, custom_objects=custom_objects)

    return run
