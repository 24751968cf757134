"""The engine on models that were edited between saving and loading: the truth is known.

python tests/benchmarks/mutations.py [pairs] [--seed N] [--show CASE]

Over 2,000 pairs of an imaginary checkpoint and an imaginary model. `tests/nets/` has the families
of models (`net_families.py`), the edits (`net_edits.py`), and what is true, what leaves no trace
and what has one answer (`net_pairs.py`, `net_answers.py`). *Shorter history* counts pairs that
fewer edits than were made explain as well, and that are loaded as those demand
(`net_histories.py`).
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "nets"))

from net_answers import answer, evident
from net_edits import EDITS
from net_families import bases
from net_histories import shorter_history
from net_pairs import VIEWS, Pair, Verdict, judged
from nets import Net, laid_out

_HARMLESS = {"auto-names drift", "rename model", "none"}
_TABLE_EDITS = ("transpose", "cast")


@dataclass(frozen=True)
class Outcome:
    """One pair, judged."""

    pair: Pair
    verdict: Verdict
    answered: bool | None
    kind: str

    @property
    def harmless(self) -> bool:
        """Whether nothing was edited that matters to the weights."""
        return set(self.pair.edits) <= _HARMLESS


def pairs(seed: int = 0) -> Iterator[Pair]:
    """All pairs, in an order that mixes families and edits."""
    rng = random.Random(seed)
    singles = [(e,) for e in (*EDITS, *_TABLE_EDITS, "none")]
    found = []
    for family, naming, base in bases():
        stacked = [tuple(rng.sample(sorted(EDITS), rng.choice((2, 2, 3)))) for _ in range(6)]
        found += [(family, naming, base, edits, rng.random()) for edits in (*singles, *stacked)]
    rng.shuffle(found)
    for family, naming, base, edits, number in found:
        yield from _pairs(family, naming, base, edits, random.Random(number))


def _pairs(
    family: str, naming: str, base: Net, edits: tuple[str, ...], rng: random.Random
) -> Iterator[Pair]:
    saved = replace(base, optimizer=rng.choice(("", "adam", "sgd")))
    built = saved
    between = []
    for edit in edits:
        made = EDITS[edit](built, rng) if edit in EDITS else built
        if made is None:
            return
        between.append(built)
        built = made
    if _replaced(saved, built):
        return
    if rng.random() < 0.5:  # the process that saved had made other models before
        saved = replace(saved, drift={la.kind: rng.randint(0, 9) for la in saved.layers})
    casts, turned = {}, frozenset[str]()
    kernels = {
        k: r
        for k, r in laid_out(saved).table.tensors.items()
        if r.role == "weight" and len(r.spec.shape) == 2
    }
    if "cast" in edits:
        dtype = rng.choice(("float64", "float16"))
        casts = {k: dtype for k, r in laid_out(saved).table.tensors.items() if r.role == "weight"}
    if "transpose" in edits:
        turned = frozenset(rng.sample(sorted(kernels), min(len(kernels), rng.randint(1, 3))))
    for view in rng.sample(VIEWS, 3):
        nested = saved.inner or built.inner
        if view != "tf":
            yield Pair(family, naming, edits, view, saved, built, casts, turned, tuple(between[1:]))
        elif not (nested or turned or "other optimizer" in edits):
            plain = replace(saved, optimizer=""), replace(built, optimizer="")
            yield Pair(family, naming, edits, view, *plain, casts, turned, tuple(between[1:]))


def _replaced(saved: Net, built: Net) -> bool:
    """Whether a layer went and an equal one came.

    A layer is what is told of it: class, arguments and shapes. Taking one out and putting an equal
    one in is no edit, or it is a rename or a reordering, and the pair would be judged by a truth
    that nothing but this module's uids could tell.
    """

    def looks(net: Net, but: Net) -> set[object]:
        known = {layer.uid for layer in but.layers}
        shapes = net.shapes()
        return {
            (la.cls, tuple(sorted(la.config.items())), shapes[la.uid, 0])
            for la in net.layers
            if la.uid not in known
        }

    return bool(looks(saved, built) & looks(built, saved))


def outcome(pair: Pair) -> Outcome:
    """Judge one pair."""
    verdict = judged(pair)
    answered: bool | None = None
    if verdict.complete:
        try:
            found = answer(pair)
        except TimeoutError:
            found = {}
        answered = None if found == {} else found is not None and verdict.agrees(found)
    kind = _kind(verdict, answered)
    if kind == "refused, a repair wrong" and _misled(pair, verdict):
        kind = "refused, misled"
    if kind in ("silently wrong", "wrongly repaired") and shorter_history(pair, verdict):
        kind = "shorter history"
    return Outcome(pair, verdict, answered, kind)


def _misled(pair: Pair, verdict: Verdict) -> bool:
    """Whether another history than the true one explains a refused pair with fewer edits.

    Then every best way to pair the layers says what the wrong repairs say: of `relu, tanh` that
    became `tanh, relu` and then `tanh, relu, tanh`, the file tells that a `tanh` was put in front.
    """
    try:
        told, _ = evident(pair)
    except TimeoutError:
        return False
    ours, theirs = laid_out(pair.built), laid_out(pair.saved)
    mine = {key: who[0] for who, key in ours.keys.items()}
    other = {key: who[0] for who, key in theirs.keys.items()}
    steps = {s.target: s.sources[0] for s in verdict.plan.steps}
    layers = [k for k in verdict.repaired_wrong if mine[k] != "optimizer"]
    return pair.view != "tf" and all(told.get(mine[k]) == other[steps[k]] for k in layers)


def _kind(verdict: Verdict, answered: bool | None) -> str:
    if verdict.refused:
        if verdict.repaired_wrong:
            return "refused, a repair wrong"
        if not verdict.complete:
            return "refused, no answer exists"
        return {True: "needlessly refused", False: "refused, ambiguous", None: "refused, unknown"}[
            answered
        ]
    if verdict.wrong:
        if verdict.unmodified:
            return "no trace"
        return "wrongly repaired" if verdict.repaired_wrong else "silently wrong"
    return "right" if verdict.complete else "silently wrong"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", default="")
    options = parser.parse_args(arguments)
    start = time.process_time()
    count: Counter[str] = Counter()
    rows: dict[str, Counter[str]] = {}
    alarms = unmodified = repairable = repaired = 0
    for number, pair in enumerate(pairs(options.seed)):
        if number >= options.pairs:
            break
        made = outcome(pair)
        count[made.kind] += 1
        rows.setdefault(
            " + ".join(made.pair.edits) if len(made.pair.edits) == 1 else "stacked", Counter()
        )[made.kind] += 1
        if set(pair.edits) <= _HARMLESS:
            unmodified += 1
            alarms += bool(made.verdict.alarms)
            if options.show == "alarms" and made.verdict.alarms:
                print(pair.family, pair.naming, pair.edits, pair.view)
                for f in made.verdict.plan.findings[:3]:
                    print("    ", f)
        elif made.answered:
            repairable += 1
            repaired += made.kind == "right"
        if options.show and options.show in made.kind:
            print(made.pair.family, made.pair.naming, made.pair.edits, made.pair.view)
            for f in made.verdict.plan.findings[:6]:
                print("    ", f)
            print("     wrong:", made.verdict.wrong[:4])
    kinds = sorted(count)
    print(f"{'edit':22}" + "".join(f"{kind[:14]:>16}" for kind in kinds))
    for edit, row in sorted(rows.items()):
        print(f"{edit:22}" + "".join(f"{row[kind]:16}" for kind in kinds))
    print(f"{'all':22}" + "".join(f"{count[kind]:16}" for kind in kinds))
    print(f"pairs {sum(count.values())}, CPU {time.process_time() - start:.1f} s; {dict(count)}")
    print(f"unmodified {unmodified}, alarms {alarms}")
    print(f"repairable {repairable}, repaired {repaired} ({repaired / max(repairable, 1):.1%})")


if __name__ == "__main__":
    main()
