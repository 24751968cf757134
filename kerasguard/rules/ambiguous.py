"""Several stored layers fit an expected one, and nothing decides between them.

What it looks like: two same-shaped, auto-named layers of one class in a graph that changed.

Why it happens: `dense_3` and `dense_4` are names that Keras made up; after a layer was inserted or
removed, neither position nor name says which is which, and there is no manifest with the graph.

Source: keras/src/saving/saving_lib.py, `_save_container_state`; keras issue 4875.

When the repair is exact: never. `renames={...}` settles it; `repair="guess"` takes the order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kerasguard.errors import listed
from kerasguard.identity.units import Unit, units
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Safety, Step

CODES = {"KG105": "several stored layers fit, and nothing decides between them"}


def ambiguous(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per expected layer in doubt, with the candidates and what settles it."""
    pairing = draft.pairing
    written = units(draft.stored)  # as stored: renames= has changed the names of the pairing's
    taken: set[str] = set()
    for e, doubt in pairing.doubts.items():
        ours = pairing.expected[e]
        names = listed([_handle(written, s) for s in doubt.candidates])
        likely = next((s for s in doubt.candidates if s not in taken), None)
        steps: tuple[Step, ...] = ()
        if likely is not None:
            taken.add(likely)
            theirs = list(pairing.stored[likely].members.values())
            mine = list(ours.members.values())
            if [r.spec.shape for r in mine] == [r.spec.shape for r in theirs]:
                steps = tuple(Step(a.key, (b.key,)) for a, b in zip(mine, theirs, strict=True))
        old = _handle(written, doubt.candidates[0])
        example = f'renames={{"{old}": "{_handle(pairing.expected, e)}"}}'
        yield Finding(
            "KG105",
            e,
            f"{ours.label}: cannot tell which stored layer it is ({names}): {doubt.reason}; "
            f"{example} decides it",
            Severity.ERROR,
            steps,
            Safety.GUESS,
        )


def _handle(units: Mapping[str, Unit], key: str) -> str:
    """The name of a layer where no other layer has it, else its key."""
    name = units[key].name
    alone = sum(unit.name == name for unit in units.values()) == 1
    return name if name and alone else key
