"""Optimizer state that is stored but cannot be restored, or is expected but not stored.

What it looks like: training resumes with fresh moments; the loss jumps.

Why it happens: another optimizer class, another number of slots (AMSGrad switched on, Keras 2's
nine Adam variables against Keras 3's ten), layers that moved while the slots do not name their
weights, or different trainable layers than when the checkpoint was saved.

Source: keras/src/optimizers/base_optimizer.py, `load_own_variables` compares counts only.

When the repair is exact: slots are paired by optimizer, name and weight; either all slots of a
weight are restored or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kerasguard.errors import listed
from kerasguard.identity.optimizer_state import optimizer_groups
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import TensorRecord

# What layers train, unless somebody froze it; statistics never train.
_TRAINED = frozenset({"bias", "beta", "embeddings", "gamma", "kernel", "recurrent_kernel"})
_COMPILED = "optimizer"
# Files hold an optimizer that Keras tracks, and those of Keras 1 and 2 the compiled one alone.
_NOT_STORED = "nothing of its state is in the checkpoint; training starts with fresh state"
CODES = {"KG108": "optimizer state is not restored"}


def optimizer(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per optimizer whose state is left out, as a whole or in part."""
    ours, theirs = optimizer_groups(draft.expected), optimizer_groups(draft.stored)
    recorded = _recorded(draft)
    for path, mine in ours.items():
        reason = draft.optimizers.reasons.get(path, "")
        slots = [r for r in mine if r.slot_of]
        within = any(path.startswith(f"{outer}/") and outer != path for outer in ours)
        if not reason and slots and not _stored_for(draft, mine):
            if within:  # its tensors are the outer one's, too
                continue
            reason = "the checkpoint holds none"
        if reason:
            yield Finding(
                "KG108",
                path,
                f"{path}: its state is not restored: {reason}; training starts with fresh state",
                Severity.WARNING,
            )
        elif not (slots or within or path in (_COMPILED, *recorded) or _stored_for(draft, mine)):
            yield Finding("KG108", path, f"{path}: {_NOT_STORED}", Severity.INFO)
        else:
            yield from _in_part(draft, path, [r for r in slots if r.key not in draft.steps])
            if path == _COMPILED and slots:
                yield from _by_position(draft, theirs.get(path, ()))
    yield from _unstored(recorded if ours else (), theirs)
    for path, other in theirs.items():
        yield from _unread(draft, path, other, ours)


def _unstored(recorded: Sequence[str], theirs: Mapping[str, object]) -> Iterator[Finding]:
    """Optimizers that were there when it was saved, in a format that keeps the compiled one's."""
    for path in recorded:
        if path not in theirs:
            yield Finding(
                "KG108",
                path,
                f"{path}: its state is not in the checkpoint, whose format holds only the "
                "compiled optimizer's state; save as .keras or .weights.h5 to keep it",
                Severity.WARNING,
            )


def _recorded(draft: Draft) -> list[str]:
    """Paths of the optimizers beside the compiled one that the manifest tells of."""
    recorded = draft.manifest.optimizer.get("others", ()) if draft.manifest else ()
    return [str(one["path"]) for one in recorded]


def _by_position(draft: Draft, other: Sequence[TensorRecord]) -> Iterator[Finding]:
    """Unnamed slots of a model of which a part is frozen, where nothing says what was then."""
    if draft.manifest or any(r.slot_of for r in other) or not any(r.spec.shape for r in other):
        return
    trains: dict[str, bool] = {}
    for record in draft.expected.tensors.values():
        if record.role == "weight" and record.variable in _TRAINED:
            trains[record.layer] = trains.get(record.layer, False) or bool(record.trainable)
    frozen = [layer for layer, any_trains in trains.items() if not any_trains]
    told = any(r.trainable is False for r in draft.stored.tensors.values())
    if frozen and not told:
        yield Finding(
            "KG108",
            "optimizer",
            "optimizer: its slots are restored in order: the file does not say which layers were "
            f"frozen, and the model's are {listed(frozen, 3)}; freeze the same ones as when it "
            "was saved",
            Severity.INFO,
        )


def _stored_for(draft: Draft, mine: Sequence[TensorRecord]) -> bool:
    """Whether the checkpoint has anything of this optimizer."""
    return any(r.key in draft.steps for r in mine)


def _in_part(draft: Draft, path: str, fresh: Sequence[TensorRecord]) -> Iterator[Finding]:
    """What starts fresh beside state that is restored."""
    resized = [r for r in fresh if r.key in draft.optimizers.resized]
    rest = [r for r in fresh if r.key not in draft.optimizers.resized]
    if resized:
        yield _partly(path, resized, "their variables had a different shape when it was saved")
    if rest and (_has_slots(draft, path) or _was_applied(draft, path)):
        yield _partly(path, rest, "their variables had no slots when the checkpoint was saved")


def _partly(path: str, records: Sequence[TensorRecord], why: str) -> Finding:
    names = listed([record.label for record in records], 5)
    message = f"{path}: {len(records)} of its tensors start fresh ({names}); {why}"
    return Finding("KG108", path, message, Severity.WARNING)


def _has_slots(draft: Draft, path: str) -> bool:
    """Whether any state of a weight is restored: else it was saved before it was built."""
    return any(
        draft.expected.tensors[key].slot_of
        for key in draft.steps
        if key in draft.expected.tensors and draft.expected.tensors[key].layer == path
    )


def _was_applied(draft: Draft, path: str) -> bool:
    """Whether a manifest tells that the optimizer had made steps."""
    told = draft.manifest.optimizer if draft.manifest and path == "optimizer" else {}
    return bool(told.get("iterations"))


def _unread(
    draft: Draft,
    path: str,
    other: Sequence[TensorRecord],
    ours: dict[str, list[TensorRecord]],
) -> Iterator[Finding]:
    """Stored state that nobody reads, but for the rate, which may follow a schedule now."""
    used = draft.used()
    left = [r for r in other if r.key not in used and "learning_rate" not in (r.slot, r.variable)]
    if not left or any(key in draft.optimizers.reasons for key in (path, *_takers(draft, other))):
        return
    if path not in ours and len(left) == len(other):
        yield Finding(
            "KG108",
            path,
            f"{path}: {len(left)} stored tensors are not restored: the model has no such optimizer "
            "(load with compile=True, or compile the model first)",
            Severity.INFO,
        )
    elif any(r.slot_of for r in left):
        names = listed([r.label for r in left], 5)
        yield Finding(
            "KG108",
            path,
            f"{path}: {len(left)} stored tensors are not restored, because the model's optimizer "
            f"has no slots for the variables they belong to ({names})",
            Severity.INFO,
        )


def _takers(draft: Draft, other: Sequence[TensorRecord]) -> set[str]:
    """The model's optimizers that get some of this state."""
    keys = {record.key for record in other}
    taken = (t for t, s in draft.steps.items() if not keys.isdisjoint(s.sources))
    found = (draft.expected.tensors[t] for t in taken if t in draft.expected.tensors)
    return {record.layer for record in found if record.role == "optimizer"}
