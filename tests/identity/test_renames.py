"""What the caller says about names is obeyed, or an error."""

from __future__ import annotations

import pytest

from kerasguard.errors import ArgumentError
from kerasguard.identity.renames import asked

STORED = {"layers/dense": "left", "layers/dense_1": "right"}
MODEL = {"layers/dense": "a", "layers/dense_1": "b"}


def test_names_keys_and_patterns_are_understood() -> None:
    crossed = {"layers/dense": "layers/dense_1", "layers/dense_1": "layers/dense"}
    assert asked(MODEL, STORED, {"left": "b", "right": "a"}) == crossed
    assert asked(MODEL, STORED, {"layers/dense": "b", "layers/dense_1": "a"}) == crossed
    assert asked(MODEL, STORED, {"left": "layers/dense_1", "right": "layers/dense"}) == crossed
    towers = {"1": "tower/a", "2": "tower/b"}
    assert asked(towers, {"8": "old/a", "9": "old/b"}, {"old/*": "tower/*"}) == {"1": "8", "2": "9"}


@pytest.mark.parametrize(
    ("renames", "message"),
    [
        ({"lft": "b"}, "the checkpoint has no layer .* called 'lft'; did you mean 'left'"),
        ({"l?ft_*": "b"}, "the checkpoint has no layer"),
        ({"left": "aa"}, "the model has no layer .* called 'aa'; did you mean 'a'"),
        ({"left": "no_such_target"}, "the model has no layer .* it has 'a', 'b'"),
        ({"left": "b", "right": "b"}, "the layer 'b' of the model is named for several"),
        ({"*": "b"}, "the layer 'b' of the model is named for several"),
    ],
)
def test_an_entry_that_cannot_be_obeyed_is_an_error_that_names_the_nearest(
    renames: dict[str, str], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        asked(MODEL, STORED, renames)


def test_a_name_that_several_layers_of_the_model_have_asks_for_the_key() -> None:
    with pytest.raises(ArgumentError, match="by its key: 'x/dense', 'y/dense'"):
        asked({"x/dense": "dense", "y/dense": "dense"}, STORED, {"left": "dense"})


def test_a_stored_layer_goes_to_one_layer_of_the_model() -> None:
    ours, theirs = {"layers/x": "b1", "layers/y": "c"}, {"layers/a": "a1"}
    with pytest.raises(ArgumentError, match="gives the stored a1 to two layers"):
        asked(ours, theirs, {"a*": "b*", "a1": "c"})
    assert asked(ours, theirs, {"a*": "b*", "a1": "b1"}) == {"layers/x": "layers/a"}
