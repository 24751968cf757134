"""Addresses in MLflow, taken apart; nothing is asked of a server."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from kerasguard.errors import CheckpointNotFoundError

__all__ = ["Address", "is_mlflow_uri", "parse"]


@dataclass(frozen=True)
class Address:
    """What an address names; what it does not say is empty.

    Args:
        uri: the address as it was given.
        run_id: of `runs:/...`; also where the path of an `mlflow-artifacts:/...` tells it.
        model_id: of `models:/m-...`; also where the path of an `mlflow-artifacts:/...` tells it.
        name: of a registered model.
        version: a number, `latest` or a stage.
        alias: of a version.
        inside: the path below the run or the model.
    """

    uri: str
    run_id: str = ""
    model_id: str = ""
    name: str = ""
    version: str = ""
    alias: str = ""
    inside: str = ""

    @property
    def in_run(self) -> bool:
        """Whether it is below a run's artifacts."""
        return self.uri.startswith("runs:")


_ID = r"[0-9a-f]{32}"
_INSIDE = r"(?:/+(?P<inside>.*))?"
_FORMS = (
    rf"runs:/+(?P<run_id>[^/@]+){_INSIDE}",
    rf"models:/+(?P<model_id>m-{_ID}){_INSIDE}",
    r"models:/+(?P<model_id>m-[^/@]+)/*",
    rf"models:/+(?P<name>[^/@]+)@(?P<alias>[^/@]+){_INSIDE}",
    rf"models:/+(?P<name>[^/@]+)/+(?P<version>[^/@]+){_INSIDE}",
    rf"mlflow-artifacts:/.*/(?P<run_id>{_ID})/artifacts/.+",
    rf"mlflow-artifacts:/.*/models/(?P<model_id>m-{_ID})/artifacts(?:/.*)?",
    r"mlflow-artifacts:/.+",
)


def is_mlflow_uri(path: object) -> bool:
    """Whether `path` is an address in MLflow rather than a path."""
    return str(path).startswith(("runs:/", "models:/", "mlflow-artifacts:/"))


def parse(uri: str) -> Address:
    """Take an address apart.

    Raises:
        CheckpointNotFoundError: it has none of the forms that kerasguard reads.
    """
    for form in _FORMS:
        found = re.fullmatch(form, uri)
        if found is None or ".." in uri.split("/"):
            continue
        parts = {name: text or "" for name, text in found.groupdict().items()}
        inside = posixpath.normpath(parts.pop("inside", "") or ".")
        return Address(uri, **parts, inside="" if inside == "." else inside)
    raise CheckpointNotFoundError(
        uri,
        "is not an address that kerasguard reads. Addresses: runs:/<run id>/<path>, "
        "models:/<name>/<version>, models:/<name>@<alias>, models:/<name>/latest, "
        "models:/m-<id>, mlflow-artifacts:/<path>",
    )
