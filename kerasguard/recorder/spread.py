"""What each device held of the tensors of an Orbax step, without one of them being gathered.

Every process digests what its own devices hold and tells the one that records, which compares these
boxes with what Orbax has written of all of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kerasguard.arguments import WORKERS_LIMIT, workers_limit
from kerasguard.errors import ModelError
from kerasguard.tensors import Box
from kerasguard.tensors.elements import digest

__all__ = ["tell", "with_boxes"]

_PIECE = 1 << 20


def tell(model: Any, step: Path) -> None:
    """Tell the process that records what the devices of this one hold."""
    from kerasguard.models.kerases import workers
    from kerasguard.models.live_model import LiveModel

    channel = workers.channel(None, model)
    if channel is None:
        return
    own = _own(LiveModel.of(model, "paths"))
    text = json.dumps([[k, b.start, b.shape, b.digest] for k, found in own.items() for b in found])
    place = f"{_room(step)}/{channel.rank}"
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    channel.put(place, str(len(pieces)))
    for number, piece in enumerate(pieces):
        channel.put(f"{place}/{number}", piece)


def with_boxes(live: Any, step: Path) -> Any:
    """A model's survey with what each device holds of what no device holds completely.

    Args:
        live: the survey, a `LiveModel`.
        step: where the step lies for all processes.

    Raises:
        ModelError: another process has not told.
    """
    from kerasguard.models.kerases import workers

    found = {key: list(boxes) for key, boxes in _own(live).items()}
    channel = workers.channel(None, live.model)
    for rank in range(1, 0 if channel is None else channel.count):
        for key, start, shape, told in json.loads(_heard(channel, f"{_room(step)}/{rank}")):
            found.setdefault(key, []).append(Box(tuple(start), tuple(shape), told))
    places = []
    for place in live.places:
        boxes = tuple(sorted(found.get(place.record.key, ()), key=lambda box: box.start))
        places.append(replace(place, record=replace(place.record, boxes=boxes)))
    table = replace(live.table, tensors={place.record.key: place.record for place in places})
    return replace(live, places=places, table=table)


def _own(live: Any) -> Mapping[str, tuple[Box, ...]]:
    from kerasguard.models.kerases.backends import spread_boxes

    found = {}
    for place in live.places:
        if held := spread_boxes(place.variable):
            found[place.record.key] = tuple(
                Box(tuple(int(part.start or 0) for part in box), array.shape, digest(array))
                for box, array in held
            )
    return found


def _heard(channel: Any, place: str) -> str:
    limit = workers_limit()
    count = channel.get(place, limit)
    pieces = [channel.get(f"{place}/{n}", limit) for n in range(int(count or 0))]
    if count is None or None in pieces:
        raise ModelError(
            f"process {place.rpartition('/')[2]} did not say within {limit:g} s "
            f"({WORKERS_LIMIT} in the environment) what its devices hold; all processes need the "
            "callback or kerasguard.patch()"
        )
    for name in (place, *(f"{place}/{number}" for number in range(len(pieces)))):
        channel.drop(name)
    return "".join(pieces)


def _room(step: Path) -> str:
    return f"kerasguard/spread/{hashlib.sha256(str(step.absolute()).encode()).hexdigest()}"
