"""Every code explains itself."""

from __future__ import annotations

from collections import Counter

import pytest

from kerasguard.checkpoints.explain import Explanation, explanations

PARTS = ("What it looks like:", "Why it happens:", "Source:", "When ")


def test_no_two_codes_have_the_same_explanation() -> None:
    texts = Counter(entry.text for entry in explanations().values())
    assert not [text.splitlines()[0] for text, count in texts.items() if count > 1]


@pytest.mark.parametrize("entry", explanations().values(), ids=lambda e: e.code)
def test_an_explanation_has_its_four_parts(entry: Explanation) -> None:
    places = [entry.text.find(part) for part in PARTS]
    assert places == sorted(places)
    assert -1 not in places
    assert entry.exact, "when its repair is exact"
