"""Whether a shorter history than the true one explains what a file and a model show.

`relu, tanh, relu` whose first two layers changed places and whose last one was dropped shows what
`relu, tanh, relu` without its first layer shows. A file cannot tell the two apart, and an engine
that assumes the fewest edits is right about the second. Such pairs are counted apart. What is
counted here is not told by rules, but found: edits are tried out until one gives the same picture.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

from net_edits import EDITS
from net_pairs import Pair, Verdict, only_renamed, told, truth
from nets import Inner, Net, laid_out

__all__ = ["shorter_history"]

_TRIES = 600
"""How often edits are tried out; each time they pick other layers."""
_SIMPLE = {"drop layer", "other arguments", "remove same class", "rename"}


def _nest_one(of: Net, rng: random.Random) -> Net | None:
    """One layer becomes a model of its own: what is left of several that did, and one went."""
    alone = [layer for layer in of.layers if len(layer.calls) == 1 and len(layer.calls[0]) == 1]
    if of.inner or not alone:
        return None
    layer = rng.choice(alone)
    return replace(of, inner=(Inner("wrapped", (layer.uid,), "my_part" if layer.name else ""),))


_EDITS = {**EDITS, "nest one": _nest_one}


def shorter_history(pair: Pair, verdict: Verdict) -> bool:
    """Whether fewer edits show the same, and all that is wrong is right after those."""
    edits = [edit for edit in pair.edits if edit in EDITS]
    theirs = laid_out(pair.saved)
    steps = {step.target: step.sources[0] for step in verdict.plan.steps}
    wrong = [key for key in verdict.wrong if not key.startswith("optimizer")]
    for number in range(1, len(edits)):
        for other in _others(pair, number):
            answer = truth(laid_out(other.built), theirs, other)
            if wrong and all(answer.get(key) == steps[key] for key in wrong):
                return True
    return False


def _others(pair: Pair, number: int) -> Iterator[Pair]:
    """Pairs of the same checkpoint and a model that looks the same, by so many edits."""
    rng = random.Random(0)
    likely = sorted({edit for edit in pair.edits if edit in EDITS} | _SIMPLE)
    for edits in itertools.product(_EDITS if number == 1 else likely, repeat=number):
        for _ in range(_TRIES):
            nets = [pair.saved]
            for edit in edits:
                made = _EDITS[edit](nets[-1], rng)
                if made is None:
                    break
                nets.append(made)
            else:
                if _looks_like(pair, nets[-1]):
                    between = tuple(nets[1:-1])
                    yield replace(pair, built=nets[-1], edits=edits, between=between)


def _looks_like(pair: Pair, net: Net) -> bool:
    """Whether a net shows what the pair's model shows, new names apart."""
    graph = pair.view in ("manifest", "keras")
    if graph and len(net.layers) != len(pair.built.layers):
        return False  # laying it out takes longer
    net = replace(net, drift=pair.built.drift, optimizer=pair.built.optimizer)
    before = {layer.name for layer in pair.saved.layers}
    new = [{layer.name for layer in x.layers} - before - {""} for x in (net, pair.built)]
    saved, built = (told(laid_out(x).table, pair.view) for x in (net, pair.built))
    return only_renamed(saved, built, new, pair.view)
