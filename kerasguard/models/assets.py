"""Files that layers keep beside their weights, vocabularies above all: told, read and put back.

A vocabulary that `adapt` found is an asset of a `.keras` file, one that was given to a
constructor is in the config there; a file with weights only has neither.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from kerasguard.errors import RestoreError
from kerasguard.models.journal import UNCHANGED, label_of
from kerasguard.models.walk import Visit
from kerasguard.tensors import TensorRecord, TensorSpec

__all__ = [
    "adapted_files",
    "check_read_back",
    "claimed_folders",
    "given_files",
    "lookups",
    "told_of",
    "vocabularies",
    "write_files",
]

_FILE = "vocabulary.txt"
_INNER = "/_lookup_layer"  # of a TextVectorization, which takes the file in its place


def adapted_files(visits: Iterable[Visit]) -> dict[str, bytes]:
    """Assets that a `.keras` file would hold: by path, `layers/string_lookup/vocabulary.txt`."""
    found: dict[str, bytes] = {}
    for visit in visits:
        if not hasattr(visit.object, "save_assets"):
            continue
        with tempfile.TemporaryDirectory(prefix="kerasguard-") as folder:
            visit.object.save_assets(folder)
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    inside = path.relative_to(folder).as_posix()
                    found[f"{visit.path}/{inside}".lstrip("/")] = path.read_bytes()
    return found


def given_files(visits: Iterable[Visit]) -> dict[str, bytes]:
    """Vocabularies that constructors were given, as the files that Keras makes of adapted ones."""
    given = (v for v in lookups(visits) if v.object.input_vocabulary is not None)
    return {f"{v.path}/{_FILE}".lstrip("/"): told_of(v.object).encode() for v in given}


def vocabularies(visits: Iterable[Visit]) -> tuple[TensorRecord, ...]:
    """An asset per lookup layer, of as many elements as its vocabulary has now, 0 of an empty one.

    They are counted in its table, since listing a large vocabulary takes long.
    """
    return tuple(
        TensorRecord(
            f"assets/{visit.path}/{_FILE}",
            TensorSpec((int(visit.object.lookup_table.size()),), "uint8"),
            name="/".join((*visit.names, "vocabulary")),
            variable="vocabulary",
            layer=visit.path.removesuffix(_INNER),
            role="asset",
        )
        for visit in lookups(visits)
    )


def lookups(visits: Iterable[Visit], folders: Collection[str] | None = None) -> list[Visit]:
    """The layers that have a vocabulary; of these only those whose file is in the folders."""
    told = ("input_vocabulary", "lookup_table")
    found = [v for v in visits if all(hasattr(v.object, name) for name in told)]
    if folders is None:
        return found
    return [v for v in found if v.path in folders or v.path.removesuffix(_INNER) in folders]


def claimed_folders(assets: Iterable[str], takers: Iterable[Visit]) -> set[str]:
    """The folders that assets lie in, each of a layer that takes them; the root's is `.`.

    Raises:
        RestoreError: no layer takes what is in one of them.
    """
    found = {str(PurePosixPath(path).parent) for path in assets}
    unclaimed = found - {visit.path or "." for visit in takers}
    if unclaimed:
        raise RestoreError(
            f"{', '.join(sorted(unclaimed))}: the checkpoint has assets for a layer that is not in "
            f"the model; {UNCHANGED}"
        )
    return found


def check_read_back(visits: Iterable[Visit], assets: Mapping[str, bytes]) -> None:
    """Compare each lookup's vocabulary with its file.

    Keras reads a vocabulary by lines, which cuts a token with a line break of any kind.

    Raises:
        RestoreError: a lookup has a different vocabulary than its file.
    """
    for visit in visits:
        places = (f"{p}/{_FILE}".lstrip("/") for p in (visit.path, visit.path.removesuffix(_INNER)))
        content = next((assets[place] for place in places if place in assets), None)
        if content is None:
            continue
        text = content.decode().replace("\r\n", "\n").rstrip("\n")
        if told_of(visit.object) != text:
            raise RestoreError(
                f"{label_of(visit)}: Keras does not read its vocabulary back as it is stored (a "
                f"token with a line break?); {UNCHANGED}"
            )


def told_of(lookup: Any) -> str:
    """A vocabulary as Keras writes it, a token a line, without empty lines at the end."""
    return "\n".join(str(token) for token in lookup.get_vocabulary()).rstrip("\n")


def write_files(folder: Path, assets: Mapping[str, bytes]) -> None:
    """Write assets into a folder, for layers to read.

    Raises:
        RestoreError: a path leads out of the folder.
    """
    for name, content in assets.items():
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts or ".." in parts or parts[0] == "/" or ":" in parts[0]:
            raise RestoreError(f"{name}: an asset's path must stay inside its folder")
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
