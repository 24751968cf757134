"""The working copy of an architecture, and what a migration is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kerasguard.blueprint.allowlist import hostile
from kerasguard.blueprint.nodes import is_graph, layers_of
from kerasguard.blueprint.objects import (
    Json,
    Kind,
    class_of,
    config_of,
    copied,
    is_object,
    name_of,
    objects,
    short_name,
)
from kerasguard.blueprint.writer import Writer
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import Table
from kerasguard.tensors.elements import Array

__all__ = ["Blueprint", "Migration"]

_NO_TABLE = Table({}, {})


@dataclass
class Blueprint:
    """A working copy that migrations rewrite in place, one after the other.

    Args:
        architecture: `{"class_name": ..., "config": ...}`, owned by this object.
        writer: who wrote it.
        known: names of classes, functions and layers that the caller supplies.
        registered: what the process has registered and the caller did not pass, by name; False
            where no file may have it called. The others are among `known`.
        allow: what the caller allows beyond what is safe for any file: `lambdas`.
        stored: the tensors that lie beside it; some of them are part of a config today.
        values: the same tensors' contents by key, each read when it is asked for.
        taken: keys of stored tensors that became part of the architecture.
        compile_arguments: what Keras 3 compiles the model from, where the file tells it apart.
        findings: what was changed and what could not be.
        missing: names that the caller must supply, each with the layers that need it.
        offers: by such a name, what the caller can write for it, where the file tells.
        code: of the migration that is at work.
    """

    architecture: Json
    writer: Writer
    known: frozenset[str] = frozenset()
    registered: Mapping[str, bool] = field(default_factory=dict)
    allow: frozenset[str] = frozenset()
    stored: Table = _NO_TABLE
    values: Mapping[str, Array] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    compile_arguments: Json | None = None
    findings: list[Finding] = field(default_factory=list)
    missing: dict[str, list[str]] = field(default_factory=dict)
    offers: dict[str, str] = field(default_factory=dict)
    code: str = ""
    _refused: set[str] = field(default_factory=set)

    @staticmethod
    def of(architecture: Mapping[str, Any], writer: Writer, **more: Any) -> Blueprint:
        """A copy, so that the caller's stays as it is; `more` as in the class."""
        return Blueprint(copied(architecture), writer, **more)

    def layers(self, *classes: str) -> Iterator[Json]:
        """The architecture itself and every layer in it, also inside wrappers, outermost first.

        Args:
            classes: only those of these classes; all where none is given.
        """
        for _, item in objects(self.architecture, "layer"):
            # Still an object, after what was done to those before.
            if is_object(item) and (not classes or class_of(item) in classes):
                yield item

    def keyed(self, kind: Kind) -> Iterator[tuple[str, Json]]:
        """Every object of a kind with the key that holds it."""
        for key, item in objects(self.architecture, kind):
            if is_object(item):  # still, after what was done to those before
                yield key, item

    def models(self) -> Iterator[tuple[Json, Json]]:
        """Every model with its config, Sequential or functional, outermost first."""
        for _, item in objects(self.architecture, "layer"):
            config = config_of(item)
            if layers_of(config) and class_of(item) != "Pipeline" and is_object(item):
                yield item, config

    def graphs(self) -> Iterator[tuple[Json, Json]]:
        """Every functional model with its config, outermost first."""
        return ((item, config) for item, config in self.models() if is_graph(config))

    def is_known(self, class_name: str) -> bool:
        """Whether the caller supplies this class, under its full or its short name."""
        return self.supplied(class_name) is not None

    def supplied(self, name: str) -> str | None:
        """The name under which the caller supplies a class or function; None if it does not."""
        return next((n for n in (name, short_name(name)) if n in self.known), None)

    def need(self, name: str, layer: Json, module: str = "", offer: str = "") -> None:
        """A class or function that only the caller can supply, of a module if the file says so.

        An offer is what the caller can write for it, which another finding has shown.
        """
        if hostile(name) or hostile(name, module):
            return  # nobody is asked for it: KG431 says what it is
        if offer:
            self.offers[name] = offer
        self.missing.setdefault(name, []).append(name_of(layer))

    def is_refused(self, layer: Json | str) -> bool:
        """Whether another migration has said why this layer cannot be built."""
        return (layer if isinstance(layer, str) else name_of(layer)) in self._refused

    def note(self, layer: Json | str, message: str) -> None:
        """Something was changed without loss."""
        self._find(layer, message, Severity.INFO)

    def warn(self, layer: Json | str, message: str) -> None:
        """Something was changed that predictions do not need, but that is worth knowing."""
        self._find(layer, message, Severity.WARNING)

    def refuse(self, layer: Json | str, message: str) -> None:
        """Something has no equivalent; the message says what the caller can do."""
        self._find(layer, message, Severity.ERROR)

    def _find(self, layer: Json | str, message: str, severity: Severity) -> None:
        key = layer if isinstance(layer, str) else name_of(layer)
        text = f"{key}: {message}" if key else message
        self.findings.append(Finding(self.code, key, text, severity))
        if severity is Severity.ERROR:
            self._refused.add(key)


@dataclass(frozen=True, slots=True)
class Migration:
    """One change between writer and reader.

    Args:
        code: `KG4xx`.
        writers: the versions it applies to, in words.
        applies: the same as a test.
        rewrite: makes the change in a working copy and notes it there.
        words: one of them stands in every config that it changes; none where any config may be.
    """

    code: str
    writers: str
    applies: Callable[[Writer], bool]
    rewrite: Callable[[Blueprint], None]
    words: tuple[str, ...] = ()

    def run(self, blueprint: Blueprint) -> None:
        """Apply it if the writer is one that it is for."""
        if self.applies(blueprint.writer):
            blueprint.code = self.code
            self.rewrite(blueprint)
