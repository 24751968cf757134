"""Whose is a file or folder that a save makes for a while: its name tells.

Nothing is written down: were the owner's number in a file, a process killed before it is written
would leave a riddle.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import time
import weakref
from pathlib import Path

__all__ = ["Claim", "is_abandoned", "token_of"]

_NAME = re.compile(
    r"\.kg-(?P<pid>\d+)-(?P<here>[0-9a-f]{8})(?P<born>[0-9a-f]{4})(?P<token>[0-9a-f]{8})$"
)
_ABANDONED_AFTER = 24 * 3600.0  # seconds; for what another machine or container left behind


class Claim:
    """A new name that tells which process it belongs to: `<prefix><pid>-<random>`.

    In front of the random digits stand a few that depend on the machine and on when the process
    began. What is made under the name counts as in use as long as the claim exists and is not
    released: an interrupt that comes before anybody can clear away loses the claim all the same.
    """

    def __init__(self, prefix: str) -> None:
        pid = os.getpid()
        self.name = f"{prefix}{pid}-{_here()}{_born(pid)}{os.urandom(4).hex()}"
        _claims[self.name] = self

    def release(self) -> None:
        """Say that what was made under the name is done with; a second call does nothing."""
        _claims.pop(self.name, None)


_claims: weakref.WeakValueDictionary[str, Claim] = weakref.WeakValueDictionary()


def is_abandoned(path: Path) -> bool:
    """Whether nobody is at work any more on what was made under a `Claim`'s name.

    Only a process of this machine (and container) can be asked for; what others left counts as
    abandoned a day after its last change.
    """
    match = _NAME.search(path.name)
    if match is None:
        return False
    if match["here"] == _here():
        if int(match["pid"]) == os.getpid() and match["born"] == _born(os.getpid()):
            return path.name not in _claims
        return match["born"] != _born(int(match["pid"]))
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_AFTER
    except OSError:
        return False  # gone meanwhile


def token_of(path: Path) -> str:
    """The random part of a `staging_name`; empty for any other name."""
    match = _NAME.search(path.name)
    return match["token"] if match else ""


@functools.lru_cache(maxsize=1)
def _here() -> str:
    """This boot of this machine, and the container whose process numbers are valid."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return _digits(f"{boot}{Path('/proc/self/ns/pid').stat().st_ino}", 8)
    except OSError:
        import uuid

        return _digits(f"{uuid.getnode()}", 8)


def _born(pid: int) -> str:
    """When a process started, so that a number given anew is told apart; empty if it is gone."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = status.rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else _digits(fields[19], 4)
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return ""
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return _digits("", 4)


def _digits(text: str, count: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:count]
