"""What a file system elsewhere has to do: checkpoints are fetched from it and sent to it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

__all__ = ["Files", "Stat"]


class Stat(NamedTuple):
    """What lies at an address: its size in bytes, None where the place does not say; a folder?"""

    size: int | None
    folder: bool = False


class Files(Protocol):
    """A file system that is not this machine's; every address is given in full."""

    def stat(self, url: str) -> Stat | None:
        """What lies there; None where nothing does."""

    def names(self, url: str) -> list[str]:
        """Names of what lies in a folder; none where the place cannot list."""

    def head(self, url: str, count: int) -> bytes:
        """The first bytes of a file."""

    def get(self, url: str, path: Path) -> None:
        """Copy a file to this machine."""

    def put(self, path: Path, url: str) -> None:
        """Copy a file there, over what lies there; folders above it are made."""

    def remove(self, url: str) -> None:
        """Remove a file."""
