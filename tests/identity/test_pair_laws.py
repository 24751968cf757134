"""What holds of every pairing, whatever the tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tables import Layer, table

from kerasguard.identity.pair import pair
from kerasguard.loader.diagnose import diagnose
from kerasguard.tensors import Table

names = st.sampled_from(["a", "b", "v2_a", "a_old", "c", "", "", ""])
shapes = st.sampled_from([(4, 4), (4, 4), (4, 2), (2, 4)])


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """A model of up to eight layers of two classes, in a row or side by side."""
    layers: list[Layer] = []
    row = draw(st.booleans())
    for number in range(draw(st.integers(0, 8))):
        cls = draw(st.sampled_from(["Dense", "Other"]))
        name = draw(names)
        if not name or any(name == layer.name for layer in layers):
            name = f"{cls.lower()}_{number + draw(st.integers(0, 2)) * 10}"
        config = draw(st.sampled_from(["", "relu", "tanh"]))
        layers.append(Layer(name, draw(shapes), cls, config, None if row else ()))
    known = draw(st.booleans())
    return table(layers, graph=known, names=known, classes=known)


def shuffled(of: Table, data: st.DataObject) -> Table:
    """The table with its layers' entries in another order; a layer's tensors stay together."""
    owners = data.draw(st.permutations(list(of.layers)))
    members = of.members()
    records = [record for owner in owners for record in members.get(owner, ())]
    layers = {key: of.layers[key] for key in data.draw(st.permutations(list(of.layers)))}
    return replace(of, tensors={r.key: r for r in records}, layers=layers)


@settings(max_examples=60, deadline=None)
@given(tables(), tables())
def test_a_stored_tensor_goes_to_one_expected_tensor_at_most(a: Table, b: Table) -> None:
    pairing = pair(a, b)
    for pairs in (pairing.layers, pairing.tensors):
        assert all(count == 1 for count in Counter(pairs.values()).values())
    assert set(pairing.layers) == set(pairing.evidence)
    assert not set(pairing.layers) & set(pairing.doubts)
    plan = diagnose(a, b)
    assert all(count == 1 for count in Counter(s.sources for s in plan.steps).values())
    named = {f.key for f in plan.unresolved}
    missing = {key for key in a.tensors if key not in {s.target for s in plan.steps}}
    assert all(key in named or a.tensors[key].layer in named for key in missing)


@settings(max_examples=40, deadline=None)
@given(tables(), tables(), st.data())
def test_the_order_of_entries_decides_nothing(a: Table, b: Table, data: st.DataObject) -> None:
    found = pair(a, b)
    other = pair(shuffled(a, data), shuffled(b, data))
    assert dict(other.layers) == dict(found.layers)
    assert dict(other.tensors) == dict(found.tensors)
    assert dict(other.evidence) == dict(found.evidence)
    assert set(other.doubts) == set(found.doubts)


@settings(max_examples=40, deadline=None)
@given(tables())
def test_a_table_is_paired_with_itself_by_address(of: Table) -> None:
    pairing = pair(of, of)
    assert pairing.addressed
    assert dict(pairing.layers) == {key: key for key in of.layers}
    assert diagnose(of, of).findings == ()
