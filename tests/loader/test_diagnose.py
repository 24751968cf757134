"""The fold over the rules: every kind of damage is named, and the plan is total or refused."""

from __future__ import annotations

import json
from dataclasses import replace

import faults
import pytest
from faults import FAULTS, Case

from kerasguard.loader.diagnose import diagnose
from kerasguard.planning.cast_loss import Loss
from kerasguard.planning.findings import Severity
from kerasguard.planning.operations import Cast, Step, Transpose
from kerasguard.planning.plan import Policy, RepairPlan
from kerasguard.rules import all_rules


def plan(case: Case, repair: Policy = "exact") -> RepairPlan:
    return diagnose(case.expected, case.stored, case.manifest, repair=repair, **case.options)


def assert_total(found: RepairPlan, case: Case) -> None:
    """Each expected weight has exactly one step of the expected spec, or an unresolved finding."""
    targets = [step.target for step in found.steps]
    assert len(set(targets)) == len(targets)
    if found.unresolved:
        return
    for key, record in case.expected.tensors.items():
        if record.role == "weight":
            step = next(s for s in found.steps if s.target == key)
            specs = [case.stored.tensors[s].spec for s in step.sources]
            assert step.infer(specs) == record.spec


def test_an_intact_checkpoint_gives_a_total_plan_and_no_finding() -> None:
    case = faults.intact()
    found = plan(case)
    assert found.findings == ()
    assert found.unused == ()
    assert {s.target for s in found.steps} == set(case.expected.tensors)


@pytest.mark.parametrize("code", FAULTS)
def test_every_kind_of_damage_is_named_by_its_code(code: str) -> None:
    case = FAULTS[code](faults.intact())
    found = plan(case)
    assert code in {f.code for f in found.findings}
    assert_total(found, case)


@pytest.mark.parametrize("code", FAULTS)
@pytest.mark.parametrize("repair", ["off", "exact", "lossy", "guess"])
def test_a_plan_is_total_or_says_what_is_unresolved(code: str, repair: Policy) -> None:
    case = FAULTS[code](faults.intact())
    found = plan(case, repair)
    assert_total(found, case)
    for finding in found.findings:
        settled = finding in found.applied or finding.severity is not Severity.ERROR
        assert settled != (finding in found.unresolved)


@pytest.mark.parametrize("code", FAULTS)
def test_plans_survive_json(code: str) -> None:
    found = plan(FAULTS[code](faults.intact()), "guess")
    assert RepairPlan.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_every_rule_has_a_fault_and_every_code_a_rule() -> None:
    modules = {rule.__module__ for rule in all_rules()}
    import importlib

    codes = {code for name in modules for code in importlib.import_module(name).CODES}
    assert codes == set(FAULTS)


def test_moved_layers_take_their_optimizer_state_along() -> None:
    case = faults.moved(faults.intact())
    found = plan(case)
    assert not found.unresolved
    source = {s.target: s.sources[0] for s in found.steps}
    assert source["layers/dense/vars/0"] == "layers/dense_1/vars/0"
    assert source["optimizer/vars/0"] == "optimizer/vars/2"
    assert not found.optimizer_reason


def test_layers_of_a_dict_take_their_optimizer_state_along() -> None:
    found = plan(faults.attributes(faults.intact()))
    assert not found.unresolved
    source = {s.target: s.sources[0] for s in found.steps}
    assert source["layers/dense/vars/0"] == "layers/dense_1/vars/0"
    assert source["layers/dense_1/vars/1"] == "layers/dense/vars/1"
    assert source["optimizer/vars/0"] == "optimizer/vars/2"
    assert {f.code for f in found.applied} == {"KG113"}


def test_moved_layers_are_refused_when_repairs_are_off() -> None:
    found = plan(faults.moved(faults.intact()), "off")
    assert {f.code for f in found.unresolved} >= {"KG104"}


def test_a_weight_without_stored_state_starts_fresh_and_is_named() -> None:
    found = plan(faults.optimizer(faults.intact()))
    slots = [k for k in faults.intact().expected.tensors if k.startswith("optimizer/")]
    restored = {s.target for s in found.steps if s.target.startswith("optimizer/")}
    assert restored == set(slots) - {"optimizer/vars/5"}
    (told,) = [f for f in found.findings if f.code == "KG108"]
    assert "optimizer/momentum/head/bias" in told.message
    assert not found.unresolved


def test_a_transpose_is_only_ever_a_guess() -> None:
    case = faults.transposed(faults.intact())
    assert {f.code for f in plan(case, "lossy").unresolved} == {"KG201"}
    found = plan(case, "guess")
    assert found.total
    assert (
        Step("layers/dense_2/vars/0", ("layers/dense_2/vars/0",), (Transpose((1, 0)),))
        in found.steps
    )


def test_a_cast_that_loses_nothing_is_exact_and_one_that_rounds_is_lossy() -> None:
    case = faults.dtype(faults.intact())
    harmless = replace(case, options={"loss": lambda step, to: Loss(0.0, 1.0, 0, 0)})
    found = plan(harmless)
    assert found.total
    assert any(s.ops == (Cast("float32"),) for s in found.steps)
    rounding = replace(case, options={"loss": lambda step, to: Loss(1e-9, 1.0, 0, 3)})
    refused = plan(rounding)
    assert [f.code for f in refused.unresolved] == ["KG202"]
    assert "1e-09" in str(refused.unresolved[0])
    assert "3 become zero" in str(refused.unresolved[0])
    assert plan(rounding, "lossy").total


def test_widening_needs_no_look_at_the_values() -> None:
    case = faults.intact()
    spec = replace(case.stored.tensors[faults.KERNEL].spec, dtype="bfloat16")
    case = replace(case, stored=faults.change(case.stored, faults.KERNEL, spec=spec), manifest=None)
    assert plan(case).total


def test_a_seed_of_another_dtype_is_taken_over_without_being_asked() -> None:
    case = faults.intact()
    narrow = replace(case.stored.tensors[faults.KERNEL].spec, dtype="float16")
    stored = faults.change(case.stored, faults.KERNEL, spec=narrow, role="seed")
    expected = faults.change(case.expected, faults.KERNEL, role="seed")
    found = plan(replace(case, stored=stored, expected=expected, manifest=None), "off")
    assert found.total
    (told,) = found.findings
    assert (told.code, told.severity) == ("KG202", Severity.INFO)
    assert next(s for s in found.steps if s.target == faults.KERNEL).ops == (Cast("float32"),)


def test_a_guess_takes_candidates_in_order_and_never_one_twice() -> None:
    found = plan(faults.ambiguous(faults.intact()), "guess")
    assert found.total
    sources = [s.sources[0] for s in found.steps]
    assert sources == [f"layers/{d}/vars/{i}" for d in ("dense", "dense_1") for i in (0, 1)]
    assert all("renames=" in str(f) for f in found.applied)


def test_the_plan_prints_every_finding_with_its_state() -> None:
    text = str(plan(faults.moved(faults.intact())))
    assert "repaired: KG104 body: stored as body under layers/dense_1" in text
