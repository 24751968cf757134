"""Whether the evidence leaves one answer: brute force over all ways to pair the layers.

This is the yardstick of `tests/benchmarks/mutations.py`, written without the engine's code and
without regard to cost. What counts as evidence, strongest first:

1. *No trace* of an edit (see `net_pairs`): the format's own addressing.
2. A name that a person gave, if it occurs once on both sides: these two layers, if class and number
   of elements agree; else neither of them goes with any other.
3. Where the graph is known (manifest, `.keras`): the largest pairing of layers, those without
   weights included, in which every two pairs stand to each other as before: reached from one
   another or not, and by the same argument of the same layer. Layers of equal class and arguments
   count before those of equal class and shapes only. What all largest pairings have in common is
   the answer. Pairs by name are facts: one that stands in another place merely says nothing of
   others.
4. Where no graph is known: a layer that is the only free one of its class and shapes on both sides
   and stands among its like in the same order; or a whole class whose keys are all as they were.

Nothing else: no similarity of names, no position in a graph that changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from net_pairs import Pair, tables, told, trace

from kerasguard.formats.keras_paths import natural
from kerasguard.tensors import LayerRecord

if TYPE_CHECKING:
    from nets import Laid, Net

__all__ = ["answer", "evident"]

Pairs = dict[str, str]
Reached = dict[str, frozenset[tuple[str, int, int]]]
_LIMIT = 20_000


@dataclass(frozen=True)
class _Side:
    """One net as the oracle sees it: by uid."""

    layers: Mapping[str, LayerRecord]
    shapes: Mapping[str, tuple[tuple[str, str, int], ...]]
    reached: Reached

    @staticmethod
    def of(laid: Laid, net: Net) -> _Side:
        shapes: dict[str, list[tuple[str, str, int]]] = {}
        for (uid, place, variable), key in laid.keys.items():
            if uid != "optimizer":
                size = laid.table.tensors[key].spec.size
                shapes.setdefault(uid, []).append((place, variable, size))
        layers = {
            laid.unit[key]: record for key, record in laid.table.layers.items() if key in laid.unit
        }
        inner = {i.uid for i in net.inner} | {f"{i.uid}/input" for i in net.inner}
        layers = {uid: record for uid, record in layers.items() if uid not in inner}
        return _Side(layers, {u: tuple(s) for u, s in shapes.items()}, _reached(net))


def _reached(net: Net) -> Reached:
    """By uid, what it reaches and by which argument of which call of it."""
    users: dict[tuple[str, int], list[tuple[str, int, int]]] = {}
    for layer in net.layers:
        for n, call in enumerate(layer.calls):
            for argument, source in enumerate(call):
                users.setdefault(source, []).append((layer.uid, n, argument))
    calls = {layer.uid: max(len(layer.calls), 1) for layer in net.layers}
    known: dict[tuple[str, int], frozenset[tuple[str, int, int]]] = {}

    def of(call: tuple[str, int]) -> frozenset[tuple[str, int, int]]:
        if call not in known:
            direct = users.get(call, [])
            known[call] = frozenset(direct).union(*(of((u, n)) for u, n, _ in direct))
        return known[call]

    return {uid: frozenset().union(*(of((uid, n)) for n in range(k))) for uid, k in calls.items()}


def answer(pair: Pair) -> dict[str, str] | None:
    """Stored uid by expected uid, for every layer with weights; None where nothing decides.

    Raises:
        TimeoutError: too many ways to pair the layers.
    """
    found, whole = evident(pair)
    return found if whole else None


def evident(pair: Pair) -> tuple[dict[str, str], bool]:
    """The same for the layers that are decided, and whether those are all.

    Raises:
        TimeoutError: too many ways to pair the layers.
    """
    expected, stored, ours, theirs = tables(pair)
    a, b = _Side.of(ours, pair.built), _Side.of(theirs, pair.saved)
    if trace(told(expected, pair.view), pair.view) == trace(stored, pair.view):
        same = {uid: theirs.unit[key] for key, uid in ours.unit.items() if uid in a.shapes}
        return same, True
    named, blocked = _named(a, b, pair.view)
    graph = pair.view in ("manifest", "keras")
    found = _by_graph(a, b, named, blocked) if graph else {}
    found |= _by_class(a, b, {**found, **named}, blocked, pair.view)
    result = {**found, **named}
    return {u: result[u] for u in a.shapes if u in result}, all(u in result for u in a.shapes)


def _named(a: _Side, b: _Side, view: str) -> tuple[Pairs, set[tuple[int, str]]]:
    """Pairs by given names, and layers whose namesake does not fit, by side."""

    def names(side: _Side) -> dict[str, str]:
        given = {u: r.name for u, r in side.layers.items() if not r.auto_named}
        count = Counter(given.values())
        return {name: uid for uid, name in given.items() if count[name] == 1}

    mine, other = names(a), names(b)
    pairs, blocked = {}, set()
    for name in mine.keys() & other.keys():
        u, v = mine[name], other[name]
        if view == "tf" and not (a.shapes.get(u) and b.shapes.get(v)):
            continue
        if a.layers[u].class_name == b.layers[v].class_name and _sizes(a, u) == _sizes(b, v):
            pairs[u] = v
        else:
            blocked |= {(0, u), (1, v)}
    return pairs, blocked


def _sizes(side: _Side, uid: str) -> Counter[int]:
    return Counter(size for _, _, size in side.shapes.get(uid, ()))


def _kept(a: _Side, b: _Side, p: tuple[str, str], q: tuple[str, str]) -> bool:
    """Whether two pairs stand to each other as before."""

    def relation(side: _Side, u: str, v: str) -> tuple[frozenset[int], ...]:
        return (
            frozenset(r[2] for r in side.reached[u] if r[0] == v),
            frozenset(r[2] for r in side.reached[v] if r[0] == u),
        )

    return relation(a, p[0], q[0]) == relation(b, p[1], q[1])


def _by_graph(a: _Side, b: _Side, named: Pairs, blocked: set[tuple[int, str]]) -> Pairs:
    facts = list(named.items())
    moved = {p for p in facts for q in facts if p != q and not _kept(a, b, p, q)}
    fixed = [p for p in facts if p not in moved]
    taken = set(named.values())
    options: dict[str, list[tuple[int, str]]] = {}
    for u, mine in a.layers.items():
        if u in named or (0, u) in blocked:
            continue
        for v, other in b.layers.items():
            if v in taken or (1, v) in blocked or mine.class_name != other.class_name:
                continue
            if _sizes(a, u) == _sizes(b, v):
                equal = mine.config_digest == other.config_digest
                options.setdefault(u, []).append((1000 if equal else 1, v))
    return _agreed(a, b, fixed, options)


def _agreed(
    a: _Side, b: _Side, fixed: list[tuple[str, str]], options: dict[str, list[tuple[int, str]]]
) -> Pairs:
    """What all best pairings have in common; a fixed pair may be given up for what it costs."""
    choices: list[tuple[str, list[tuple[int, str]]]] = [
        *((u, [(1000, v)]) for u, v in fixed),
        *sorted(options.items()),
    ]
    rest = [0]
    for _, offered in reversed(choices):
        rest.append(rest[-1] + max(weight for weight, _ in offered))
    rest.reverse()
    best = [-1]
    seen: dict[str, set[str | None]] = {}
    kept: dict[tuple[tuple[str, str], tuple[str, str]], bool] = {}
    steps = [0]

    def fits(p: tuple[str, str], q: tuple[str, str]) -> bool:
        if (p, q) not in kept:
            kept[p, q] = p[1] != q[1] and _kept(a, b, p, q)
        return kept[p, q]

    def search(at: int, weight: int, chosen: list[tuple[str, str]]) -> None:
        steps[0] += 1
        if steps[0] > _LIMIT:
            raise TimeoutError
        if weight + rest[at] < best[0]:
            return
        if at == len(choices):
            if weight > best[0]:
                best[0] = weight
                seen.clear()
            picked = dict(chosen)
            for u, _ in choices:
                seen.setdefault(u, set()).add(picked.get(u))
            return
        u, offered = choices[at]
        for gain, v in sorted(offered, reverse=True):
            if all(fits((u, v), q) for q in chosen):
                search(at + 1, weight + gain, [*chosen, (u, v)])
        search(at + 1, weight, chosen)

    search(0, 0, [])
    fixed_uids = {u for u, _ in fixed}
    result = {}
    for u, partners in seen.items():
        (only,) = partners if len(partners) == 1 else (None,)
        if only is not None and u not in fixed_uids:
            result[u] = only
    return result


def _by_class(a: _Side, b: _Side, known: Pairs, blocked: set[tuple[int, str]], view: str) -> Pairs:
    """Without a graph: the only one of its class and shapes, or a class that is as it was."""

    strict = view in ("manifest", "keras")

    def buckets(side: _Side, number: int, used: set[str]) -> Iterator[tuple[object, str]]:
        for uid in side.shapes:
            if uid not in used and (number, uid) not in blocked:
                layer = side.layers[uid]
                digest = layer.config_digest if strict else ""
                yield (layer.class_name, digest, side.shapes[uid]), uid

    free: dict[object, list[str]] = {}
    for bucket, v in buckets(b, 1, set(known.values())):
        free.setdefault(bucket, []).append(v)
    open_: dict[object, list[str]] = {}
    for bucket, u in buckets(a, 0, set(known)):
        open_.setdefault(bucket, []).append(u)
    result: Pairs = {}
    for bucket, us in open_.items():
        vs = free.get(bucket, [])
        keys = {b.layers[v].key: v for v in vs}
        as_it_was = view != "tf" and {a.layers[u].key for u in us} == set(keys)
        if len(us) == len(vs) and as_it_was:
            result |= {u: keys[a.layers[u].key] for u in us}
        elif len(us) == len(vs) == 1 and not strict:
            result[us[0]] = vs[0]
    return {u: v for u, v in result.items() if _in_order(a, b, (u, v), {**known, **result})}


def _in_order(a: _Side, b: _Side, pair: tuple[str, str], others: Pairs) -> bool:
    """Whether the pair stands in the same order to all others of its class in its container."""

    def before(side: _Side, u: str, v: str) -> bool | None:
        x, y = side.layers[u], side.layers[v]
        if x.class_name != y.class_name or x.key.rpartition("/")[0] != y.key.rpartition("/")[0]:
            return None
        return natural(x.key) < natural(y.key)

    moved = {
        p
        for p in others.items()
        for q in others.items()
        if p != q
        and p != pair
        and q != pair
        and _turned(before(a, p[0], q[0]), before(b, p[1], q[1]))
    }
    return not any(
        _turned(before(a, pair[0], u), before(b, pair[1], v))
        for u, v in others.items()
        if u != pair[0] and (u, v) not in moved
    )


def _turned(one: bool | None, other: bool | None) -> bool:
    return one is not None and other is not None and one != other
