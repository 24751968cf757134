"""Hypothesis strategies for specs, records and manifests, awkward ones included."""

from __future__ import annotations

from hypothesis import strategies as st

from kerasguard.manifest import FileRecord, Manifest, MemberRecord
from kerasguard.planning.operations import Cast, Flip, Op, Pick, Reshape, Sum, Transpose
from kerasguard.tensors import Extent, LayerRecord, Table, TensorRecord, TensorSpec

DTYPES = ("float32", "float64", "float16", "bfloat16", "int32", "uint8", "bool")
names = st.text(st.characters(codec="utf-8"), max_size=12)
keys = st.one_of(
    st.sampled_from(["layers/dense/vars/0", "optimizer/vars/3", "../../etc", "a" * 300]),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
)
shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
specs = st.builds(TensorSpec, shapes, st.sampled_from(DTYPES))
extents = st.builds(Extent, names, st.integers(0, 2**60), st.integers(0, 2**60))
records = st.builds(
    TensorRecord,
    keys,
    specs,
    name=names,
    variable=names,
    layer=names,
    role=st.sampled_from(["weight", "optimizer", "metric", "seed", "state"]),
    trainable=st.none() | st.booleans(),
    digest=st.none() | names,
    nonfinite=st.none() | st.integers(0, 9),
    extent=st.none() | extents,
    slot=names,
    slot_of=names,
)
calls = st.lists(st.tuples(names, st.integers(0, 3), st.integers(0, 3)), max_size=2).map(tuple)
layers = st.builds(
    LayerRecord,
    keys,
    names,
    names,
    names,
    st.none() | st.lists(calls, max_size=2).map(tuple),
    st.integers(-1, 9),
    names,
)
tables = st.builds(
    lambda tensors, found, addressing: Table(
        {t.key: t for t in tensors}, {layer.key: layer for layer in found}, addressing
    ),
    st.lists(records, max_size=4),
    st.lists(layers, max_size=3),
    st.sampled_from(["key", "order", "name"]),
)
members = st.builds(MemberRecord, names, st.integers(0, 2**40), st.integers(0, 2**32 - 1))
files = st.builds(
    FileRecord, names, st.integers(0, 2**40), names, names, st.lists(members, max_size=2).map(tuple)
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | names,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
plain = st.dictionaries(names, json_values, max_size=2)
manifests = st.builds(
    Manifest,
    format=names,
    files=st.lists(files, max_size=2).map(tuple),
    table=tables,
    unwritten=st.lists(records, max_size=2).map(tuple),
    architecture=st.none() | plain,
    model=plain,
    optimizer=plain,
    versions=st.dictionaries(names, names, max_size=2),
    environment=plain,
    training=plain,
    checkpoint_id=names,
    previous_id=st.none() | names,
    probe=st.none() | plain,
)


def ops_for(spec: TensorSpec) -> st.SearchStrategy[Op]:
    """Operations that fit a spec."""
    rank = len(spec.shape)
    options: list[st.SearchStrategy[Op]] = [
        st.sampled_from([Cast("float32"), Cast("float16"), Cast("bfloat16"), Cast("int32")]),
        st.permutations(range(rank)).map(lambda axes: Transpose(tuple(axes))),
        st.just(Reshape((spec.size,))),
    ]
    if rank:
        axis = st.integers(0, rank - 1)
        options += [axis.map(lambda a: Flip((a,))), axis.map(Sum)]
    full = [a for a in range(rank) if spec.shape[a]]
    if full:
        options.append(
            st.sampled_from(full).flatmap(
                lambda a: st.lists(st.integers(0, spec.shape[a] - 1), max_size=4).map(
                    lambda indices: Pick(a, tuple(indices))
                )
            )
        )
    return st.one_of(options)
