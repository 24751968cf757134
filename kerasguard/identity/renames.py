"""What the caller says about names: `renames={"stored": "expected"}`, by name, key or pattern.

Compiled patterns and functions are spelt out for the layers that there are (`spelt_out`).

An entry that matches nothing is an error: the pairs that the caller meant would be decided by
weaker evidence, and perhaps the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from kerasguard.errors import ArgumentError, nearest
from kerasguard.tensors import Table

__all__ = ["Renames", "asked", "renamed", "spelt_out"]

# A type checker takes a dict by the exact type of its keys, so each of the three is spelt out.
Renames = (
    Mapping[str, str]
    | Mapping[re.Pattern[str], str]
    | Mapping[str | re.Pattern[str], str]
    | Callable[[str], str | None]
)
Names = Mapping[str, str]
_SHOWN = 4


def spelt_out(renames: Renames | None, stored: Table, expected: Table) -> dict[str, str]:
    """The same by names and patterns alone.

    A compiled pattern replaces what it finds in a layer's name, or its path where tensors go by
    the path of their variable. A function is asked for each of these, and gives the name in the
    model or None; what it gives for a layer that the model has not is left out.

    Raises:
        ArgumentError: a pattern is found in no name, or a function names no layer of the model.
    """
    texts = _texts(stored)
    if not callable(renames):
        found: dict[str, str] = {}
        for old, new in (renames or {}).items():
            if isinstance(old, str):
                found[old] = new
                continue
            matched = {key: old.sub(new, text) for key, text in texts.items() if old.search(text)}
            if not matched:
                raise _unmatched(old.pattern, new, old.pattern, "the checkpoint", texts)
            found |= matched
        return found
    return _by_function(renames, texts, expected)


def _by_function(
    renames: Callable[[str], str | None], texts: Names, expected: Table
) -> dict[str, str]:
    """What a function gives for each stored layer, where the model has it."""
    layers = expected.layers
    known = {layer.name for layer in layers.values()} | set(layers)
    given = {key: _asked_of(renames, text) for key, text in texts.items()}
    wanted = {key: new for key, new in given.items() if isinstance(new, str) and new in known}
    if not wanted:
        named = {key: str(new) for key, new in given.items() if new is not None}
        example = _few(f"{texts[key]} -> {new}" for key, new in named.items()) or "nothing"
        raise ArgumentError(
            f"renames= names no layer of the model (it gives {example}); the model has "
            f"{_few(layer.name for layer in layers.values() if layer.name)}"
        )
    return wanted


def _asked_of(function: Callable[[str], str | None], text: str) -> str | None:
    try:
        return function(text)
    except Exception as error:
        raise ArgumentError(
            f"renames={function!r:.80} raised {type(error).__name__} for {text!r:.80}: "
            f"{error!s:.200}; pass a function that takes a name and gives another, or None"
        ) from error


def _texts(stored: Table) -> dict[str, str]:
    """What each layer with weights is called, by its key."""
    owners = dict.fromkeys(r.layer for r in stored.tensors.values() if r.role == "weight")
    layers = [stored.layers[key] for key in owners if key in stored.layers]
    return {r.key: r.key if stored.addressing == "name" else r.name or r.key for r in layers}


def renamed(stored: Table, renames: Mapping[str, str]) -> Table:
    """The stored table with the caller's new names on its layers; keys stay, they address bytes."""
    layers = dict(stored.layers)
    for key, layer in stored.layers.items():
        for old, new in renames.items():
            target = _new_name(layer.name, key, old, new)
            if target is not None:
                layers[key] = replace(layer, name=target)
    return replace(stored, layers=layers)


def asked(ours: Names, theirs: Names, renames: Mapping[str, str]) -> dict[str, str]:
    """Pairs of layers that the caller asks for: key of the expected one, key of the stored one.

    Args:
        ours: names of the model's layers with weights, by key.
        theirs: names of the checkpoint's, as they are stored.
        renames: patterns of stored names or keys to expected ones.

    Raises:
        ArgumentError: an entry matches no stored layer, or no layer of the model has its new name,
            or several do; or two stored layers are to be the same one, or one is to be two.
    """
    places = _by_name(ours)
    pairs: dict[str, str] = {}
    given: dict[str, tuple[str, str, str]] = {}
    for old, new in renames.items():
        targets = {s: _new_name(name, s, old, new) for s, name in theirs.items()}
        wanted = {s: target for s, target in targets.items() if target is not None}
        if not wanted:
            raise _unmatched(old, new, old, "the checkpoint", theirs)
        found = {s: places[target] for s, target in wanted.items() if target in places}
        if not found:
            raise _unmatched(old, new, next(iter(wanted.values())), "the model", ours)
        for s, keys in found.items():
            if len(keys) > 1:
                raise _several(old, new, keys)
            if pairs.setdefault(keys[0], s) != s:
                raise _contested(old, new, ours[keys[0]] or keys[0], (pairs[keys[0]], s))
            first = given.setdefault(s, (keys[0], old, new))
            if first[0] != keys[0]:
                raise ArgumentError(
                    f"renames={{{first[1]!r}: {first[2]!r}, {old!r}: {new!r}}} gives the stored "
                    f"{theirs[s] or s} to two layers of the model; leave one of them out"
                )
    return pairs


def _new_name(name: str, key: str, old: str, new: str) -> str | None:
    """What a layer is called after `old` -> `new`; None where neither name nor key match."""
    for text in (name, key):
        target = _substituted(text, old, new) if text else None
        if target is not None:
            return target
    return None


def _substituted(text: str, old: str, new: str) -> str | None:
    """`text` after `old` -> `new`, where `*` at the end stands for the same rest in both.

    `/*` at the end stands for the layer itself, too.
    """
    if old.endswith("/*") and new.endswith("/*"):
        old, new = old[:-2], new[:-2]
        if text.startswith(f"{old}/"):
            return new + text[len(old) :]
    old, new = old.removesuffix("/*"), new.removesuffix("/*")
    if old.endswith("*") and new.endswith("*") and text.startswith(old[:-1]):
        return new[:-1] + text[len(old) - 1 :]
    return new if fnmatchcase(text, old) else None


def _by_name(layers: Names) -> dict[str, list[str]]:
    """Keys by name; each layer is also found by its own key, and then alone."""
    found: dict[str, list[str]] = {}
    for key, name in layers.items():
        found.setdefault(name, []).append(key)
    return found | {key: [key] for key in layers}


def _unmatched(old: str, new: str, missing: str, where: str, layers: Names) -> ArgumentError:
    near = nearest(missing, [name for name in (*layers.values(), *layers) if name])
    hint = f"did you mean {near!r}? " if near else ""
    return ArgumentError(
        f"renames={{{old!r}: {new!r}}}: {where} has no layer with weights called {missing!r}; "
        f"{hint}it has {_few(name or key for key, name in layers.items())}"
    )


def _several(old: str, new: str, keys: Iterable[str]) -> ArgumentError:
    return ArgumentError(
        f"renames={{{old!r}: {new!r}}}: the model has several layers of that name; say which by "
        f"its key: {_few(keys)}"
    )


def _contested(old: str, new: str, target: str, keys: Iterable[str]) -> ArgumentError:
    return ArgumentError(
        f"renames={{{old!r}: {new!r}}}: the layer {target!r} of the model is named for several "
        f"stored layers: {_few(keys)}; name one"
    )


def _few(names: Iterable[str]) -> str:
    shown = list(dict.fromkeys(names))
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(map(repr, shown[:_SHOWN])) + more
