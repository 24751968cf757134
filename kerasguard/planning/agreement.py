"""What several workers say before they load together, and what follows from it for all of them.

Pure: nobody is asked here. Each worker states what it found, one of them decides, and every worker
does what was decided, so that no two of them do different things.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from kerasguard.errors import listed
from kerasguard.planning.plan import Policy

__all__ = ["State", "Statement", "Verdict", "on_checkpoints", "on_results"]

State = Literal["verified", "unrecorded", "damaged", "missing", "failed", "done"]
_LONGEST = 2000  # characters of a reason; a refusal lists its findings


@dataclass(frozen=True, slots=True)
class Statement:
    """What one worker found.

    Args:
        state: of its checkpoint: `verified` against its manifest, `unrecorded`, `damaged`,
            `missing`, or `failed` where it could not find out; of a step of the work: `done` or
            `failed`.
        manifest: digest of the checkpoint's manifest; empty without one.
        content: digest of all tensors; of what the worker is going to do, or has done.
        asked: by name, the options that all workers have to agree on, as texts.
        reason: what is wrong, where something is.
    """

    state: State
    manifest: str = ""
    content: str = ""
    asked: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    def to_text(self) -> str:
        """As it is sent."""
        long = len(self.reason) > _LONGEST
        half = _LONGEST // 2  # Keras tells the cause at the end
        reason = f"{self.reason[:half]} ... {self.reason[-half:]}" if long else self.reason
        return json.dumps({**asdict(self), "reason": reason})

    @staticmethod
    def from_text(text: str) -> Statement:
        """Law: `Statement.from_text(s.to_text()) == s`, but for what is cut off a long reason."""
        return Statement(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What every worker does.

    Args:
        reasons: by rank, why all of them stop; empty where they go on.
        giver: rank of the worker that hands its files over, where somebody needs them.
        takers: ranks of those who need them.
        alike: whether every worker met the same, and raises what it met itself.
        hint: what would help; empty where nothing is known to.
    """

    reasons: Mapping[int, str] = field(default_factory=dict)
    giver: int = -1
    takers: tuple[int, ...] = ()
    alike: bool = False
    hint: str = ""

    def to_text(self) -> str:
        """As it is sent."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str) -> Verdict:
        """Law: `Verdict.from_text(v.to_text()) == v`."""
        told = json.loads(text)
        reasons = {int(rank): reason for rank, reason in told.pop("reasons").items()}
        return Verdict(reasons=reasons, takers=tuple(told.pop("takers")), **told)


def on_checkpoints(said: Sequence[Statement | None], repair: Policy, silence: str) -> Verdict:
    """What follows from what the workers have read.

    A worker whose checkpoint is missing or damaged takes another's that was verified, if nothing
    tells that it had another checkpoint: its own manifest is the same one, or it has neither
    checkpoint nor manifest. That is exact, so every `repair` but `off` allows it.

    Args:
        said: by rank; None for a worker that said nothing.
        repair: as the caller asked.
        silence: what is said of those.
    """
    stopped = _silent(said, silence) or _asked_otherwise(said)
    if stopped:
        return Verdict(stopped)
    known = [one for one in said if one is not None]
    bad = {rank: one for rank, one in enumerate(known) if one.reason}
    good = {rank: one for rank, one in enumerate(known) if not one.reason}
    if not good:
        alike = len({(one.state, one.manifest, one.content) for one in known}) == 1
        return Verdict({r: one.reason for r, one in bad.items()}, alike=alike)
    if mixed := _mixed(good):
        return Verdict(mixed, hint="give every worker a copy of the same checkpoint")
    return _handed_over(known, bad, good, repair)


def _handed_over(
    known: Sequence[Statement],
    bad: Mapping[int, Statement],
    good: Mapping[int, Statement],
    repair: Policy,
) -> Verdict:
    """Who gives the workers without a good checkpoint the bytes of theirs, and who gets them."""
    giver = next((rank for rank, one in good.items() if one.state == "verified"), -1)
    takers = [rank for rank, one in bad.items() if giver >= 0 and _may_take(one, good[giver])]
    if len(takers) < len(bad):
        others = {r: _not_taken(one, known, giver) for r, one in bad.items() if r not in takers}
        return Verdict(others)
    if takers and repair == "off":
        reasons = {rank: bad[rank].reason for rank in takers}
        return Verdict(reasons, hint='repair="exact" takes the bytes that another worker verified')
    return Verdict(giver=giver if takers else -1, takers=tuple(takers))


def on_results(said: Sequence[Statement | None], what: str, silence: str) -> Verdict:
    """What follows from what the workers have done, or are going to do.

    Args:
        said: by rank; None for a worker that said nothing.
        what: that has to be the same on all: `plan`.
        silence: what is said of a worker that said nothing.
    """
    if stopped := _silent(said, silence):
        return Verdict(stopped)
    known = [one for one in said if one is not None]
    bad = {rank: one.reason for rank, one in enumerate(known) if one.state == "failed"}
    if bad:
        same = len(bad) == len(known) and len({one.content for one in known}) == 1
        return Verdict(bad, alike=same)
    return Verdict(_differing(known, lambda one: one.content, f"its {what} is not worker 0's"))


def _silent(said: Sequence[Statement | None], silence: str) -> dict[int, str]:
    return {rank: silence for rank, one in enumerate(said) if one is None}


def _differing(
    said: Sequence[Statement], of: Callable[[Statement], str], text: str
) -> dict[int, str]:
    return {rank: text for rank, one in enumerate(said) if of(one) != of(said[0])}


def _asked_otherwise(said: Sequence[Statement | None]) -> dict[int, str]:
    first = dict(said[0].asked) if said and said[0] is not None else {}
    found: dict[int, str] = {}
    for rank, one in enumerate(said):
        mine = {} if one is None else dict(one.asked)
        names = [name for name in {**first, **mine} if first.get(name) != mine.get(name)]
        if names:
            told = [f"{name}={mine.get(name)} (worker 0: {first.get(name)})" for name in names]
            found[rank] = f"asked for something different: {listed(told)}"
    return found


def _mixed(good: Mapping[int, Statement]) -> dict[int, str]:
    """Checkpoints with different tensors than the first one; equal copies may be recorded apart.

    One that nobody recorded is as good as one that is, as long as the bytes are the same.
    """
    first = next(iter(good))
    return {
        rank: (
            f"has a different checkpoint than worker {first} (content {one.content[:13]}, "
            f"not {good[first].content[:13]})"
        )
        for rank, one in good.items()
        if one.content != good[first].content
    }


def _may_take(one: Statement, given: Statement) -> bool:
    if one.state == "missing" and not one.manifest:
        return True
    return one.state in ("missing", "damaged") and one.manifest == given.manifest


def _not_taken(one: Statement, known: Sequence[Statement], giver: int) -> str:
    if giver < 0 or one.state == "failed":
        return one.reason
    other = f"; worker {giver} has another checkpoint, so nothing is taken from it"
    return one.reason + (other if one.manifest else "; it has no manifest to show which one it was")
