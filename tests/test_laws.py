"""The laws that docstrings state, as properties."""

from __future__ import annotations

import json

import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from kerasguard.errors import ManifestError
from kerasguard.manifest import Manifest
from kerasguard.planning.operations import Concat, Op, Step, op_from_dict, op_to_dict, spec_of
from kerasguard.tensors.elements import digest, dtype_name, numpy_dtype
from kerasguard.tensors.records import _ITEMSIZES, TensorSpec


@pytest.mark.parametrize("dtype", _ITEMSIZES)
def test_a_spec_knows_the_size_that_numpy_gives_an_element(dtype: str) -> None:
    assert TensorSpec((), dtype).itemsize == numpy_dtype(dtype).itemsize


@given(strategies.manifests)
def test_a_manifest_survives_its_dict(m: Manifest) -> None:
    assert Manifest.from_dict(m.to_dict()) == m


@given(strategies.manifests)
def test_a_manifest_survives_its_json_and_equal_content_gives_equal_bytes(m: Manifest) -> None:
    text = m.to_json()
    again = Manifest.from_json(text)
    assert again == m
    assert again.to_json() == text
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@given(strategies.manifests, st.data())
def test_a_cut_manifest_is_refused(m: Manifest, data: st.DataObject) -> None:
    text = m.to_json().rstrip()
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(ManifestError):
        Manifest.from_json(cut)


@given(strategies.specs, st.data())
def test_what_an_operation_infers_is_what_it_produces(
    spec: TensorSpec, data: st.DataObject
) -> None:
    op: Op = data.draw(strategies.ops_for(spec))
    array = np.zeros(spec.shape, numpy_dtype(spec.dtype))
    assert spec_of(op.apply(array)) == op.infer(spec)


@given(strategies.specs, st.data())
def test_an_operation_and_a_step_survive_their_dicts(spec: TensorSpec, data: st.DataObject) -> None:
    ops = tuple(data.draw(st.lists(strategies.ops_for(spec), max_size=3)))
    for op in ops:
        assert op_from_dict(json.loads(json.dumps(op_to_dict(op)))) == op
    join = data.draw(st.none() | st.just(Concat(0)))
    step = Step("t", ("a", "b") if join else ("a",), ops, join)
    assert Step.from_dict(json.loads(json.dumps(step.to_dict()))) == step


@given(strategies.specs)
def test_a_dtype_survives_its_name(spec: TensorSpec) -> None:
    assert dtype_name(numpy_dtype(spec.dtype)) == spec.dtype
    assert np.zeros(spec.shape, numpy_dtype(spec.dtype)).nbytes == spec.nbytes


@given(st.lists(st.floats(width=32), min_size=1, max_size=8))
def test_a_digest_depends_on_the_bytes_alone(values: list[float]) -> None:
    array = np.array(values, "<f4")
    assert digest(array) == digest(array.astype(">f4")) == digest(array.reshape(1, -1))
    other = array.copy()
    other.view(np.uint8)[0] ^= 1
    assert digest(other) != digest(array)
