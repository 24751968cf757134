"""The workers that load a checkpoint together: each says how far it is, and all do the same.

Worker 0 decides. It waits for what the others say and tells all of them what follows, so that a
worker that comes too late is told that it does. Before anybody has agreed no worker begins what it
cannot do alone: under a strategy of several workers creating a variable is such a thing.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasguard.arguments import WORKERS_LIMIT, workers_limit
from kerasguard.errors import WorkersError
from kerasguard.planning.agreement import Statement, Verdict, on_results
from kerasguard.planning.plan import RepairPlan

if TYPE_CHECKING:
    from kerasguard.models.kerases.workers import Channel

__all__ = ["Decide", "Peers", "failing", "peers_of", "planned", "seeded"]

_GRACE = 6.0
_loads = itertools.count()

Decide = Callable[[Sequence[Statement | None]], Verdict]


def peers_of(strategy: Any, model: Any, name: str) -> Peers | None:
    """The workers that take part in a load; None where this process does it alone.

    Args:
        strategy: that the caller gave; None for what is active.
        model: of the caller's, if there is one.
        name: what messages call the checkpoint.

    Raises:
        ArgumentError: the limit is not a number of seconds.
    """
    from kerasguard.models.kerases import workers

    channel = workers.channel(strategy, model)
    return None if channel is None else Peers(channel, name, workers_limit())


def planned(decided: RepairPlan) -> Statement:
    """What a worker says of its plan. Messages name files, which lie elsewhere on each."""
    steps = [step.to_dict() for step in decided.steps]
    told = json.dumps([steps, [(f.code, f.key) for f in decided.unresolved]], sort_keys=True)
    return Statement("done", content=hashlib.sha256(told.encode()).hexdigest())


def failing(peers: Peers | None, what: str) -> contextlib.AbstractContextManager[None]:
    """`Peers.failing` where there are any."""
    return contextlib.nullcontext() if peers is None else peers.failing(what)


@contextlib.contextmanager
def seeded(peers: Peers | None) -> Iterator[None]:
    """What initialisers draw is the same on all workers, which JAX demands of an array on a mesh.

    Keras draws the seed of an initialiser that was given none from Python's own generator.
    """
    if peers is None:
        yield
        return
    before = random.getstate()
    random.seed(peers.room)
    try:
        yield
    finally:
        random.setstate(before)


class Peers:
    """All workers of one load, this one included.

    Args:
        channel: how they reach each other.
        name: what messages call the checkpoint.
        seconds: that one waits for another at most.
    """

    def __init__(self, channel: Channel, name: str, seconds: float) -> None:
        self.channel, self.name, self.seconds = channel, name, seconds
        # Every worker makes the same calls, so that the n-th one is the same on all.
        self.room = f"kerasguard/{next(_loads)}"
        self._stages = itertools.count()
        self.rank = channel.rank
        self._aborted = False

    @property
    def silence(self) -> str:
        """What is said of a worker that said nothing."""
        return (
            f"did not answer for {self.seconds:g} s ({WORKERS_LIMIT} in the environment); every "
            "worker must make the same call"
        )

    def settle(self, mine: Statement, decide: Decide) -> Verdict:
        """What all workers do, after each has said what it found.

        Raises:
            WorkersError: the workers no longer reach each other.
        """
        place = f"{self.room}/{next(self._stages)}"
        try:
            return self._led(place, mine, decide) if self.rank == 0 else self._told(place, mine)
        except WorkersError:
            raise
        except Exception as error:  # of the engine, when a worker has died
            reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
            raise WorkersError(self.name, f"the workers lost contact: {reason}") from error

    def _led(self, place: str, mine: Statement, decide: Decide) -> Verdict:
        said: list[Statement | None] = [mine]
        for rank in range(1, self.channel.count):
            text = self.channel.get(f"{place}/{rank}", self.seconds)
            said.append(None if text is None else Statement.from_text(text))
        verdict = decide(said)
        self.channel.put(f"{place}/verdict", verdict.to_text())
        for rank, one in enumerate(said):
            if rank and one is not None:
                self.channel.drop(f"{place}/{rank}")
        return verdict

    def _told(self, place: str, mine: Statement) -> Verdict:
        self.channel.put(f"{place}/{self.rank}", mine.to_text())
        # Worker 0 waits for each of the others.
        told = self.channel.get(f"{place}/verdict", self.seconds * self.channel.count)
        return Verdict({0: self.silence}) if told is None else Verdict.from_text(told)

    def agree(self, mine: Statement, what: str) -> None:
        """Go on only if all workers do, with the same.

        Raises:
            WorkersError: one of them does not.
        """
        self.check(self.settle(mine, lambda said: on_results(said, what, self.silence)))

    def gather(self, text: str) -> list[str]:
        """What every worker says, by rank.

        Raises:
            WorkersError: one says nothing.
        """
        place = f"{self.room}/{next(self._stages)}"
        self.channel.put(f"{place}/{self.rank}", text)
        said = [self.channel.get(f"{place}/{r}", self.seconds) for r in range(self.channel.count)]
        silent = {rank: self.silence for rank, one in enumerate(said) if one is None}
        self.check(Verdict(silent))
        return [one for one in said if one is not None]

    def share(self, variables: Sequence[Any]) -> None:
        """Give variables that every worker has initialised by itself the values of worker 0.

        Raises:
            WorkersError: they do not arrive.
        """
        from kerasguard.models.kerases.backends import to_numpy

        for number, variable in enumerate(variables):
            key, own = f"{self.room}/initial/{number}", to_numpy(variable)
            if self.rank == 0:
                self.channel.put(key, base64.b64encode(own.tobytes()).decode())
                continue
            text = self.channel.get(key, self.seconds)
            if text is None:
                raise WorkersError(self.name, f"worker 0 {self.silence}")
            told = np.frombuffer(base64.b64decode(text), own.dtype).reshape(own.shape)
            variable.assign(told)

    @contextlib.contextmanager
    def failing(self, what: str) -> Iterator[None]:
        """If the block raises before the workers agree, all of them are told why.

        Where every worker fails with the same kind of error, each raises its own.
        """
        try:
            with self._watched():
                yield
        except WorkersError:
            raise  # which all of them got
        except Exception as error:
            with contextlib.suppress(Exception):  # another one has said so
                self.channel.put(f"{self.room}/stopped", str(error)[:500])
            kind = "" if self._aborted else type(error).__name__
            reason = "waited for another worker" if self._aborted else str(error)
            mine = Statement("failed", content=kind, reason=reason)
            verdict = self.settle(mine, lambda said: on_results(said, what, self.silence))
            if verdict.alike:
                raise
            raise self.error(verdict) from error

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """If another worker stops meanwhile, this one does not wait for it inside the engine.

        It has some seconds to notice by itself: whoever is not in a collective then keeps an engine
        that works, and can load something else.
        """
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                with contextlib.suppress(Exception):  # the engine is at its end as well
                    text = self.channel.get(f"{self.room}/stopped", 1.0)
                    if text is not None and not done.wait(_GRACE):
                        self._aborted = True
                        self.channel.abort(text)
                        return

        threading.Thread(target=watch, name="kerasguard-workers", daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def check(self, verdict: Verdict) -> None:
        """Raise what a verdict says.

        Raises:
            WorkersError: it names a worker that cannot go on.
        """
        if verdict.reasons:
            raise self.error(verdict)

    def error(self, verdict: Verdict) -> WorkersError:
        """The error that every worker raises."""
        lines = [f"  worker {rank}: {reason}" for rank, reason in verdict.reasons.items()]
        hint = f"\n{verdict.hint}" if verdict.hint else ""
        return WorkersError(
            self.name,
            f"not loaded by any of the {self.channel.count} workers, and no model was changed:\n"
            + "\n".join(lines)
            + hint,
            verdict.reasons,
        )
