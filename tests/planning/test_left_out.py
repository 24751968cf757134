"""What is wanted is paired as if the rest were not there."""

from __future__ import annotations

from dataclasses import replace

from tables import Layer, by_name, table

from kerasguard.identity.pair import pair
from kerasguard.planning.left_out import LeftOut, beside, by_steps, outside, partial
from kerasguard.planning.operations import Step
from kerasguard.tensors import Table

THREE = [Layer("a", (3, 4)), Layer("b", (4, 4)), Layer("c", (4, 2))]


def left(table: Table, *names: str) -> LeftOut:
    keys = {k for k, r in table.tensors.items() if r.name.split("/")[0] in names}
    layers = {k for k, r in table.layers.items() if r.name in names}
    return LeftOut(frozenset(keys), frozenset(layers), names)


def test_another_head_leaves_the_stored_one_to_nobody() -> None:
    ours, theirs = table([*THREE[:2], Layer("new", (4, 9))]), table(THREE)
    found, aside = partial(pair(ours, theirs), ours, theirs, left(ours, "new"), None)
    pairs = by_name(found.tensors, ours, theirs)
    assert pairs == {
        "a/kernel": "a/kernel", "a/bias": "a/bias", "b/kernel": "b/kernel", "b/bias": "b/bias",
    }  # fmt: skip
    assert {theirs.tensors[key].name for key in aside} == {"c/kernel", "c/bias"}


def test_a_block_that_was_inserted_moves_no_other() -> None:
    row = [Layer(f"dense_{n}" if n else "dense", (4, 4)) for n in range(4)]
    theirs, ours = table(row[:3]), table([row[0], Layer("fresh", (4, 4)), *row[1:3]])
    found, aside = partial(pair(ours, theirs), ours, theirs, left(ours, "fresh"), None)
    assert aside == frozenset()
    wanted = [k for k in ours.tensors if k not in left(ours, "fresh").keys]
    assert [found.tensors[k] for k in wanted] == list(theirs.tensors)


def test_what_a_pattern_names_in_the_checkpoint_belongs_to_it() -> None:
    ours, theirs = table(THREE[:2]), table(THREE)
    out = LeftOut(skip=("c",))
    aside = beside(pair(ours, theirs), out, theirs)
    assert {theirs.tensors[key].name for key in aside} == {"c/kernel", "c/bias"}
    assert beside(pair(ours, theirs), LeftOut(skip=("d",)), theirs) == frozenset()


def test_steps_that_a_format_gives_are_a_pairing_of_layers() -> None:
    ours, theirs = table(THREE[:1]), table(THREE[:1])
    steps = [Step(key, (key,)) for key in ours.tensors]
    assert by_steps(steps, ours, theirs).layers == {"layers/dense": "layers/dense"}


def test_a_model_inside_the_stored_one_leaves_the_rest_to_nobody() -> None:
    """A backbone out of the file of a classifier."""
    inside = table(THREE[:2])
    prefix = "layers/functional"
    head = table(THREE[2:]).tensors.values()
    stored = Table.of(
        replace(r, key=f"{start}{r.key}", layer=f"{start}{r.layer}")
        for start, records in ((f"{prefix}/", inside.tensors.values()), ("", head))
        for r in records
    )
    steps = [Step(key, (f"{prefix}/{key}",)) for key in inside.tensors]
    found = outside(by_steps(steps, inside, stored), stored)
    assert found == {key for key in stored.tensors if not key.startswith(prefix)}
