"""What a caller asks of a load: every option in one value, checked where it is made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from kerasguard.arguments import (
    allowed,
    check_choice,
    check_config,
    check_digest,
    check_flag,
    check_mapping,
    check_model,
    check_patterns,
    check_renames,
    check_source,
    check_strategy,
)
from kerasguard.errors import ArgumentError
from kerasguard.identity.renames import Renames
from kerasguard.loader.config_argument import Config
from kerasguard.loader.sources import Source
from kerasguard.planning.plan import Policy, Rate
from kerasguard.storage.sidecar import ManifestPolicy

__all__ = ["Memory", "Request"]

Memory = Literal["full", "low"]


@dataclass(frozen=True)
class Request:
    """The options of `kerasguard.restore`, which says what each means.

    `keep` is not the caller's: without it no tensor stays in memory, for dry runs.

    Raises:
        ArgumentError: an option is not understood.
    """

    path: Source
    model: Any = None
    strategy: Any = None
    custom_objects: Mapping[str, Any] | None = None
    registered: bool = True
    renames: Renames | None = None
    repair: Policy = "exact"
    compile: bool = True
    manifest: ManifestPolicy = "auto"
    probe: bool = True
    learning_rate: Rate = "auto"
    allow: str | Collection[str] = ()
    allow_graph: bool = False
    memory: Memory = "full"
    digest: str | None = None
    config: Config | None = None
    skip: Collection[str] = ()
    only: Collection[str] | None = None
    keep: bool = True

    @staticmethod
    def of(given: Mapping[str, Any], **more: Any) -> Request:
        """From the arguments of a public function, `locals()`; what is no option is left out.

        Raises:
            ArgumentError: `older` has an option that there is not.
        """
        names = [field.name for field in fields(Request) if field.name != "keep"]
        older: Mapping[str, Any] = given.get("older", {})
        for name in older:
            check_choice("option", name, tuple(names))
        options = {k: v for k, v in {**given, **older}.items() if k in names}
        return Request(**options, **more)

    @property
    def in_one_pass(self) -> bool:
        """Whether what is read to be verified is kept to be assigned.

        A model that is built from the checkpoint takes it over, so there is nothing to save.
        """
        return self.keep and (self.memory == "full" or self.model is None)

    @property
    def own_model(self) -> bool:
        """Whether the model is the caller's, as such or by its config."""
        return self.model is not None or self.config is not None

    def __post_init__(self) -> None:
        check_source(self.path)
        check_model(self.model)
        check_strategy(self.strategy)
        check_mapping("custom_objects", self.custom_objects, '{"MyLayer": MyLayer}')
        check_renames(self.renames)
        check_patterns("skip", self.skip, empty=True)
        check_patterns("only", self.only, empty=False)
        check_choice("repair", self.repair, get_args(Policy))
        check_choice("manifest", self.manifest, get_args(ManifestPolicy))
        check_choice("learning_rate", self.learning_rate, get_args(Rate))
        check_choice("memory", self.memory, get_args(Memory))
        check_digest(self.digest)
        check_config(self.config, self.model)
        for name in ("compile", "probe", "registered", "allow_graph"):
            check_flag(name, getattr(self, name))
        if self.learning_rate == "stored" and not self.compile:
            raise ArgumentError(
                'learning_rate="stored" asks for the optimizer, which compile=False leaves alone; '
                "pass one of them"
            )
        allowed(self.allow)

    @property
    def allowed(self) -> frozenset[str]:
        """What the caller allows; `allow_graph=True` is another spelling of `"graph"`."""
        return allowed(self.allow) | ({"graph"} if self.allow_graph else set())
