"""A migration that is passed over, since none of its words stands in a config, would do nothing."""

from __future__ import annotations

import pytest

from kerasguard import migrations
from kerasguard.blueprint.working import Blueprint, Migration
from kerasguard.blueprint.writer import Writer

LAYERS = ("Dense", "ReLU", "Flatten", "Add")


def chain(count: int) -> dict[str, object]:
    layers = [
        {"class_name": LAYERS[n % 4], "config": {"name": f"l{n}", "units": 2}} for n in range(count)
    ]
    return {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}


@pytest.mark.parametrize("keras", ["1.2.2", "2.4.0", "3.15.1"])
def test_thousands_of_layers_are_gone_through_a_few_times_only(
    monkeypatch: pytest.MonkeyPatch, keras: str
) -> None:
    """Of 49 migrations: 49 walks through 12,000 layers took two seconds."""
    done: list[str] = []
    run = Migration.run

    def counted(migration: Migration, blueprint: Blueprint) -> None:
        done.append(migration.code)
        run(migration, blueprint)

    monkeypatch.setattr(Migration, "run", counted)
    migrations.migrate(chain(100), {"keras": keras, "config": "legacy"})
    assert len(done) <= 20, done


def test_a_word_is_found_wherever_it_stands_and_however_often() -> None:
    for config in ({"a": "Hashing"}, {"Hashing": 1}, {"a": ["Hashing"] * 3}, {"ä": [["Hashing"]]}):
        assert b"Hashing" in migrations._spelled(config)
    assert b"Hashing" not in migrations._spelled({"a": "Hash", "ing": None})


def test_what_cannot_be_spelled_is_not_passed_over() -> None:
    """No format gives such a value; a caller's config could."""
    salt = {"class_name": "Hashing", "config": {"name": "h", "salt": [0xDECAFCAFFE] * 2}}
    config = {"class_name": "Sequential", "config": {"layers": [salt], "more": object()}}
    blueprint = Blueprint.of(config, Writer.of({"keras": "2.4.0"}))
    assert migrations._spelled(blueprint.architecture) == b""
    migrations.run(blueprint)
    assert "KG450" in {f.code for f in blueprint.findings}
