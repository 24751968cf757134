"""The engine on models that were edited after saving; see `benchmarks/mutations.py`."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "benchmarks"))

from mutations import Outcome, outcome, pairs
from net_edits import EDITS
from net_families import FAMILIES, named
from net_pairs import Pair, tables
from nets import Net, laid_out

from kerasguard.tensors import Table

FAILURES = ("silently wrong", "wrongly repaired", "refused, a repair wrong")


def judged(count: int) -> list[Outcome]:
    return [outcome(pair) for pair in islice(pairs(seed=1), count)]


def told_of(outcomes: list[Outcome]) -> list[Any]:
    return [(o.pair.family, o.pair.naming, o.pair.edits, o.pair.view) for o in outcomes]


def test_no_edit_is_loaded_or_repaired_wrongly() -> None:
    wrong = [o for o in judged(150) if o.kind in FAILURES]
    assert told_of(wrong) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 7, 23])
def test_over_two_thousand_edited_pairs_show_the_numbers_they_must(seed: int) -> None:
    found = [outcome(pair) for pair in pairs(seed)]
    assert len(found) >= 2_000
    assert told_of([o for o in found if o.kind in FAILURES]) == []
    answered = [o for o in found if o.answered and not o.harmless]
    assert sum(o.kind == "right" for o in answered) >= 0.95 * len(answered)
    same = [o for o in found if o.harmless]
    assert sum(bool(o.verdict.alarms) for o in same) <= 0.005 * len(same)
    used = Counter(edit for o in found for edit in o.pair.edits)
    assert set(EDITS) <= set(used)
    assert len({o.pair.family for o in found}) >= 12
    assert sum(o.kind == "shorter history" for o in found) <= 0.002 * len(found)


def shown(table: Table, like: Table) -> tuple[Any, ...]:
    """What the engine looks at, of the layers that `like` has."""
    tensors = {
        key: (r.spec, r.variable, r.layer, r.role, r.trainable, r.slot, r.slot_of)
        for key, r in table.tensors.items()
    }
    layers = {
        key: (r.name, r.class_name, r.inbound, r.position)
        for key, r in table.layers.items()
        if key in like.layers and key != "optimizer"
    }
    return list(tensors), tensors, layers


def variants(family: str) -> list[Net]:
    """A net of the family, and edited ones."""
    import random

    base = replace(named(FAMILIES[family](), "mixed"), optimizer="adam")
    rng = random.Random(family)
    made = [EDITS[name](base, rng) for name in ("nest, un-nest", "swap branches", "freeze")]
    return [base, *(net for net in made if net is not None)]


@pytest.mark.keras
@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=() if name in ("siamese", "nested", "skips") else pytest.mark.slow)
        for name in FAMILIES
    ],
)
def test_imaginary_models_are_laid_out_as_keras_lays_them_out(family: str) -> None:
    pytest.importorskip("keras")
    from net_models import built

    from kerasguard.models.live_model import model_table

    for net in variants(family):
        mine = laid_out(net).table
        assert shown(mine, mine) == shown(model_table(built(net)), mine)


def sample(count: int) -> list[Pair]:
    """Pairs whose file Keras can write: not transposed or cast afterwards, no checkpoint."""
    plain = (
        p for p in pairs(seed=2) if p.view in ("keras", "weights") and not p.turned | {*p.casts}
    )
    return list(islice(plain, count))


def planned(pair: Pair, folder: Path) -> tuple[dict[str, str], set[str]]:
    """Steps and codes for the files and models that Keras makes of a pair."""
    from net_models import built

    import kerasguard as kg

    path = folder / ("saved.keras" if pair.view == "keras" else "saved.weights.h5")
    saved = built(pair.saved)
    saved.save(path) if pair.view == "keras" else saved.save_weights(path)
    plan = kg.plan(path, built(pair.built))
    codes = {f.code for f in plan.findings if f.code != "KG106"}  # imaginary layers have no seeds
    return {s.target: s.sources[0] for s in plan.steps}, codes


@pytest.mark.keras
@pytest.mark.parametrize("count", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_files_that_keras_writes_are_planned_like_imaginary_ones(
    count: int, tmp_path: Path
) -> None:
    pytest.importorskip("keras")
    from kerasguard.loader.diagnose import diagnose

    for pair in sample(count):
        expected, stored, _, _ = tables(pair)
        plan = diagnose(expected, stored)
        steps = {s.target: s.sources[0] for s in plan.steps}
        assert planned(pair, tmp_path) == (steps, {f.code for f in plan.findings}), pair
