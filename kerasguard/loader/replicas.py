"""Do all copies of a live model hold the same bytes? Over replicas, and over workers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from kerasguard.arguments import check_model
from kerasguard.errors import ArgumentError
from kerasguard.loader.peers import Peers, peers_of

__all__ = ["replica_differences"]


def replica_differences(model: Any) -> dict[str, float | str]:
    """The variables of a model whose copies do not hold the same bytes, on request.

    A replica that has diverged keeps training but is never saved: a checkpoint has the first
    replica's values. Variables that each replica keeps for itself by design
    (`synchronization="on_read"`) are left out. Under a strategy of several workers all of them must
    call it; only digests cross the network.

    Args:
        model: of either Keras, under any strategy or none.

    Returns:
        By name, the largest difference of two elements on this worker (`"nan"` where one is NaN),
        or `"differs between workers"`. Empty where all copies are the same.

    Raises:
        ArgumentError: it is not a model.
        WorkersError: one of several workers does not answer.
    """
    if model is None:
        raise ArgumentError("replica_differences needs a model; there is none")
    check_model(model)
    from kerasguard.models import proof

    found = proof.replica_differences(model)
    peers = peers_of(None, model, getattr(model, "name", "model"))
    return found if peers is None else {**_between(peers, model), **found}


def _between(peers: Peers, model: Any) -> dict[str, float | str]:
    from kerasguard.models import proof

    own = [[n, box, hashlib.sha256(held).hexdigest()] for n, box, held in proof.local_bytes(model)]
    digests: dict[tuple[str, str], set[str]] = {}
    for text in peers.gather(json.dumps(own)):
        for name, box, digest in json.loads(text):  # a mesh may put a part on one worker alone
            digests.setdefault((name, box), set()).add(digest)
    apart = [name for (name, _), some in digests.items() if len(some) > 1]
    return dict.fromkeys(apart, "differs between workers")
