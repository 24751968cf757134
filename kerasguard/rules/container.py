"""Bytes outside the tensors are damaged: a bad CRC, a changed header, a changed config.

What it looks like: the tensors' digests agree, but the file is still not the recorded one.

Why it happens: a flipped bit in HDF5 or zip metadata, an edited `config.json`, appended bytes.
From Python 3.12 on, `zipfile` no longer checks a CRC after a seek, and Keras seeks.

Source: CPython gh-88339; measured on Keras 3.15.1.

When the repair is exact: there is none; restore the file from a copy.
"""

from __future__ import annotations

from collections.abc import Iterator

from kerasguard.planning.draft import Draft
from kerasguard.planning.findings import Finding, Severity

CODES = {"KG304": "the checkpoint's container is damaged or changed"}


def container(draft: Draft) -> Iterator[Finding]:
    """Yield a finding per problem that reading the container showed."""
    for problem in draft.problems:
        yield Finding("KG304", "", problem, Severity.ERROR)
