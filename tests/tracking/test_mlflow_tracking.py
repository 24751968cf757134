"""Manifests reach the run that was active, and nothing that MLflow does reaches the training."""

from __future__ import annotations

import copy
import json
import pickle
import socket
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from recorded_events import Event, event, file_record, manifest_of

from kerasguard.cli import main
from kerasguard.errors import ArgumentError, MissingPackageError
from kerasguard.manifest import Manifest
from kerasguard.tracking import mlflow_outbox, mlflow_parcel, mlflow_sending, mlflow_tracking
from kerasguard.tracking.mlflow_layout import by_digest
from kerasguard.tracking.mlflow_outbox import LIMIT
from kerasguard.tracking.mlflow_parcel import Parcel, absolute_store, kept_in, outbox_folder
from kerasguard.tracking.mlflow_tracking import MlflowObserver, observer_for

pytest_plugins = ("mlflow_store",)
pytestmark = [pytest.mark.mlflow, pytest.mark.filterwarnings("default:::mlflow")]

TAG, MANIFEST_TAG = "kerasguard.weights_digest", "kerasguard.manifest"


@pytest.fixture(autouse=True)
def _an_empty_outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KERASGUARD_OUTBOX", str(tmp_path / "outbox"))
    mlflow_tracking._outbox.reset()
    yield
    mlflow_tracking._outbox.reset()


def test_a_save_in_a_run_leaves_its_manifest_and_the_digest_in_the_run(
    mlflow: ModuleType, tmp_path: Path
) -> None:
    saved = event(tmp_path / "07.keras", 7)
    observer = MlflowObserver()
    with mlflow.start_run() as run:
        observer(saved)
        assert observer.flush(60)
    client = mlflow.MlflowClient()
    page = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/kerasguard/report.html")
    assert "layers/<wbr>dense/" in page
    tags = client.get_run(run.info.run_id).data.tags
    assert tags[TAG] == saved.manifest.weights_digest
    assert tags[MANIFEST_TAG] == "kerasguard/manifests/07.keras.manifest.json"
    assert _manifest(mlflow, run, tags[MANIFEST_TAG]) == saved.manifest
    sha256 = saved.manifest.files[0].sha256
    assert _manifest(mlflow, run, f"kerasguard/by-digest/{sha256[:16]}.json") == saved.manifest


