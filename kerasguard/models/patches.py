"""Put something in the place of a foreign attribute for a while, for one thread only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Patch", "PatchSet"]


@dataclass(frozen=True)
class Patch:
    """One attribute of a class or module to be replaced.

    Args:
        owner: the class or module.
        name: of the attribute, which must be the owner's own.
        replace: from what is there to what takes its place. It must do as the original does
            in every thread but the one that asked for the replacement.
        fits: whether what is there is what `replace` was written for.
    """

    owner: Any
    name: str
    replace: Callable[[Any], Any]
    fits: Callable[[Any], bool] = callable


class PatchSet:
    """Patches that belong together and are in place as long as at least one thread wants them.

    Args:
        patches: if the attribute of one is missing or does not fit, none is put in place.
    """

    def __init__(self, patches: Sequence[Patch]) -> None:
        self._patches = patches
        self._lock = threading.Lock()
        self._users = 0
        self._installed: list[tuple[Patch, Any, Any]] = []

    def install(self) -> bool:
        """Put the replacements in place, unless they are; whether they are now."""
        with self._lock:
            self._users += 1
            if self._users == 1 and all(_fits(patch) for patch in self._patches):
                for patch in self._patches:
                    original = vars(patch.owner)[patch.name]
                    replacement = patch.replace(original)
                    setattr(patch.owner, patch.name, replacement)
                    self._installed.append((patch, original, replacement))
            return bool(self._installed)

    def fitting(self) -> dict[str, bool]:
        """By attribute (`Sequential.add`), whether its replacement fits what is there."""
        with self._lock:
            mine = {(id(patch.owner), patch.name) for patch, _, _ in self._installed}
            return {
                f"{patch.owner.__name__}.{patch.name}": (id(patch.owner), patch.name) in mine
                or _fits(patch)
                for patch in self._patches
            }

    def remove(self) -> None:
        """Put the originals back when nobody wants the replacements any more.

        Where somebody else patched the same attribute meanwhile, theirs stays.
        """
        with self._lock:
            self._users -= 1
            while self._users == 0 and self._installed:
                patch, original, replacement = self._installed.pop()
                if vars(patch.owner).get(patch.name) is replacement:
                    setattr(patch.owner, patch.name, original)


def _fits(patch: Patch) -> bool:
    original = vars(patch.owner).get(patch.name)
    return original is not None and patch.fits(original)
