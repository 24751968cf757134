"""A whole legacy file into a model: which layer is which, and every tensor's steps.

What it looks like: the layers are there, but a layer's tensors fit its variables in no known
layout, in two of them, in several orders, or the file's order and its names disagree.

Why it happens: Keras 1 and 2 wrote weights in the order in which they were made, trainable ones
first, with axes and gates as the backend liked them; freezing or nesting layers changes the order.

Source: tf.keras 2.15, `hdf5_format.preprocess_weights_for_loading`; keras issues 10777, 12865.

When the repair is exact: names and shapes leave one layout for every tensor; else it is a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kerasguard.identity.renames import asked, renamed
from kerasguard.layouts.defaults import changed_defaults
from kerasguard.layouts.layer import Ways, layer_ways
from kerasguard.layouts.origin import Ordering, Origin, layer_configs
from kerasguard.layouts.pairing import Group, Pairs, model_groups, pairings, stored_groups
from kerasguard.layouts.shared import once, unshared
from kerasguard.planning.findings import Finding, Severity
from kerasguard.planning.operations import Safety, Step
from kerasguard.tensors import Table

__all__ = ["CODES", "EXPLANATIONS", "restore_table"]

CODES = {
    "KG204": "a legacy layer's tensors have no layout that fits the model's layer",
    "KG205": "a legacy file's kernels fit the model in two ways",
    "KG109": "a legacy file's order and its names contradict each other",
}

EXPLANATIONS = {
    "KG204": """\
What it looks like: the file has the layer, and its tensors fit none of the layouts in
which a version of Keras wrote a layer of this class: another number of tensors, or other sizes.

Why it happens: the layer has different arguments than when it was saved (units, kernel size, bias),
is of another class, or a library other than Keras wrote the file.

Source: tf.keras 2.15, `hdf5_format.preprocess_weights_for_loading`.

When the repair is exact: there is none. Build the layer as it was saved, or load into a model that
the file's own architecture describes: `kerasguard.load(path)`.""",
    "KG205": """\
What it looks like: a layer's kernels fit in two ways and the values differ, for example
a square recurrent kernel whose gates may be in either of two orders, or a kernel of equal axes that
Theano turned by 180 degrees and TensorFlow did not.

Why it happens: the file does not say which backend or which version of Keras wrote it, and shapes
alone do not say the layouts apart.

Source: Keras 1.2 `utils/np_utils.py`, `convert_kernel`; keras issue 9112.

When the repair is exact: never; `repair="guess"` takes the likelier layout and says which.""",
    "KG109": """\
What it looks like: by order, the file's layers go to other layers of the model than by
name, and both ways fit.

Why it happens: Keras 1 and 2 wrote layers in the order in which they were made and the weights of
each with the trainable ones first; freezing, nesting or reordering layers changes that order, while
names such as `dense_1` change from process to process.

Source: keras issues 10777 and 12865.

When the repair is exact: where user-given names decide every layer; else say which is which
by `renames={"stored": "expected"}`.""",
}


def restore_table(
    stored: Table,
    expected: Table,
    architecture: Mapping[str, Any] | None,
    writer: Mapping[str, str],
    renames: Mapping[str, str] | None = None,
    listed: Mapping[str, Sequence[str]] | None = None,
) -> list[Step | Finding]:
    """Pair a whole legacy file with a model.

    Args:
        stored: the file's table.
        expected: the model's table.
        architecture: the config that the file holds, as stored, if the model was built from it:
            then layer names are its own and the frozen layers are known. Else None.
        writer: what the file tells of its writer.
        renames: patterns of the file's names to the model's, as the caller says.
        listed: by layer of the model, the weights that it lists in its order, shared ones included.

    Raises:
        ArgumentError: an entry of `renames` matches no layer, on either side.

    Returns:
        A step per weight that is settled, and a finding per layer that is not. Weights that
        appear in neither have no counterpart in the file. Without `architecture`, a warning
        tells which layers computed something else by default when the file was written.
    """
    wishes = _wishes(stored, expected, renames) if renames else {}
    files = stored_groups(renamed(stored, renames) if renames else stored)
    wanted = sum(r.role == "weight" for r in expected.tensors.values())
    configs = {
        c.get("name"): {"class_name": cls, "config": c} for cls, c in layer_configs(architecture)
    }
    told = architecture is not None
    best: tuple[int, list[Step | Finding]] | None = None
    own = told and not _nameless(architecture)
    for pairs, certain in pairings(files, expected, own=own, asked=wishes, listed=listed):
        if any(wishes.get(o.record.key, t.record.key) != t.record.key for t, o in pairs):
            continue
        results = []
        for theirs, ours in pairs:
            origin = Origin.of(writer, configs.get(theirs.name, architecture))
            ways, sure = layer_ways(
                ours.leaves, theirs.tensors, origin, told=told, ordered=ours.ordered
            )
            results.append((ways, sure))
        filled = (o.tensors for (_, o), (ways, _) in zip(pairs, results, strict=True) if ways)
        reached = len({record.key for tensors in filled for record in tensors})
        if best is None or reached > best[0]:
            best = reached, _settled(pairs, results, writer, certain=certain)
        if reached == wanted:
            break
    settled = once(best[1], stored) if best else []
    if told:
        settled += unshared(settled, stored)
    else:
        settled += changed_defaults(expected, writer)
    return settled


