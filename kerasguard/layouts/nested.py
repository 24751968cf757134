"""One layer of a legacy file with layers inside: which stored tensors belong to which of them.

A group of a legacy file holds the weights of a whole nested model or wrapper in one row: first all
that are trainable, then all that are not, each in layer order. So freezing an inner layer moves
its weights, and only the stored names, or the same row built from the model, tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kerasguard.layouts.leaf import Leaf
from kerasguard.layouts.names import matches_name, numbered, split_weight_name
from kerasguard.layouts.origin import Origin
from kerasguard.tensors import TensorRecord

__all__ = ["Split", "splits"]

Split = tuple[tuple[TensorRecord, ...], ...]
_BY_NATURE = ("moving_mean", "moving_variance", "mean", "variance", "vector_u")


def splits(
    leaves: Sequence[Leaf], stored: Sequence[TensorRecord], origin: Origin
) -> Iterator[tuple[Split, bool]]:
    """Ways to deal the stored tensors out to the leaves, most certain first; may repeat.

    Yields:
        The tensors of each leaf in order, and whether names decided.
    """
    if len(leaves) == 1:
        yield (tuple(stored),), True
        return
    groups: dict[tuple[str, ...], list[TensorRecord]] = {}
    for record in stored:
        groups.setdefault(scopes_of(record, origin), []).append(record)
    if len(groups) == len(leaves):
        scopes = list(groups)
        # Numbers are compared before they are overlooked: `dense_1` may be today's `dense`.
        by_name = _exact(leaves, scopes) or _by_rank(leaves, scopes) or _by_name(leaves, scopes)
        if by_name:
            yield tuple(tuple(groups[scope]) for scope in by_name), True
        for order in _orders(leaves):
            dealt = dict(zip(order, groups.values(), strict=True))
            yield tuple(tuple(dealt[i]) for i in range(len(leaves))), False
    for flags in _flags(leaves):
        row = _row(leaves, flags)
        if len(row) == len(stored):
            hands: list[list[TensorRecord]] = [[] for _ in leaves]
            for i, record in zip(row, stored, strict=True):
                hands[i].append(record)
            yield tuple(tuple(hand) for hand in hands), False


def scopes_of(record: TensorRecord, origin: Origin) -> tuple[str, ...]:
    """The scopes of a stored tensor's name, behind the name of its group."""
    weight_name = record.name.removeprefix(f"{record.layer.rsplit('/', 1)[-1]}/")
    return split_weight_name(weight_name, origin.major < 2)[0]


def _exact(
    leaves: Sequence[Leaf], scopes: Sequence[tuple[str, ...]]
) -> list[tuple[str, ...]] | None:
    """The scope of each leaf, where both sides have the same names."""
    ours = _telling([leaf.scopes for leaf in leaves])
    theirs = {parts[-1]: s for s, parts in zip(scopes, _telling(scopes), strict=True) if parts}
    same = len(theirs) == len(leaves) and {o[-1] for o in ours if o} == set(theirs)
    return [theirs[o[-1]] for o in ours] if same else None


def _by_name(
    leaves: Sequence[Leaf], scopes: Sequence[tuple[str, ...]]
) -> list[tuple[str, ...]] | None:
    """The scope of each leaf, where names leave exactly one way."""
    ours = _telling([leaf.scopes for leaf in leaves])
    theirs = dict(zip(scopes, _telling(scopes), strict=True))
    open_ = {
        i: {s for s, parts in theirs.items() if _alike(parts, names)}
        for i, names in enumerate(ours)
    }
    found: dict[int, tuple[str, ...]] = {}
    while open_:
        sure = [i for i, candidates in open_.items() if len(candidates) == 1]
        if not sure:
            return None
        found[sure[0]] = scope = open_.pop(sure[0]).pop()
        for candidates in open_.values():
            candidates.discard(scope)
    return [found[i] for i in range(len(leaves))]


def _by_rank(
    leaves: Sequence[Leaf], scopes: Sequence[tuple[str, ...]]
) -> list[tuple[str, ...]] | None:
    """The scope of each leaf by class and number: Keras counts layers of a class as it makes them.

    The numbers drift (`dense_3` in one process, `dense` in another), their order does not. Whole
    paths are compared first, then last parts alone: which scopes stand in front varies.
    """
    for ranks in (_path_ranks, _own_ranks):
        ours, theirs = ranks([leaf.scopes for leaf in leaves]), ranks(scopes)
        if set(ours) == set(theirs) and len(set(ours)) == len(ours):
            found = dict(zip(theirs, scopes, strict=True))
            return [found[rank] for rank in ours]
    return None


_Rank = tuple[tuple[str, ...], int]


def _path_ranks(paths: Sequence[tuple[str, ...]]) -> list[_Rank]:
    """What tells each path from the others but numbers, and its place among the then equal."""
    split = [[numbered(part) for part in path] for path in paths]
    stems = _telling([tuple(stem for stem, _ in parts) for parts in split])
    return _ranked(stems, [tuple(number for _, number in parts) for parts in split])


def _own_ranks(paths: Sequence[tuple[str, ...]]) -> list[_Rank]:
    """Each path's last part without its number, and its place among the equal ones.

    Numbers of the parts in front decide only between last parts that are the same.
    """
    split = [[numbered(part) for part in reversed(path)] for path in paths]
    stems = [(parts[0][0] if parts else "",) for parts in split]
    return _ranked(stems, [tuple(number for _, number in parts) for parts in split])


def _ranked(stems: Sequence[tuple[str, ...]], numbers: Sequence[tuple[int, ...]]) -> list[_Rank]:
    pairs = list(zip(stems, numbers, strict=True))
    return [(stem, sum(s == stem and n < own for s, n in pairs)) for stem, own in pairs]


def _telling(paths: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Each path without the parts that all paths have in common."""
    shared = set(paths[0]).intersection(*map(set, paths))
    return [tuple(part for part in path if part not in shared) for path in paths]


def _alike(scope: tuple[str, ...], names: tuple[str, ...]) -> bool:
    return any(matches_name(part, name) for part in scope for name in names)


def _flags(leaves: Sequence[Leaf]) -> list[list[list[bool]]]:
    """Whether each variable was trainable: as the model says, by nature, or frozen throughout."""
    told = [
        [r.trainable if r.trainable is not None else _natural(r) for r in leaf.expected]
        for leaf in leaves
    ]
    natural = [[_natural(r) for r in leaf.expected] for leaf in leaves]
    frozen = [[False] * len(leaf.expected) for leaf in leaves]
    return [told, natural, frozen]


def _natural(record: TensorRecord) -> bool:
    return record.variable not in _BY_NATURE


def _row(leaves: Sequence[Leaf], flags: Sequence[Sequence[bool]]) -> list[int]:
    """The leaf of each tensor in the row: the trainable ones, then the others."""
    return [
        i
        for wanted in (True, False)
        for i in range(len(leaves))
        for flag in flags[i]
        if flag is wanted
    ]


def _orders(leaves: Sequence[Leaf]) -> list[list[int]]:
    """Orders in which the leaves first appear in the row, under each assumption on freezing."""
    return [list(dict.fromkeys(_row(leaves, flags))) for flags in _flags(leaves)]