def test_what_is_logged_is_strict_json_although_a_metric_was_not_a_number(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    with local_mlflow.start_run() as run:
        saved = event(tmp_path / "nan.keras", 0)
        MlflowObserver()(
            replace(saved, manifest=replace(saved.manifest, training={"loss": float("nan")}))
        )
        mlflow_tracking.flush(60)
    name = "kerasguard/manifests/nan.keras.manifest.json"
    text = local_mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{name}")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(text, parse_constant=refuse)["training"] == {"loss": "nan"}


def test_saves_of_the_same_name_are_all_kept_apart(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    with local_mlflow.start_run() as run:
        saves = [event(tmp_path / str(i) / "checkpoint.keras", i) for i in range(3)]
        for saved in saves:
            MlflowObserver()(saved)
        mlflow_tracking.flush(60)
    kept = _names(local_mlflow, run, "kerasguard/by-digest")
    assert kept == sorted(f"{s.manifest.files[0].sha256[:16]}.json" for s in saves)
    named = _names(local_mlflow, run, "kerasguard/manifests")
    assert "checkpoint.keras.manifest.json" in named
    logged = [_manifest(local_mlflow, run, f"kerasguard/manifests/{name}") for name in named]
    digests = {manifest.weights_digest for manifest in logged}
    assert digests == {saved.manifest.weights_digest for saved in saves}
    tags = local_mlflow.get_run(run.info.run_id).data.tags
    last = _manifest(local_mlflow, run, tags[MANIFEST_TAG])
    assert last == saves[-1].manifest


def test_saves_that_differ_only_in_a_small_file_have_names_of_their_own() -> None:
    big = (1000, "a" * 64)
    assert by_digest([big]) == "a" * 16
    first, second = by_digest([(10, "b" * 64), big]), by_digest([(10, "c" * 64), big])
    assert first != second
    assert first.startswith("a" * 16)
    assert by_digest([big, (10, "b" * 64)]) == first


def test_a_name_that_means_something_in_an_address_arrives_whole(
    mlflow: ModuleType, tmp_path: Path
) -> None:
    saved = event(tmp_path / "Größe #1 50%?.keras", 1)
    with mlflow.start_run() as run:
        MlflowObserver()(saved)
        mlflow_tracking.flush(60)
    names = _names(mlflow, run, "kerasguard/manifests")
    assert names == ["Größe _1 50__.keras.manifest.json"]


def test_without_an_active_run_nothing_is_logged_and_nothing_said(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    before = len(local_mlflow.search_runs())
    MlflowObserver()(event(tmp_path / "07.keras", 7))
    assert mlflow_tracking.flush(60)
    assert len(local_mlflow.search_runs()) == before


def test_log_to_mlflow_true_says_when_no_run_is_active(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    observer = observer_for(True)
    assert observer is not None
    with pytest.warns(UserWarning, match=r"07\.keras.*mlflow\.start_run"):
        observer(event(tmp_path / "07.keras", 7))


def test_log_to_mlflow_false_means_no_observer() -> None:
    assert observer_for(False) is None


def test_log_to_mlflow_refuses_other_words() -> None:
    with pytest.raises(ValueError, match="'always'"):
        observer_for("always")  # type: ignore[arg-type]


def test_log_to_mlflow_true_without_mlflow_fails_before_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingPackageError, match=r"kerasguard\[mlflow\]"):
        observer_for(True)


def test_auto_does_not_import_mlflow() -> None:
    program = """
        import sys
        from pathlib import Path
        from recorded_events import Event, manifest_of
        from kerasguard.tracking import mlflow_outbox, mlflow_sending, mlflow_tracking
        observer = mlflow_tracking.observer_for("auto")
        observer(Event(Path("a.keras"), manifest_of((), 0)))
        assert observer.flush()
        assert "mlflow" not in sys.modules
    """
    folder = str(Path(__file__).parent.parent / "support")
    done = _python(program, folder)
    assert done.returncode == 0, done.stderr


def test_a_half_imported_mlflow_is_taken_for_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    MlflowObserver()(event(tmp_path / "07.keras", 7))
    assert mlflow_tracking.flush(1)


def test_a_run_that_ended_meanwhile_still_gets_its_manifest(
    local_mlflow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    _hold(monkeypatch, gate)
    with local_mlflow.start_run() as run:
        MlflowObserver()(event(tmp_path / "07.keras", 7))
    uri = local_mlflow.get_tracking_uri()
    local_mlflow.set_tracking_uri("http://127.0.0.1:1")
    gate.set()
    assert mlflow_tracking.flush(60)
    local_mlflow.set_tracking_uri(uri)
    assert _names(local_mlflow, run, "kerasguard/manifests") == ["07.keras.manifest.json"]


def test_each_thread_logs_to_its_own_run(local_mlflow: ModuleType, tmp_path: Path) -> None:
    observer, runs = MlflowObserver(), {}

    def train(name: str) -> None:
        with local_mlflow.start_run() as run:
            runs[name] = run
            observer(event(tmp_path / name, len(name)))

    threads = [threading.Thread(target=train, args=(f"{'x' * i}.keras",)) for i in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert mlflow_tracking.flush(60)
    assert len(runs) == 3
    for name, run in runs.items():
        assert _names(local_mlflow, run, "kerasguard/manifests") == [f"{name}.manifest.json"]


@pytest.mark.parametrize("remake", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_a_copied_observer_logs_as_the_original_would(
    local_mlflow: ModuleType, tmp_path: Path, remake: Callable[[Any], Any]
) -> None:
    observer = remake(MlflowObserver(required=True))
    assert observer == MlflowObserver(required=True)
    with local_mlflow.start_run() as run:
        observer(event(tmp_path / "07.keras", 7))
        assert observer.flush(60)
    assert _names(local_mlflow, run, "kerasguard/manifests") == ["07.keras.manifest.json"]


def test_a_failing_store_costs_one_warning_per_run_and_no_exception(
    local_mlflow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(local_mlflow.MlflowClient, "log_text", fail)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(2):
            with local_mlflow.start_run() as run:
                for i in range(4):
                    MlflowObserver()(event(tmp_path / f"{i}.keras", i))
                    mlflow_tracking.flush(60)
    told = [str(w.message) for w in seen if "manifest" in str(w.message)]
    assert len(told) == 2
    assert "0.keras: its manifest was not logged" in told[1]
    assert "disk full" in told[1]
    assert run.info.run_id in told[1]
    assert "kerasguard mlflow-sync" in told[1]


def test_a_companion_that_goes_while_it_is_sent_keeps_nothing_else_back(
    local_mlflow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = event(tmp_path / "m.keras", 0)
    kept = tmp_path / "m.keras.companion-00000000.safetensors"
    kept.write_bytes(b"kept")
    real = local_mlflow.MlflowClient.log_artifact

    def late(self: Any, run_id: str, path: str, *rest: Any) -> None:
        if Path(path) == kept:
            kept.unlink()
        real(self, run_id, path, *rest)

    monkeypatch.setattr(local_mlflow.MlflowClient, "log_artifact", late)
    manifest = replace(saved.manifest, companion=file_record(kept, kept.name))
    with local_mlflow.start_run() as run, warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        MlflowObserver()(replace(saved, manifest=manifest))
        assert mlflow_tracking.flush(60)
    assert not kept.exists()
    tags = local_mlflow.MlflowClient().get_run(run.info.run_id).data.tags
    assert tags[TAG] == manifest.weights_digest


def test_a_failure_does_not_keep_later_manifests_back(
    local_mlflow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = local_mlflow.MlflowClient.log_text, []

    def fail_once(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError("for a moment")
        return real(*arguments)

    monkeypatch.setattr(local_mlflow.MlflowClient, "log_text", fail_once)
    with local_mlflow.start_run() as run, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for i in range(2):
            MlflowObserver()(event(tmp_path / f"{i}.keras", i))
        assert mlflow_tracking.flush(60)
    assert any("for a moment" in str(w.message) for w in seen)
    kept = _names(local_mlflow, run, "kerasguard/manifests")
    assert kept == ["0.keras.manifest.json", "1.keras.manifest.json"]  # tried again
    tags = local_mlflow.get_run(run.info.run_id).data.tags
    assert tags[MANIFEST_TAG].endswith("1.keras.manifest.json")  # but not the last save
    assert not _waiting()


def test_a_server_that_is_down_does_not_hold_the_training_up(
    local_mlflow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with local_mlflow.start_run():
        with socket.socket() as deaf:  # accepts and never answers
            deaf.bind(("127.0.0.1", 0))
            deaf.listen()
            local_mlflow.set_tracking_uri(f"http://127.0.0.1:{deaf.getsockname()[1]}")
            start = time.monotonic()
            for i in range(5):
                MlflowObserver()(event(tmp_path / f"{i}.keras", i))
            assert time.monotonic() - start < 0.5
            start = time.monotonic()
            assert not mlflow_tracking.flush(0.0)  # as at the end of `fit`
            assert time.monotonic() - start < 0.1
            assert len(_waiting()) == 5
        assert mlflow_tracking._outbox.drain(60)  # or the thread goes on beside other tests
        local_mlflow.set_tracking_uri(None)


def test_more_manifests_than_fit_in_memory_wait_on_the_disk(
    local_mlflow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    _hold(monkeypatch, gate)
    saves = [event(tmp_path / f"{i:02}.keras", i) for i in range(LIMIT + 3)]
    with local_mlflow.start_run() as run:
        for saved in saves:
            MlflowObserver()(saved)
        assert len(mlflow_tracking._outbox._waiting) == LIMIT
        assert len(_waiting()) == LIMIT + 3
        gate.set()
        assert mlflow_tracking.flush(60)
    assert len(_names(local_mlflow, run, "kerasguard/manifests")) == LIMIT + 3
    assert not _waiting()


def test_what_has_not_arrived_is_known_of_this_process_and_of_earlier_ones(
    local_mlflow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the deletion of old checkpoints has to know."""
    gate = threading.Event()
    _hold(monkeypatch, gate)
    saves = [event(tmp_path / f"{i}.keras", i) for i in range(2)]
    ids = {saved.manifest.checkpoint_id for saved in saves}
    with local_mlflow.start_run():
        for saved in saves:
            MlflowObserver()(saved)
        assert mlflow_tracking.waiting() == ids
        assert mlflow_tracking._outbox.unsent == ids
        gate.set()
        assert mlflow_tracking.flush(60)
    assert mlflow_tracking.waiting() == set()
    Parcel.of("sqlite:///gone.db", "0" * 32, None, saves[0])  # an earlier process left it
    assert mlflow_tracking.waiting() == {saves[0].manifest.checkpoint_id}


def test_what_cannot_be_kept_on_the_disk_is_sent_from_memory(
    local_mlflow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERASGUARD_OUTBOX", str(tmp_path / "file" / "outbox"))
    with local_mlflow.start_run() as run:
        MlflowObserver()(event(tmp_path / "07.keras", 7))
        assert mlflow_tracking.flush(60)
    assert _names(local_mlflow, run, "kerasguard/manifests") == ["07.keras.manifest.json"]


def test_what_an_earlier_process_left_is_sent_with_the_next_save(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    uri = local_mlflow.get_tracking_uri()
    with local_mlflow.start_run() as earlier:
        Parcel.of(uri, earlier.info.run_id, None, event(tmp_path / "old.keras", 1))
    assert len(_waiting()) == 1
    with local_mlflow.start_run():
        MlflowObserver()(event(tmp_path / "new.keras", 2))
        assert mlflow_tracking.flush(60)
    assert _names(local_mlflow, earlier, "kerasguard/manifests") == ["old.keras.manifest.json"]
    assert not _waiting()


def test_sync_sends_what_is_kept_and_says_what_the_store_refuses(
    local_mlflow: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = local_mlflow.get_tracking_uri()
    with local_mlflow.start_run() as run:
        pass
    saved = event(tmp_path / "07.keras", 7)
    kept = tmp_path / "07.keras.companion-00000000.safetensors"
    kept.write_bytes(b"kept")
    manifest = replace(saved.manifest, companion=file_record(kept, kept.name))
    Parcel.of(uri, run.info.run_id, None, replace(saved, manifest=manifest))
    kept.unlink()  # a later save replaced it; the outbox has its own
    Parcel.of(uri, "0" * 32, None, event(tmp_path / "unknown.keras", 1))
    Parcel.of(f"sqlite:///{tmp_path}/no.db", run.info.run_id, None, event(tmp_path / "a.keras", 2))
    assert main(["mlflow-sync"]) == 1
    told = capsys.readouterr().out
    assert "07.keras" in told
    assert "unknown.keras" in told
    assert "a.keras" in told
    assert [parcel.path.name for parcel in kept_in(outbox_folder())] == ["a.keras"]
    assert not (tmp_path / "no.db").exists()
    assert _names(local_mlflow, run, "kerasguard/manifests") == ["07.keras.manifest.json"]
    assert _names(local_mlflow, run, "kerasguard/companions") == [kept.name]


def test_sync_of_an_empty_outbox_asks_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mlflow-sync"]) == 0
    assert "nothing waits" in capsys.readouterr().out


def test_an_earlier_save_that_arrives_late_leaves_the_tags_of_the_last(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    uri = local_mlflow.get_tracking_uri()
    with local_mlflow.start_run() as run:
        early = Parcel.of(uri, run.info.run_id, None, event(tmp_path / "1.keras", 1))
        late = Parcel.of(uri, run.info.run_id, None, event(tmp_path / "2.keras", 2))
    for parcel in (late, early):
        mlflow_sending.send(parcel)
    tags = local_mlflow.get_run(run.info.run_id).data.tags
    assert tags[TAG] == late.manifest.weights_digest
    assert "2.keras" in tags["mlflow.note.content"]


def test_the_run_tells_the_verdict_and_the_users_own_note_stays(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    for own in (None, "mine"):
        with local_mlflow.start_run(description=own) as run:
            for seed in range(2):
                MlflowObserver()(event(tmp_path / f"{seed}.keras", seed))
            assert mlflow_tracking.flush(60)
        tags = local_mlflow.get_run(run.info.run_id).data.tags
        assert tags["kg"] == "recorded, all finite"
        if own:
            assert tags["mlflow.note.content"] == own
        else:
            assert "1.keras" in tags["mlflow.note.content"]


def test_a_parcel_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = Parcel.of("http://h:1", "r", "m-1", event(tmp_path / "07.keras", 7))
    assert list(kept_in(outbox_folder())) == [made]
    assert made.kept is not None
    assert made.kept.stat().st_mode & 0o077 == 0
    made.discard()
    assert not _waiting()


def test_a_store_named_by_a_relative_path_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_store("sqlite:///m.db") == f"sqlite:///{tmp_path}/m.db"
    assert absolute_store("mlruns") == f"{tmp_path}/mlruns"
    for uri in ("sqlite:////m.db", "http://h:1", "databricks", "databricks://profile", "file:/x"):
        assert absolute_store(uri) == uri


@pytest.mark.slow
def test_a_script_that_ends_at_once_has_logged_its_manifest(
    local_mlflow: ModuleType, tmp_path: Path
) -> None:
    with local_mlflow.start_run() as run:
        pass
    uri = local_mlflow.get_tracking_uri()
    program = f"""
        import concurrent.futures, mlflow
        from pathlib import Path
        from recorded_events import event
        from kerasguard.tracking.mlflow_tracking import MlflowObserver
        mlflow.set_tracking_uri({uri!r})
        real = mlflow.MlflowClient.log_text
        # As object stores upload: through an executor.
        def upload(*a):
            with concurrent.futures.ThreadPoolExecutor() as pool:
                return pool.submit(real, *a).result()
        mlflow.MlflowClient.log_text = upload
        with mlflow.start_run({run.info.run_id!r}):
            MlflowObserver()(event(Path({str(tmp_path)!r}) / "last.keras", 1))
    """
    done = _python(program, str(Path(__file__).parent.parent / "support"))
    assert done.returncode == 0, done.stderr
    assert "last.keras" not in done.stderr
    assert _names(local_mlflow, run, "kerasguard/manifests") == ["last.keras.manifest.json"]


def test_the_files_of_a_checkpoint_are_recorded_as_they_lie_there(tmp_path: Path) -> None:
    saved = event(tmp_path / "07.keras", 7)
    assert saved == Event(saved.path, manifest_of((file_record(saved.path, "07.keras"),), 7))


def _waiting() -> list[Path]:
    return sorted(outbox_folder().glob("*.parcel.json"))


def _hold(monkeypatch: pytest.MonkeyPatch, gate: threading.Event) -> None:
    real = mlflow_sending.send

    def send(parcel: Any) -> None:
        assert gate.wait(60)
        real(parcel)

    monkeypatch.setattr(mlflow_outbox, "send", send)


def _manifest(mlflow: ModuleType, run: Any, artifact: str) -> Manifest:
    return Manifest.from_json(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{artifact}"))


def _names(mlflow: ModuleType, run: Any, folder: str) -> list[str]:
    found = mlflow.MlflowClient().list_artifacts(run.info.run_id, folder)
    return sorted(info.path.removeprefix(f"{folder}/") for info in found)


def _python(program: str, tests: str) -> subprocess.CompletedProcess[str]:
    setup = f"import sys; sys.path[:0] = [{tests!r}, {str(Path(tests).parent)!r}]\n"
    return subprocess.run(
        [sys.executable, "-c", setup + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_outbox_that_is_a_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "outbox"
    place.write_text("")
    monkeypatch.setenv("KERASGUARD_OUTBOX", str(place))
    with pytest.raises(ArgumentError, match="this is none"):
        mlflow_tracking.sync(lambda _: None)
    with pytest.warns(UserWarning, match="this is none"):
        mlflow_parcel._tell_of_no_folder()
