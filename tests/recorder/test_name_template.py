from __future__ import annotations

from pathlib import Path

import pytest

from kerasguard.errors import ArgumentError
from kerasguard.recorder.name_template import check_template


@pytest.mark.parametrize(
    "name",
    [
        "a.keras",
        "{epoch:02d}.keras",
        "{epoch}-{batch}-{val_loss:.2f}.keras",
        "{{braces}}-{epoch}.h5",
        "{accuracy}",
        "{val_epoch_loss}",
    ],
)
def test_names_that_keras_fills_in_pass(name: str) -> None:
    check_template("filepath", name)
    check_template("filepath", Path("run", name))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("{epoh}.keras", "{epoh} is not understood; did you mean {epoch}?"),
        ("{Epoch:02d}.keras", "did you mean {epoch}?"),
        ("{bach}.keras", "did you mean {batch}?"),
        ("{}.keras", "{} says nothing"),
        ("{0}.keras", "{0} says nothing"),
        ("{epoch.keras", "'{epoch.keras': expected '}'"),
        ("epoch}.keras", "its own braces"),
        (3, "filepath=3 is not a path"),
    ],
)
def test_names_that_would_fail_after_an_epoch_are_refused(name: object, told: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        check_template("filepath", name)
    assert told in str(caught.value)
