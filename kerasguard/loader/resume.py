"""A training that Keras resumes: what its own file does not hold is given back as well.

Source: keras/src/callbacks/backup_and_restore.py, which loads weights and optimizer, and no random
seeds, states of layers, optimizers that Keras does not track or those that have no slots yet: `fit`
builds the one that the model was compiled with, and no other.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from kerasguard.errors import KerasguardError
from kerasguard.loader.attempt import attempt
from kerasguard.loader.peers import peers_of
from kerasguard.loader.request import Request
from kerasguard.storage import sidecar

__all__ = ["finish"]


def finish(model: Any, path: Path) -> None:
    """Restore what was kept beside a backup into a model that Keras has just loaded it into.

    Nothing is done where nothing but metrics was kept, which `fit` resets, and the model has no
    other optimizers than its own. Under several workers Keras' own load has to do: not all of them
    may come here.

    Args:
        model: that is about to be trained on.
        path: of the backup, which was verified.
    """
    try:
        manifest = sidecar.read(path)
        if manifest is None:
            return
        only_metrics = all(record.role == "metric" for record in manifest.kept.values())
        done = only_metrics and not manifest.optimizer.get("others")
        if done or peers_of(None, model, path.name) is not None:
            return
        with attempt(Request(path, model, manifest="require", probe=False)) as found:
            found.run()
    except KerasguardError as error:
        warnings.warn(f"{path}: resumed without what Keras does not store: {error}", stacklevel=2)
