"""The tables and the steps so far."""

from __future__ import annotations

from tables import Layer, table

from kerasguard.identity.pairing import Pairing
from kerasguard.planning.draft import Draft
from kerasguard.planning.operations import Reshape, Step
from kerasguard.tensors import TensorSpec

KERNEL, BIAS = "layers/dense/vars/0", "layers/dense/vars/1"


def draft(*steps: Step) -> Draft:
    tables = table([Layer("a", (3, 4))]), table([Layer("a", (3, 4))])
    return Draft(*tables, None, Pairing(), {step.target: step for step in steps})


def test_a_step_says_what_its_target_would_get() -> None:
    made = draft(Step(KERNEL, (KERNEL,), (Reshape((4, 3)),)))
    assert made.after(KERNEL) == TensorSpec((4, 3), "float32")
    assert made.after(BIAS) is None


def test_what_some_step_reads_is_used() -> None:
    assert draft(Step(KERNEL, (BIAS,))).used() == {BIAS}


def test_new_steps_take_the_place_of_their_targets_steps() -> None:
    before = draft(Step(KERNEL, (KERNEL,)), Step(BIAS, (BIAS,)))
    after = before.with_steps([Step(KERNEL, (BIAS,))])
    assert after.steps == {KERNEL: Step(KERNEL, (BIAS,)), BIAS: Step(BIAS, (BIAS,))}
    assert before.steps[KERNEL] == Step(KERNEL, (KERNEL,))


def test_without_a_manifest_nothing_is_recorded() -> None:
    assert draft().recorded(KERNEL) is None
