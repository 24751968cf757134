"""How rules make a draft into a total plan."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tables import Layer, table

from kerasguard.identity.pairing import Pairing
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Safety, Step
from kerasguard.planning.plan import Policy, RepairPlan, fold

KERNEL, BIAS = "layers/dense/vars/0", "layers/dense/vars/1"


def draft() -> Draft:
    steps = {KERNEL: Step(KERNEL, (KERNEL,))}
    return Draft(table([Layer("a")]), table([Layer("a")]), None, Pairing(), steps)


def missing(made: Draft) -> Iterator[Finding]:
    """A rule with a repair that is a guess."""
    if BIAS not in made.steps:
        repair = (Step(BIAS, (BIAS,)),)
        yield Finding("KG101", BIAS, "bias: missing", Severity.ERROR, repair, Safety.GUESS)


@pytest.mark.parametrize(
    ("repair", "taken"), [("off", 0), ("exact", 0), ("lossy", 0), ("guess", 1)]
)
def test_a_repair_is_taken_as_far_as_the_caller_allows(repair: Policy, taken: int) -> None:
    plan = fold([missing], draft(), (), repair)
    assert (len(plan.applied), len(plan.unresolved)) == (taken, 1 - taken)
    assert plan.total == bool(taken)
    assert plan.unused == (() if taken else (BIAS,))


def test_later_rules_see_what_earlier_ones_repaired() -> None:
    plan = fold([missing, missing], draft(), (), "guess")
    assert len(plan.findings) == 1
    assert [step.target for step in plan.steps] == [KERNEL, BIAS]


def test_an_error_from_before_stays() -> None:
    error = Finding("KG304", "", "container: damaged")
    plan = fold([], draft(), (error,), "guess")
    assert plan.unresolved == (error,)


def test_a_plan_survives_json_and_says_what_is_unresolved() -> None:
    plan = fold([missing], draft(), (), "exact")
    assert RepairPlan.from_dict(plan.to_dict()) == plan
    assert "1 unresolved" in str(plan)


def test_a_finding_can_leave_a_tensor_as_it_is() -> None:
    finding = Finding("KG110", KERNEL, "kept", Severity.INFO)
    plan = fold([], draft(), (), "exact").with_finding(finding, leave=KERNEL)
    assert plan.steps == ()
    assert plan.findings == (finding,)
    assert KERNEL in plan.unused
