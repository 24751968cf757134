"""Workers that agree and hand files over, as threads that share a dictionary."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import kerasguard as kg
from kerasguard.arguments import WORKERS_LIMIT, workers_limit
from kerasguard.errors import ArgumentError, CheckpointError, WorkersError
from kerasguard.loader import handing_over, peers
from kerasguard.loader.reading import Reading
from kerasguard.planning.agreement import Statement
from kerasguard.storage import sidecar


class Store:
    """What the engines have: keys that are told once and waited for."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.changed = threading.Condition()


class Channel:
    def __init__(self, store: Store, rank: int, count: int) -> None:
        self.store, self.rank, self.count = store, rank, count

    def put(self, key: str, text: str) -> None:
        with self.store.changed:
            assert key not in self.store.texts, key
            self.store.texts[key] = text
            self.store.changed.notify_all()

    def get(self, key: str, seconds: float) -> str | None:
        with self.store.changed:
            self.store.changed.wait_for(lambda: key in self.store.texts, seconds)
            return self.store.texts.get(key)

    def abort(self, reason: str) -> None:
        raise AssertionError(reason)  # no test here has a worker that stops

    def drop(self, key: str) -> None:
        with self.store.changed:
            del self.store.texts[key]


class Crew:
    """So many workers, each in a thread; what each returned or raised."""

    def __init__(self, count: int = 2, seconds: float = 5.0) -> None:
        self.store = Store()
        room = "kerasguard/test"
        self.members = [
            peers.Peers(Channel(self.store, rank, count), "run/07.keras", seconds)
            for rank in range(count)
        ]
        for one in self.members:
            one.room = room

    def work(self, *jobs: Callable[[peers.Peers], Any]) -> list[Any]:
        def result(number: int) -> Any:
            try:
                return jobs[number](self.members[number])
            except Exception as error:  # noqa: BLE001  # looked at by the test
                return error

        with ThreadPoolExecutor(len(jobs)) as pool:
            return list(pool.map(result, range(len(jobs))))


def test_all_go_on_where_all_did_the_same() -> None:
    crew = Crew(3)
    assert crew.work(*[lambda p: p.agree(Statement("done", content="a"), "plan")] * 3) == [None] * 3
    assert set(crew.store.texts) == {"kerasguard/test/0/verdict"}


def test_one_error_on_all_names_the_worker_and_the_reason() -> None:
    def fails(one: peers.Peers) -> None:
        with one.failing("plan"):
            raise ValueError("no room")
        one.agree(Statement("done"), "plan")

    def goes(one: peers.Peers) -> None:
        with one.failing("plan"):
            pass
        one.agree(Statement("done"), "plan")

    found = Crew(3).work(goes, fails, goes)
    assert all(isinstance(error, WorkersError) for error in found)
    assert len({str(error) for error in found}) == 1
    assert found[0].reasons == {1: "no room"}
    assert "run/07.keras: not loaded by any of the 3 workers" in str(found[0])
    assert isinstance(found[1].__cause__, ValueError)


def test_every_worker_raises_its_own_error_where_all_met_the_same() -> None:
    def fails(one: peers.Peers) -> None:
        with one.failing("plan"):
            raise ValueError(f"at {one.rank}")

    assert [str(error) for error in Crew().work(fails, fails)] == ["at 0", "at 1"]


def test_nobody_waits_longer_than_the_limit() -> None:
    def silent(one: peers.Peers) -> None:
        pass

    def agrees(one: peers.Peers) -> None:
        one.agree(Statement("done"), "plan")

    for jobs, named in (((agrees, silent), 1), ((silent, agrees), 0)):
        start = time.monotonic()
        errors = [e for e in Crew(seconds=0.3).work(*jobs) if e is not None]
        assert time.monotonic() - start < 3
        assert [e.reasons.keys() for e in errors] == [{named}]
        assert "did not answer for 0.3 s" in str(errors[0])
        assert WORKERS_LIMIT in str(errors[0])


def test_a_worker_that_comes_too_late_is_told_so() -> None:
    def agrees(one: peers.Peers) -> None:
        one.agree(Statement("done"), "plan")

    def late(one: peers.Peers) -> None:
        time.sleep(0.8)
        agrees(one)

    found = Crew(seconds=0.2).work(agrees, late)
    assert all(isinstance(error, WorkersError) for error in found)
    assert all(error.reasons.keys() == {1} for error in found)


def test_the_limit_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert workers_limit() == 300
    monkeypatch.setenv(WORKERS_LIMIT, "12.5")
    assert workers_limit() == 12.5
    for wrong in ("soon", "0", "-1", "nan", "inf"):
        monkeypatch.setenv(WORKERS_LIMIT, wrong)
        with pytest.raises(ArgumentError, match=WORKERS_LIMIT):
            workers_limit()


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A checkpoint of several pieces."""
    path = tmp_path / "own" / "m.safetensors"
    path.parent.mkdir()
    values = np.random.default_rng(0).normal(size=(1500, 1500)).astype("float32")
    save_file({"head/kernel": values, "head/bias": values[0]}, path)
    kg.record(path)
    return path


def given(path: Path) -> Callable[[peers.Peers], None]:
    def give(one: peers.Peers) -> None:
        with Reading(path) as reading:
            reading.finish()
            handing_over.give(one, reading, [1, 2])

    return give


def test_what_is_handed_over_arrives_whole_and_leaves_nothing(
    recorded: Path, tmp_path: Path
) -> None:
    def take(one: peers.Peers) -> Path:
        folder = tmp_path / str(one.rank)
        folder.mkdir()
        return handing_over.take(one, folder)

    crew = Crew(3)
    _, *places = crew.work(given(recorded), take, take)
    for place in places:
        assert place.read_bytes() == recorded.read_bytes()
        assert sidecar.read(place) == sidecar.read(recorded)
        assert kg.verify(place).verdict == "as recorded"
        assert len(list(place.parent.iterdir())) == 2
    assert not crew.store.texts


def test_a_taker_that_cannot_go_on_stops_the_giver(recorded: Path, tmp_path: Path) -> None:
    def take(one: peers.Peers) -> Path:
        folder = tmp_path / str(one.rank)
        folder.mkdir()
        if one.rank == 2:
            (folder / "m.safetensors").write_text("in the way")
        return handing_over.take(one, folder)

    giver, _, taker = Crew(3, seconds=1).work(given(recorded), take, take)
    assert isinstance(giver, CheckpointError)
    assert "worker 2 stopped accepting it" in str(giver)
    assert "File exists" in str(taker)


@pytest.mark.parametrize("name", ["/etc/passwd", "../m.keras", "a/../../b", ""])
def test_no_file_is_put_outside_of_the_folder(name: str, tmp_path: Path) -> None:
    def send(one: peers.Peers) -> None:
        told: Mapping[str, Any] = {"name": name, "files": {}, "manifest": 0}
        one.channel.put(f"{one.room}/files", __import__("json").dumps(told))

    _, error = Crew().work(send, lambda one: handing_over.take(one, tmp_path))
    assert isinstance(error, ValueError)
    assert not list(tmp_path.iterdir())
