"""The live model as a sink: tensors and assets go in completely, or the model stays as it was."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from kerasguard.errors import RestoreError
from kerasguard.models import assets as keras_assets
from kerasguard.models import variables
from kerasguard.models.hidden import Hidden
from kerasguard.models.journal import Journal, label_of, named, transaction
from kerasguard.models.kerases.backends import to_numpy
from kerasguard.models.listings import listings
from kerasguard.models.live_model import facts_of, places
from kerasguard.models.placeholders import skipped_of
from kerasguard.models.proof import proven
from kerasguard.models.traced import derive, finalise, is_normalisation, retrace
from kerasguard.models.unwritten import hidden_state, merged_parts
from kerasguard.models.walk import Visit, habits_for, walk
from kerasguard.planning.deferred import Deferred, specs_of
from kerasguard.tensors import Table
from kerasguard.tensors.elements import Array

__all__ = ["Sink"]

# What a load that is short of memory keeps of the model's old values, to take them back.
_ROOM = 32 << 20


class Sink:
    """A model to be filled.

    Args:
        model: a built model; under a strategy, one built in its scope.
        keys: of the checkpoint's format, as in `Traits.keys`. Where it is `order`, the checkpoint
            has the variables that layers list, as legacy files do, not what they would store.
    """

    def __init__(self, model: Any, *, keys: str = "walk") -> None:
        self.model, listed = model, keys == "order"
        self.visits = tuple(walk(model, habits_for(model, keys)))
        found = places(self.visits, listed=listed)
        self._by_variable = {place.visit.path for place in found if place.listed}
        self.places = {place.record.key: place for place in found}
        self.listed = listings(self.visits, found) if listed else {}
        self._arrays = {p.visit.path for p in self.places.values() if p.variable is None}
        stored = tuple(self.places.values())
        state = hidden_state(model, self.visits, stored, variables_only=listed)
        self.hidden = {item.record.key: item for item in state}
        self.merged_parts = merged_parts(state)
        records = [place.record for place in self.places.values()]
        records += [held.record for held in state if not held.merged]
        self.table = Table.of(records, **facts_of(model, self.visits))
        self.vocabularies = keras_assets.vocabularies(self.visits)

    def filled_by(self, keys: Iterable[str]) -> list[Any]:
        """The variables that `assign` gives a value when it is given these keys.

        Those of a layer that loads itself are not among them: the layer decides what it fills.
        """
        keys = list(keys)
        found = [self.places[key] for key in keys if key in self.places]
        held = [self.hidden[key].holder for key in keys if key in self.hidden]
        visits = {place.visit.path: place.visit for place in found}
        plain = {path for path, visit in visits.items() if self._is_plain(visit)}
        return [*(place.variable for place in found if place.visit.path in plain), *held]

    def _is_plain(self, visit: Visit) -> bool:
        if visit.path in self._by_variable:
            return True
        return visit.plain and visit.path not in self._arrays

    @property
    def open_layers(self) -> frozenset[str]:
        """Layers that cannot tell yet what they store, and take what the checkpoint has.

        A lookup that was never adapted does not know its weights' shape before it is loaded.
        """
        return frozenset(visit.path for visit in self.visits if visit.stored() is None)

    def holds(self, key: str) -> Array | None:
        """What the variable with this key holds now; None where there is none."""
        variable = self.variable(key)
        return None if variable is None else _to_array(variable)

    def variable(self, key: str) -> Any:
        """The variable with this key; None where there is none."""
        if key in self.hidden:
            return self.hidden[key].holder if self.hidden[key].is_variable else None
        return self.places[key].variable if key in self.places else None

    @cached_property
    def open_keys(self) -> frozenset[str]:
        """Keys of what may have any length: boundaries that `adapt` finds."""
        hidden = (key for key, held in self.hidden.items() if not held.is_variable)
        shapes = {k: getattr(place.variable, "shape", ()) for k, place in self.places.items()}
        return frozenset((*hidden, *(key for key, shape in shapes.items() if None in tuple(shape))))

    def assign(
        self,
        values: Mapping[str, Array],
        assets: Mapping[str, bytes] | None = None,
        then: Callable[[], None] | None = None,
    ) -> frozenset[str]:
        """Give the model these tensors and assets, all of them or none.

        A model that was built without running its initialisers runs those of all variables that
        get no tensor here, once, before anything is assigned. There is nothing to return to if
        filling it fails: it has to be built anew.

        Arrays in C order whose memory starts at a multiple of 64 bytes are taken over without
        a copy; they must not be changed afterwards.

        Args:
            values: by key of the table; a tensor that is not there keeps its value. Where they are
                `Deferred` each is made when its turn comes, and few of the old values are kept:
                if something fails then, the model holds some old and some new ones.
            assets: as for `load_assets`.
            then: called at the end; if it raises, the model is as before, too.

        Returns:
            The keys of the tensors whose bytes, read again, are under their variables. A layer
            that loads itself may make something else of what it is given.

        Raises:
            RestoreError: a tensor does not fit, or assigning failed; the model is as before.
        """
        self._check(values)
        skipped, filled = skipped_of(self.model), self.filled_by(values)
        if skipped is not None:
            skipped.fill(except_variables=filled)
        room = _ROOM if isinstance(values, Deferred) else None
        with transaction(keep=skipped is None, room=room) as journal:
            journal.variables(filled)
            same = self._assign(values, journal)
            if assets:
                self._load_assets(assets, journal)
            if not isinstance(values, Deferred):
                same = self._proven(values)
            if then is not None:
                then()
        return same

    def load_assets(self, assets: Mapping[str, bytes]) -> None:
        """Give layers their assets (vocabularies), all of them or none.

        Args:
            assets: bytes by path, `layers/string_lookup/vocabulary.txt`.

        Raises:
            RestoreError: nobody takes an asset, or a layer failed; the model is as before.
        """
        with transaction() as journal:
            self._load_assets(assets, journal)

    def _check(self, values: Mapping[str, Array]) -> None:
        free_keys = self.open_keys
        unknown = [k for k in values if k not in self.places and k not in self.hidden]
        free = self.open_layers if unknown else frozenset()
        for key in unknown:
            if key.rpartition("/vars/")[0] not in free:
                raise RestoreError(f"{key}: the model has no such tensor; nothing was assigned")
        for key, spec in specs_of(values).items():
            held = self.hidden.get(key)
            place = self.places.get(key) or held
            if key in free_keys:
                continue  # of any length
            if place is not None and spec != place.record.spec:
                raise RestoreError(
                    f"{place.record.label}: got {spec}, the model expects "
                    f"{place.record.spec}; nothing was assigned"
                )

    def _assign(self, values: Mapping[str, Array], journal: Journal) -> frozenset[str]:
        """Assign everything; the keys that were compared at once, since the values are not kept."""
        same: frozenset[str] = frozenset()
        at_once = self._proven if isinstance(values, Deferred) else lambda _: frozenset()
        by_path: dict[str, dict[str, str]] = {}
        put_back: list[Hidden] = []
        for key in values:
            if key in self.hidden:
                put_back.append(self.hidden[key])
                continue
            path, _, name = key.rpartition("vars/")
            by_path.setdefault(path.rstrip("/"), {})[name] = key
        own = any(is_normalisation(held.layer) for held in put_back)
        given = (visit for visit in self.visits if visit.path in by_path)
        for plain, run in groupby(given, self._is_plain):
            visits = list(run)
            if plain:
                keys = [key for visit in visits for key in by_path[visit.path].values()]
                for some in [[key] for key in keys] if isinstance(values, Deferred) else [keys]:
                    arrays = {key: values[key] for key in some}
                    self._write(arrays, journal)
                    same |= at_once(arrays)
                for visit in visits:
                    derive(self.model, visit.object, journal)
                continue
            own = True
            for visit in visits:
                names = by_path[visit.path]
                arrays = {name: values[key] for name, key in names.items()}
                self._load_own(visit, arrays, journal)
                same |= at_once({names[name]: array for name, array in arrays.items()})
        for held in put_back:  # what was loaded as one may be parts again
            array = values[held.record.key]
            self._put_back(held, array, journal)
            same |= at_once({held.record.key: array})
        if own:
            inside = (held.layer for held in put_back)
            finalise(self.model, [*(visit.object for visit in self.visits), *inside], journal)
        return same

    def _proven(self, values: Mapping[str, Array]) -> frozenset[str]:
        return proven(values, self.places, self.hidden)

    def _write(self, arrays: Mapping[str, Array], journal: Journal) -> None:
        found = [self.places[key] for key in arrays]
        for place in found:
            journal.variable(place.variable)
        ways = variables.ways([place.variable for place in found], list(arrays.values()))
        for place, array, way in zip(found, arrays.values(), ways, strict=True):
            with named(place.record.label, "could not be assigned"):
                variables.write(place.variable, array, way)

    def _put_back(self, held: Hidden, array: Array, journal: Journal) -> None:
        """Give the model what Keras had not written."""
        if held.is_variable:
            journal.variable(held.holder)
        else:
            journal.layer(held.holder)
            retrace(self.model, journal)
        with named(held.record.label, "could not be assigned"):
            held.write(array)

    def _load_own(self, visit: Visit, arrays: Mapping[str, Array], journal: Journal) -> None:
        """Call the object's own `load_own_variables` with copies of all of its arrays."""
        self._remember(visit, journal)
        now = {name: _to_array(value) for name, value in (visit.stored() or {}).items()}
        given = {name: np.array(array) for name, array in arrays.items()}
        store = dict(sorted({**now, **given}.items()))
        with named(label_of(visit), f"load_own_variables failed with {', '.join(store)}"):
            visit.object.load_own_variables(store)

    def _load_assets(self, assets: Mapping[str, bytes], journal: Journal) -> None:
        takers = [v for v in self.visits if hasattr(v.object, "load_assets")]
        folders = keras_assets.claimed_folders(assets, takers)
        looking = keras_assets.lookups(self.visits, folders)
        for visit in looking:  # whose constructor was given a vocabulary takes no other, else
            journal.layer(visit.object)
            visit.object.input_vocabulary = visit.object.input_idf_weights = None
        with tempfile.TemporaryDirectory(prefix="kerasguard-") as folder:
            keras_assets.write_files(Path(folder), assets)
            for visit in takers:
                place = Path(folder, visit.path)
                if place.is_dir() and (visit.path or ".") in folders:
                    self._remember(visit, journal)
                    with named(label_of(visit), "load_assets failed"):
                        visit.object.load_assets(str(place))
        keras_assets.check_read_back(looking, assets)
        if assets:
            retrace(self.model, journal)

    def _remember(self, visit: Visit, journal: Journal) -> None:
        """The object and everything inside it."""
        for other in self.visits:
            if other is visit or other.path.startswith(f"{visit.path}/" if visit.path else ""):
                journal.layer(other.object)


def _to_array(value: Any) -> Array:
    array: Array = np.array(to_numpy(value))
    return array