def _nameless(architecture: Mapping[str, Any] | None) -> bool:
    """Whether the config of a layer has no name, so that the layer was given a new one.

    Keras 3 asks `get_config` alone, and that of a class whose options it cannot tell is empty.
    """
    config = (architecture or {}).get("config")
    entries = config.get("layers") if isinstance(config, Mapping) else None
    configs = (e.get("config") for e in entries or () if isinstance(e, Mapping))
    return any(isinstance(c, Mapping) and not c.get("name") for c in configs)


def _wishes(stored: Table, expected: Table, renames: Mapping[str, str]) -> dict[str, str]:
    """Pairs of layers, or of models inside the model, that the caller asks for."""
    ours = (*model_groups(expected, flat=True), *model_groups(expected))
    mine = {group.record.key: group.record.name for group in ours}
    theirs = {group.record.key: group.record.name for group in stored_groups(stored)}
    return asked(mine, theirs, renames)


def _settled(
    pairs: Pairs,
    results: Sequence[tuple[Ways, bool]],
    writer: Mapping[str, str],
    *,
    certain: bool,
) -> list[Step | Finding]:
    """One reading of all kernels, and what remains open."""
    ordering, both = _common(ways for ways, _ in results)
    if both and writer.get("backend") != "theano":
        ordering = "tf"
    settled: list[Step | Finding] = []
    for (theirs, ours), (ways, sure) in zip(pairs, results, strict=True):
        steps = ways.get(ordering) or next(iter(ways.values()), ())
        if not steps:
            settled += _misfit(theirs, ours)
        elif sure and certain:
            settled += steps
        else:
            settled.append(_ambiguous(theirs, ours, steps, inside=not sure))
    if both:
        settled.append(_two_orderings(ordering))
    return settled


def _common(results: Iterable[Ways]) -> tuple[Ordering, bool]:
    """The Keras 1 ordering that all kernels allow, and whether they allow both."""
    choices = [set(ways) for ways in results if ways and "" not in ways]
    allowed = set.intersection(*choices) if choices else set()
    return ("th" if "th" in allowed else "tf"), len(allowed) > 1


def _misfit(theirs: Group, ours: Group) -> list[Step | Finding]:
    """Plain steps where the counts agree, so that the rules name each tensor; else a finding."""
    have, want = theirs.tensors, [r for leaf in ours.leaves for r in leaf.expected]
    biases = {r.spec.shape for r in have if r.variable == "bias" and len(r.spec.shape) == 1}
    reset = any(r.spec.shape == (2, *b) for r in want if r.variable == "bias" for b in biases)
    if len(have) == len(want) and not reset:
        return [Step(e.key, (s.key,)) for s, e in zip(have, want, strict=True)]
    listed = ", ".join(f"{r.variable}{list(r.spec.shape)}" for r in have)
    wanted = ", ".join(f"{r.variable}{list(r.spec.shape)}" for r in want)
    remedy = "build the layer as it was when the file was written"
    if reset:
        remedy = f"the file's GRU has one bias per gate: build {ours.name} with reset_after=False"
    message = (
        f"{theirs.name}: the file holds {len(have)} tensors ({listed}), {ours.name} expects "
        f"{len(want)} ({wanted}); {remedy}"
    )
    return [Finding("KG204", ours.record.key, message)]


def _ambiguous(theirs: Group, ours: Group, steps: tuple[Step, ...], *, inside: bool) -> Finding:
    """A reading that fits and is not the only one."""
    if inside:
        message = (
            f"{theirs.name}: its {len(theirs.tensors)} tensors fit {ours.name} in several orders, "
            "and neither names nor the model show which of them was saved; give its layers the "
            "names that the file has"
        )
    else:
        message = (
            f"{theirs.name}: fits {ours.name} by its position in the file, but the names of other "
            "layers contradict that order, or the order of the model's layers is not known; give "
            "the layers the names that the file has"
        )
    return Finding("KG109", ours.record.key, message, Severity.ERROR, steps, Safety.GUESS)


def _two_orderings(ordering: Ordering) -> Finding:
    message = (
        "the file does not say whether its kernels have the outputs first (dim_ordering th) or "
        f"last (tf), and all of them fit both ways; read as {ordering}"
    )
    return Finding("KG205", "", message, Severity.WARNING)
