"""Layers are called on other layers, or with other arguments, than when the model was saved.

What it looks like: every weight has its place, and two branches enter a concatenation the other
way round, two layers follow each other in the other order, a slice takes another step, a factor is
another number, a mask or `training=True` is gone, another of a layer's outputs is used, or the
model's inputs or outputs change places.

Why it happens: the model's code changed after saving; names show which weights belong to which
layer, but not what is done with them. Where a user-defined class holds the graph, no config shows
it, and nothing shows what the body of such a class does, except a probe.

Source: keras/src/saving/saving_lib.py, `load_weights_only`, which never looks at the graph.

When the repair is exact: never, and the change may be intended; if it is not, load the whole model
from the checkpoint.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from kerasguard.errors import listed
from kerasguard.identity.counterparts import comparable, same_place
from kerasguard.identity.evidence import IDLE, same_layers
from kerasguard.identity.graph import Call, Graph, Output, Seen
from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity
from kerasguard.tensors import LayerRecord, Table

CODES = {"KG115": "layers are called differently than when the model was saved"}

# To these the order of what they are called on makes no difference.
_COMMUTATIVE = frozenset({"Add", "Average", "Maximum", "Minimum", "Multiply"})
_PASSING = IDLE - {"InputLayer"}
_TRAINS = '"training":true'
"""In the text of a call."""


def rewired(draft: Draft) -> Iterator[Finding]:
    """Yield a finding for all layers that see others, one for other arguments, one per end."""
    if draft.own:
        return
    expected, stored = comparable(draft.expected, draft.stored)
    pairs = {**same_place(expected, stored), **draft.pairing.layers}
    in_place = all(e == s for e, s in pairs.items())
    texts = _texts(stored)
    same = in_place and same_layers(expected, stored) and (not texts or texts == _texts(expected))
    if same and expected.ends == stored.ends:
        return
    both = _Both(Graph.of(expected.layers, expected.ends), Graph.of(stored.layers, stored.ends))
    yield from both.turned(pairs)
    known = {e: s for e, s in pairs.items() if both.knows(e, s)}
    found = both.elsewhere(known)
    if found:
        message = (
            f"{listed(found)}: called on different layers than when the model was saved, or in a "
            "different order; the weights are as recorded, but predictions may differ"
        )
        yield Finding("KG115", "", message, Severity.WARNING)
    told = [*both.otherwise(known), *_idle(expected, stored)]
    if told:
        message = (
            f"{listed(told)}; the weights are as recorded, but what is computed with them is not"
        )
        yield Finding("KG115", "", message, Severity.WARNING)


class _Both:
    """The model's graph and that of the saved model."""

    def __init__(self, ours: Graph, theirs: Graph) -> None:
        self.ours, self.theirs = ours, theirs
        self.calls = [_calls(ours), _calls(theirs)]

    def knows(self, e: str, s: str) -> bool:
        """Whether both layers have their place in the graphs."""
        return e in self.ours.layers and s in self.theirs.layers

    def turned(self, pairs: Mapping[str, str]) -> Iterator[Finding]:
        """Inputs or outputs of a whole model that are others than they were, place by place."""
        for model in self.ours.ends.keys() & self.theirs.ends.keys():
            ends = zip(self.ours.ends[model], self.theirs.ends[model], strict=True)
            for what, (mine, other) in zip(("inputs", "outputs"), ends, strict=True):
                found = [
                    self.ours.layers[end[0][0]].name
                    for end, before in zip(mine, other, strict=False)
                    if end and before and self._other_end(end, before, pairs)
                ]
                if found and len(mine) == len(other):
                    message = (
                        f"the model's {what} differ from the saved model's, or are in a "
                        f"different order ({listed(found)}); so do its predictions"
                    )
                    yield Finding("KG115", model, message, Severity.WARNING)

    def _other_end(self, end: Output, before: Output, pairs: Mapping[str, str]) -> bool:
        (layer, call), output = end
        return layer in pairs and ((pairs[layer], call), output) != before

    def elsewhere(self, pairs: Mapping[str, str]) -> list[str]:
        """Names of the layers that are reached from other layers, or by other arguments."""
        bits: dict[tuple[int, int], int] = {}
        left = self.ours.seen({e: i for i, e in enumerate(pairs)}, bits)
        right = self.theirs.seen({s: i for i, s in enumerate(pairs.values())}, bits)
        layers = self.ours.layers
        return [
            layers[e].name
            for e, s in pairs.items()
            if _above(layers[e].class_name, left[e]) != _above(layers[e].class_name, right[s])
        ]

    def otherwise(self, pairs: Mapping[str, str]) -> Iterator[str]:
        """What is called with other arguments, or on other outputs of the same layers."""
        back = {s: e for e, s in pairs.items()}
        for e, s in pairs.items():
            ours, theirs = self.ours.layers[e], self.theirs.layers[s]
            if ours.use is None or theirs.use is None or ours.class_name in _PASSING:
                continue
            mine, other = (side[key] for side, key in zip(self.calls, (e, s), strict=True))
            texts = [_told(self.ours, c) for c in mine], [_told(self.theirs, c) for c in other]
            if Counter(texts[0]) != Counter(texts[1]):
                now, before = (listed([_shown(t) for t in dict.fromkeys(side)]) for side in texts)
                yield f"{ours.name}: called with {now}, but with {before} when it was saved"
            elif len(mine) == len(other) and not self._same_calls(mine, other, pairs, back):
                yield (
                    f"{ours.name}: called on different outputs of the same layers than when it "
                    "was saved"
                )

    def _same_calls(
        self,
        mine: list[Call],
        other: list[Call],
        pairs: Mapping[str, str],
        back: Mapping[str, str],
    ) -> bool:
        """Whether each call has its like, in any order."""
        left = list(other)
        for call in mine:
            likes = (c for c in left if self._alike(call, c, pairs, back))
            like = next(likes, None)
            if like is None:
                return False
            left.remove(like)
        return True

    def _alike(
        self, call: Call, before: Call, pairs: Mapping[str, str], back: Mapping[str, str]
    ) -> bool:
        if _told(self.ours, call) != _told(self.theirs, before):
            return False
        sources = [_sources(self.ours, call), _sources(self.theirs, before)]
        if len(sources[0]) != len(sources[1]):
            return True  # told as called on other layers
        known = [
            (a, b) for a, b in zip(*sources, strict=True) if a[0][0] in pairs and b[0][0] in back
        ]
        if self.ours.layers[call[0]].class_name in _COMMUTATIVE:
            made = [Counter(o for (_, o), _ in known), Counter(o for _, (_, o) in known)]
            return made[0] == made[1]
        return all(self._same_output(a, b, pairs) for a, b in known)

    def _same_output(self, a: Output, b: Output, pairs: Mapping[str, str]) -> bool:
        """Whether both are the same output of the same layer, called with the same arguments."""
        (e, _), output = a
        (s, _), before = b
        if pairs[e] != s:
            return True  # told as called on other layers
        texts = [
            Counter(_told(graph, call) for call in calls[key])
            for graph, calls, key in zip((self.ours, self.theirs), self.calls, (e, s), strict=True)
        ]
        alike = texts[0] != texts[1] or _told(self.ours, a[0]) == _told(self.theirs, b[0])
        return output == before and alike


