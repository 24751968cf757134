"""A migration is one module and one entry."""

from __future__ import annotations

import pkgutil

from kerasguard import migrations


def test_every_module_here_is_in_the_registry_once() -> None:
    modules = {info.name for info in pkgutil.iter_modules(migrations.__path__)}
    registered = [
        migration.rewrite.__module__.rpartition(".")[2] for migration in migrations.MIGRATIONS
    ]
    assert sorted(registered) == sorted(modules)
