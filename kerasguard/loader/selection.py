"""What of a model a caller wants loaded: `skip=` and `only=`, patterns over the model's paths."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kerasguard.errors import ArgumentError
from kerasguard.identity.globs import covers, near
from kerasguard.loader.prepared import Prepared
from kerasguard.loader.request import Request
from kerasguard.tensors import TensorRecord

__all__ = ["Selection", "select"]

_SHOWN = 6


@dataclass(frozen=True)
class Selection:
    """What keeps its values.

    Args:
        left: keys of the model's tensors that get none, optimizer slots included.
        layers: paths of the model's layers that get no assets.
        names: paths of the variables among them that are nobody's slots, for the report.
        only: whether the caller said what is wanted, and not just what is not.
    """

    left: frozenset[str] = frozenset()
    layers: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    only: bool = False

    def assets(self, found: Mapping[str, bytes], target: Any) -> dict[str, bytes]:
        """The checkpoint's files, by path, of layers that are loaded."""
        if not self.left and not self.layers:
            return dict(found)
        wanted = {visit.path for visit in target.visits} - self.layers
        return {path: data for path, data in found.items() if path.rpartition("/")[0] in wanted}


def select(prepared: Prepared, request: Request) -> Selection:
    """What the caller leaves out.

    A pattern is looked for among the paths that messages show (`encoder/hidden/kernel`); one that
    matches none of them among those that Keras gives variables (`variable.path`), and then among
    places in the model (`layers/dense`, `head` for `self.head`). A variable that lies under two
    layers is one: `only` wants it where either is wanted.

    Args:
        prepared: the model to restore into.
        request: the caller's.

    Raises:
        ArgumentError: a pattern matches nothing, one variable is to be kept and to be loaded, or
            `skip` leaves nothing of `only`.
    """
    if not request.skip and not request.only:
        return Selection()
    if prepared.as_stored:
        raise ArgumentError(
            "skip= and only= need a model of layers; a SavedModel's graph is run as it is"
        )
    paths = _Paths(prepared.target)
    chosen = paths.matched("only", request.only) if request.only else None
    skipped = paths.matched("skip", request.skip)
    variables, layers = _complement(paths, chosen)
    for key in skipped[0] - variables:
        if paths.tied(key) - skipped[0] - variables:
            raise _tied(paths, key, paths.tied(key) - skipped[0] - variables)
    wanted = chosen[0] if chosen else set()
    left, layers = variables | skipped[0], layers | skipped[1]
    vocabularies = {record.layer for record in prepared.target.vocabularies}
    if chosen and chosen[0] <= left and not vocabularies & (chosen[1] - layers):
        both = f"skip={list(request.skip)!r:.80}", f"only={list(request.only or ())!r:.80}"
        raise ArgumentError(f"{both[0]} leaves nothing of {both[1]} to load; leave one of them out")
    slots = {
        key
        for key, record in paths.records.items()
        if record.role == "optimizer"
        and (key in skipped[0] or (record.slot_of in left and key not in wanted))
    }
    names = [r.label for k, r in paths.records.items() if k in left and r.role != "optimizer"]
    names += [r.label for r in prepared.target.vocabularies if r.layer in layers]
    return Selection(
        frozenset(left | slots), frozenset(layers), tuple(names), only=chosen is not None
    )


def _complement(
    paths: _Paths, chosen: tuple[set[str], set[str]] | None
) -> tuple[set[str], set[str]]:
    """Tensors and layers that `only` does not name; slots go with their weights."""
    if chosen is None:
        return set(), set()
    wanted = set(chosen[0])
    for key in chosen[0]:
        wanted |= paths.tied(key)
    tensors = {k for k, r in paths.records.items() if k not in wanted and r.role != "optimizer"}
    return tensors, set(paths.layers) - chosen[1]


class _Paths:
    """Every tensor and every layer of the model, and what it may be called."""

    def __init__(self, target: Any) -> None:
        self.records: dict[str, TensorRecord] = dict(target.table.tensors)
        variables = {key: place.variable for key, place in target.places.items()}
        variables |= {key: held.holder for key, held in target.hidden.items() if held.is_variable}
        self.variables = {key: v for key, v in variables.items() if v is not None}
        self.layers = {visit.path: "/".join(visit.names) for visit in target.visits if visit.path}
        self._tied: dict[int, set[str]] = {}
        for key, variable in self.variables.items():
            self._tied.setdefault(id(variable), set()).add(key)

    def tied(self, key: str) -> set[str]:
        """Keys of weights under which the model has the same variable."""
        variable = self.variables.get(key)
        if variable is None or self.records[key].role == "optimizer":
            return {key}
        return self._tied[id(variable)]

    def matched(self, option: str, patterns: Iterable[str]) -> tuple[set[str], set[str]]:
        """Keys of the tensors, and paths of the layers, that the patterns cover."""
        tensors: set[str] = set()
        layers: set[str] = set()
        for pattern in patterns:
            for names, places in self._spellings():
                found = {key for key, path in names.items() if covers(pattern, path)}
                around = {key for key, path in places.items() if covers(pattern, path)}
                if found or around:
                    tensors, layers = tensors | found, layers | around
                    break
            else:
                raise self._unmatched(option, pattern)
        return tensors, layers

    def _spellings(self) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
        """By key: what messages call it, what Keras calls it, where it lies."""
        yield {key: record.label for key, record in self.records.items()}, self.layers
        yield {key: str(getattr(v, "path", key)) for key, v in self.variables.items()}, {}
        yield {key: key for key in self.records}, {path: path for path in self.layers}

    def _unmatched(self, option: str, pattern: str) -> ArgumentError:
        names, layers = next(self._spellings())
        known = [*(path for path in layers.values() if path), *names.values()]
        likely = near(pattern, known)
        hint = f"did you mean {likely!r}? " if likely else ""
        tops = list(dict.fromkeys(path.split("/")[0] for path in names.values()))
        more = f" and {len(tops) - _SHOWN} more" if len(tops) > _SHOWN else ""
        return ArgumentError(
            f"{option}={pattern!r}: the model has no variable or layer of this path; {hint}it has "
            f"{', '.join(map(repr, tops[:_SHOWN]))}{more}"
        )


def _tied(paths: _Paths, key: str, others: Collection[str]) -> ArgumentError:
    names = sorted(paths.records[other].label for other in others)
    label = paths.records[key].label
    return ArgumentError(
        f"skip: {label} is the same variable as {names[0]}, which would be loaded; skip both "
        f"({label!r}, {names[0]!r}), or neither"
    )