def _calls(graph: Graph) -> dict[str, list[Call]]:
    """The calls of each layer of the flat graph, in order."""
    found: dict[str, list[Call]] = {}
    for call in graph.sources:
        found.setdefault(call[0], []).append(call)
    return found


def _sources(graph: Graph, call: Call) -> list[Output]:
    """What a call is given, seen through layers that let everything pass."""
    found = []
    for source, output in zip(graph.sources[call], graph.outputs[call], strict=True):
        while graph.layers[source[0]].class_name in _PASSING and graph.sources[source]:
            source, output = graph.sources[source][0], graph.outputs[source][0]
        found.append((source, output))
    return found


def _told(graph: Graph, call: Call) -> str:
    """What a call of the flat graph was given besides tensors."""
    layer = graph.layers[call[0]]
    texts = layer.use.arguments if layer.use is not None else None
    if not texts:
        return ""
    text = texts[call[1] % len(texts)]
    if layer.class_name in _COMMUTATIVE and text.startswith("["):
        return json.dumps(sorted(json.loads(text), key=str), separators=(",", ":"))
    return text


def _shown(text: str) -> str:
    return text or "one tensor alone"


def _texts(table: Table) -> dict[str, tuple[str, ...] | None]:
    return {
        key: layer.use.arguments
        for key, layer in table.layers.items()
        if layer.use is not None and layer.inbound is not None
    }


def _idle(expected: Table, stored: Table) -> Iterator[str]:
    """Layers that let everything pass, unless they are called with arguments that forbid it."""
    if not _texts(stored):
        return
    counts = [Counter(_active(side.layers)) for side in (expected, stored)]
    for kind, text in sorted((counts[0] - counts[1]).keys() | (counts[1] - counts[0]).keys()):
        now, before = (count[kind, text] for count in counts)
        yield f"{now} {kind} called with {text}, but {before} when the model was saved"
    likes = [Counter(_training(side.layers)) for side in (expected, stored)]
    changed = {kind for kind, _ in (likes[0] - likes[1]) + (likes[1] - likes[0])}
    for kind in sorted(changed):
        if _number(likes[0], kind) == _number(likes[1], kind):
            yield f"{kind}: called as in training, and configured differently than it was"


def _active(layers: Mapping[str, LayerRecord]) -> Iterator[tuple[str, str]]:
    for layer in layers.values():
        if layer.class_name in _PASSING and layer.use is not None and layer.inbound is not None:
            yield from ((layer.class_name, text) for text in layer.use.arguments or () if text)


def _training(layers: Mapping[str, LayerRecord]) -> Iterator[tuple[str, str]]:
    """Class and config of those that change what they are called on, as they do in training."""
    roots = [
        f"{key}/"
        for key, layer in layers.items()
        if layer.use is not None and any(_TRAINS in text for text in layer.use.arguments or ())
    ]
    for key, layer in layers.items():
        known = layer.config_digest and layer.inbound is not None
        if known and layer.class_name in _PASSING and f"{key}/".startswith(tuple(roots)):
            yield layer.class_name, layer.config_digest


def _number(likes: Counter[tuple[str, str]], kind: str) -> int:
    return sum(count for (name, _), count in likes.items() if name == kind)


def _above(kind: str, seen: Seen) -> tuple[tuple[int, ...], ...]:
    """By call, what each argument comes from."""
    if kind in _COMMUTATIVE:
        return tuple(sorted(tuple(sorted(call)) for call in seen.above))
    return seen.above
