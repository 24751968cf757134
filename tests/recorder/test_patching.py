from __future__ import annotations

import builtins
import gc
import inspect
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.saving import save_model as save_model_imported_early

import kerasguard as kg
from kerasguard.errors import PatchError
from kerasguard.recorder import recording
from kerasguard.recorder.patching import Context, arm, disarm
from kerasguard.storage import sidecar

pytestmark = pytest.mark.keras

METHODS = ("save", "save_weights", "export")
HOMES = [(keras.Model, name) for name in METHODS] + [
    (module, name)
    for module in (keras.saving, keras.models)
    for name in ("save_model", "save_weights")
    if hasattr(module, name)
]


def saving_functions() -> list[Any]:
    return [vars(owner)[name] for owner, name in HOMES]


STOCK = saving_functions()


@pytest.fixture(autouse=True)
def _stock_again() -> Iterator[None]:
    yield
    kg.unpatch()
    assert saving_functions() == STOCK


@pytest.fixture
def model() -> keras.Model:
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="body"), keras.layers.Dense(1, name="head")]
    )
    model.compile("sgd", "mse")
    return model


class Spy:
    """Counts what reaches `recording.save` and lets it through."""

    def __init__(self) -> None:
        self.calls: list[tuple[Path, Any, dict[str, Any]]] = []
        self.save = recording.save

    def __call__(self, write: Any, path: Path, model: Any, **options: Any) -> Any:
        self.calls.append((path, model, options))
        return self.save(write, path, model, **options)

    @property
    def paths(self) -> list[str]:
        return [path.name for path, _, _ in self.calls]


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    spy = Spy()
    monkeypatch.setattr(recording, "save", spy)
    return spy


# Not every Keras 3 has them.
ZIPPED = "zipped" in inspect.signature(keras.saving.save_model).parameters
SHARDS = "max_shard_size" in inspect.signature(keras.Model.save_weights).parameters

SAVES: dict[str, Callable[[keras.Model, Path], Any]] = {
    "a.keras": lambda m, p: m.save(p),
    "b.keras": lambda m, p: m.save(str(p), overwrite=True),
    "c.keras": lambda m, p: m.save(filepath=p),
    "e.weights.h5": lambda m, p: m.save_weights(p),
    "g.keras": lambda m, p: keras.saving.save_model(m, p),
    "h.keras": lambda m, p: keras.models.save_model(model=m, filepath=str(p)),
    "j.keras": lambda m, p: save_model_imported_early(m, p),
    "tf.keras": lambda m, p: tf.keras.models.save_model(m, p),
    "k.h5": lambda m, p: m.save(p, include_optimizer=False),
    "l.h5": lambda m, p: save_model_imported_early(m, str(p), include_optimizer=False),
}
if ZIPPED:
    SAVES["d"] = lambda m, p: m.save(p, zipped=False)
if SHARDS:
    SAVES["f.weights.json"] = lambda m, p: m.save_weights(p, max_shard_size=1)
if hasattr(keras.saving, "save_weights"):
    SAVES["i.weights.h5"] = lambda m, p: keras.saving.save_weights(m, p)


@pytest.mark.parametrize("name", SAVES)
def test_every_public_way_to_save_is_recorded_once(
    tmp_path: Path, model: keras.Model, spy: Spy, name: str
) -> None:
    kg.patch()
    assert SAVES[name](model, tmp_path / name) is None
    assert spy.paths == [name]
    assert spy.calls[0][1] is model
    manifest = sidecar.read(tmp_path / name)
    assert manifest is not None
    assert sidecar.describes(manifest, tmp_path / name)
    assert {"body", "head"} <= {
        r.name.split("/")[-2] for r in manifest.table.tensors.values() if "/" in r.name
    }
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", [n for n in SAVES if n != "f.weights.json"])
def test_what_is_saved_loads_as_without_us(tmp_path: Path, model: keras.Model, name: str) -> None:
    with kg.patched():
        SAVES[name](model, tmp_path / name)
        SAVES[name](model, tmp_path / name)
    before = [w.numpy() for w in model.weights]
    if "weights" in name:
        for weight in model.weights:
            weight.assign(weight * 0)
        model.load_weights(tmp_path / name)
        loaded = model
    else:
        loaded = keras.models.load_model(tmp_path / name, compile=False)
    for old, new in zip(before, loaded.weights, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.skipif(not SHARDS, reason="this Keras has no shards")
def test_shards_that_were_saved_over_others_load_as_without_us(
    tmp_path: Path, model: keras.Model
) -> None:
    size = 100 / 1024**3
    with kg.patched():
        model.save_weights(tmp_path / "m.weights.json", max_shard_size=size)
        model.weights[0].assign(model.weights[0] + 1)
        model.save_weights(tmp_path / "m.weights.json", max_shard_size=size)
    before = [w.numpy() for w in model.weights]
    for weight in model.weights:
        weight.assign(weight * 0)
    model.load_weights(tmp_path / "m.weights.json")
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_an_export_happens_once_and_tells_the_path_that_was_given(
    tmp_path: Path, model: keras.Model, spy: Spy, capsys: pytest.CaptureFixture[str]
) -> None:
    with kg.patched(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(tmp_path / "served")
    assert spy.paths == ["served"]
    assert (tmp_path / "served" / "saved_model.pb").exists()
    printed = capsys.readouterr().out
    assert f"'{tmp_path / 'served'}'" in printed
    assert ".kg-" not in printed


def test_unpatch_puts_back_the_very_same_functions(model: keras.Model) -> None:
    kg.patch()
    assert not set(map(id, saving_functions())) & set(map(id, STOCK))
    kg.unpatch()
    assert all(now is then for now, then in zip(saving_functions(), STOCK, strict=True))


def test_patching_twice_is_patching_once(tmp_path: Path, model: keras.Model, spy: Spy) -> None:
    kg.patch()
    once = saving_functions()
    kg.patch()
    assert saving_functions() == once
    model.save(tmp_path / "m.keras")
    assert spy.paths == ["m.keras"]
    kg.unpatch()
    kg.unpatch()
    assert saving_functions() == STOCK


def test_patched_ends_with_its_block_also_by_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), kg.patched():
        1 / (saving_functions() == STOCK)
    assert saving_functions() == STOCK


def test_patched_blocks_nest_and_overlap() -> None:
    outer, inner = kg.patched(), kg.patched()
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert saving_functions() != STOCK
    inner.__exit__(None, None, None)
    assert saving_functions() == STOCK


def test_a_patched_block_leaves_an_earlier_patch_in_place() -> None:
    kg.patch()
    with kg.patched():
        pass
    assert saving_functions() != STOCK


def test_unpatch_is_done_where_somebody_else_has_put_the_original_back(
    tmp_path: Path, model: keras.Model, spy: Spy
) -> None:
    original = keras.Model.save
    kg.patch()
    keras.Model.save = original
    kg.patch()
    assert keras.Model.save is not original
    model.save(tmp_path / "m.keras")
    assert kg.verify(tmp_path / "m.keras").origin == "recorded"
    keras.Model.save = original
    kg.unpatch()
    assert keras.Model.save is original


def test_unpatch_refuses_to_take_back_what_somebody_else_has_wrapped(
    tmp_path: Path, model: keras.Model, spy: Spy
) -> None:
    kg.patch()
    ours = keras.Model.save

    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ours(self, *args, **kwargs)

    keras.Model.save = theirs
    try:
        with pytest.raises(PatchError, match=r"Model\.save: patched by another library"):
            kg.unpatch()
        model.save(tmp_path / "m.keras")
        assert spy.paths == ["m.keras"], "and recording goes on"
    finally:
        keras.Model.save = ours
    kg.unpatch()
    assert saving_functions() == STOCK


def test_a_wrapper_that_somebody_kept_only_passes_calls_on_afterwards(
    tmp_path: Path, model: keras.Model, spy: Spy
) -> None:
    kg.patch()
    kept = model.save
    kg.unpatch()
    kept(tmp_path / "m.keras")
    assert spy.paths == []
    assert (tmp_path / "m.keras").exists()


def test_signature_name_and_documentation_stay(model: keras.Model) -> None:
    kg.patch()
    for now, then in zip(saving_functions(), STOCK, strict=True):
        assert inspect.signature(now) == inspect.signature(then)
        assert now.__doc__ == then.__doc__
        assert now.__qualname__ == then.__qualname__


class Overriding(keras.Model):  # type: ignore[misc]
    """A subclass with a save of its own, as users write them."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = keras.layers.Dense(2)

    def call(self, inputs: Any) -> Any:
        return self.inner(inputs)

    def save(self, folder: Path, note: str = "") -> str:
        folder.mkdir()
        super().save(folder / "model.keras")
        (folder / "note.txt").write_text(note)
        return "done"

    def save_weights(self, filepath: Any, **kwargs: Any) -> None:
        keras.saving.save_model(self, filepath.with_suffix(".keras"))
        super().save_weights(filepath, **kwargs)


def test_overridden_methods_are_recorded_by_what_they_call(tmp_path: Path, spy: Spy) -> None:
    model = Overriding()
    model(np.zeros((1, 2)))
    with kg.patched():
        assert model.save(tmp_path / "run", note="mine") == "done"
    assert spy.paths == ["model.keras"]
    assert sidecar.read(tmp_path / "run" / "model.keras") is not None
    assert (tmp_path / "run" / "note.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m, p: m.save(p / "m.txt"),
        lambda m, p: m.save(p / "m.keras", zipped=False),
        lambda m, p: m.save(p / "none" / "m.keras"),
        lambda m, p: m.save(p),
        lambda m, p: m.save(),
        lambda m, p: m.save(p / "m.keras", nonsense=1),
        lambda m, p: m.save(p / "m", save_format="tf"),
        lambda m, p: m.save_weights(p / "m.h5"),
        lambda m, p: m.save_weights(p / "m.weights.json", max_shard_size=1e-12),
        lambda m, p: m.save_weights(p / "m.weights.h5", True, 1, 2),
        lambda m, p: m.export(p / "m", format="nonsense"),
        lambda m, p: m.save(None),
        lambda m, p: m.save(3),
        lambda m, p: keras.Sequential().save_weights(p / "m.weights.h5"),
        lambda m, p: keras.saving.save_model(m),
    ],
)
def test_wrong_use_raises_exactly_what_keras_raises(
    tmp_path: Path, model: keras.Model, wrong: Callable[[keras.Model, Path], None]
) -> None:
    try:
        wrong(model, tmp_path)
    except Exception as error:  # noqa: BLE001  # whatever this Keras raises
        stock = error
    else:
        pytest.skip("this Keras takes it")
    before = sorted(tmp_path.rglob("*"))
    with kg.patched(), pytest.raises(type(stock)) as ours:
        wrong(model, tmp_path)
    assert str(ours.value) == str(stock)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_error_inside_keras_leaves_the_old_pair_and_is_raised(
    tmp_path: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    kg.patch()
    model.save(tmp_path / "m.keras")
    content = (tmp_path / "m.keras").read_bytes()

    def fail(self: Any) -> Any:
        raise RuntimeError("no config today")

    monkeypatch.setattr(keras.Sequential, "get_config", fail)
    with pytest.raises(RuntimeError, match="no config today"):
        model.save(tmp_path / "m.keras")
    assert (tmp_path / "m.keras").read_bytes() == content
    manifest = sidecar.read(tmp_path / "m.keras")
    assert manifest is not None
    assert sidecar.describes(manifest, tmp_path / "m.keras")


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.h5"])
@pytest.mark.parametrize("answer", ["y", "n"])
def test_the_overwrite_prompt_asks_once_about_the_path_that_was_given(
    tmp_path: Path,
    model: keras.Model,
    spy: Spy,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    name: str,
) -> None:
    path = tmp_path / name
    method = "save_weights" if "weights" in name else "save"
    getattr(model, method)(path)
    before = path.stat().st_ino
    asked: list[str] = []

    def asking(text: str) -> str:
        asked.append(text)
        return answer

    monkeypatch.setattr(builtins, "input", asking)
    with kg.patched():
        getattr(model, method)(path, overwrite=False)
    assert asked == [f"[WARNING] {path} already exists - overwrite? [y/n]"]
    assert (path.stat().st_ino != before) == (answer == "y")
    assert (sidecar.read(path) is not None) == (answer == "y")


def test_overwrite_false_does_not_ask_where_nothing_lies(
    tmp_path: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(builtins, "input")
    with kg.patched():
        model.save(tmp_path / "m.keras", overwrite=False)
    assert sidecar.read(tmp_path / "m.keras") is not None


def test_an_address_that_nothing_here_knows_goes_to_keras_as_it_is_with_one_warning(
    model: keras.Model, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras.src.saving import saving_lib

    told = []
    monkeypatch.setattr(saving_lib, "save_model", lambda m, path, **_: told.append(path))
    with (
        kg.patched(),
        pytest.warns(UserWarning, match="nowhere://b/m.keras: saved without") as seen,
    ):
        model.save("nowhere://b/m.keras")
    assert told == ["nowhere://b/m.keras"]
    assert len([w for w in seen if w.category is UserWarning]) == 1
    assert spy.paths == []


def test_a_save_elsewhere_that_failed_is_not_called_a_save(model: keras.Model) -> None:
    with kg.patched(), warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with pytest.raises(Exception, match="nowhere"):
            model.save("nowhere://b/m.keras")


def test_where_recording_fails_the_save_has_happened_and_a_warning_tells(
    tmp_path: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kg.patched():
        model.save(tmp_path / "m.keras")
    model.weights[0].assign(model.weights[0] + 1)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("kerasguard has a bad day")

    monkeypatch.setattr(recording, "save", fail)
    with kg.patched(), pytest.warns(UserWarning, match="saved, but not recorded.*bad day"):
        model.save(tmp_path / "m.keras")
    assert sidecar.read(tmp_path / "m.keras") is None, "the old manifest is of the old file"
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.weights[0], model.weights[0])


def test_where_our_shortcut_fails_keras_walks_as_slowly_as_ever(
    tmp_path: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kerasguard.models import fast_walk

    def fail(kind: str) -> None:
        raise RuntimeError(f"this Keras knows no {kind}")

    monkeypatch.setattr(fast_walk, "attribute_skipset", fail)
    with kg.patched(), pytest.warns(UserWarning, match="not recorded: this Keras knows no"):
        model.save(tmp_path / "m.keras")
    keras.models.load_model(tmp_path / "m.keras")


@pytest.mark.parametrize("when", ["before", "after"])
def test_strict_raises_where_recording_fails_and_the_save_has_happened(
    tmp_path: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def fail(write: Any, path: Path, model: Any, **_: Any) -> None:
        if when == "after":
            from kerasguard.storage.commit import staged

            with staged(path) as stage:
                stage.write(write)
                raise RuntimeError("a bad day")
        raise RuntimeError("a bad day")

    monkeypatch.setattr(recording, "save", fail)
    with kg.patched(strict=True), pytest.raises(RuntimeError, match="a bad day"):
        model.save(tmp_path / "m.keras")
    keras.models.load_model(tmp_path / "m.keras")


def test_only_an_armed_model_is_recorded(tmp_path: Path, model: keras.Model, spy: Spy) -> None:
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    context = Context(training={"epoch": 3, "metrics": {"loss": 0.5}})
    arm(model, context)
    other.save(tmp_path / "other.keras")
    model.save(tmp_path / "m.keras")
    assert spy.paths == ["m.keras"]
    assert context.saves == 1
    manifest = sidecar.read(tmp_path / "m.keras")
    assert manifest is not None
    assert manifest.training["epoch"] == 3
    assert manifest.training["metrics"] == {"loss": 0.5}
    disarm(model, context)
    assert saving_functions() == STOCK


def test_an_armed_model_that_is_collected_leaves_nothing_behind() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    arm(model, Context())
    assert saving_functions() != STOCK
    del model
    gc.collect()
    assert saving_functions() == STOCK


def test_an_armed_model_keeps_its_recording_when_a_patched_block_ends(
    tmp_path: Path, model: keras.Model, spy: Spy
) -> None:
    context = Context()
    arm(model, context)
    with kg.patched():
        pass
    model.save(tmp_path / "m.keras")
    assert spy.paths == ["m.keras"]


def test_a_copy_of_an_armed_model_is_another_model(
    tmp_path: Path, model: keras.Model, spy: Spy
) -> None:
    arm(model, Context())
    keras.models.clone_model(model).save(tmp_path / "clone.keras")
    assert spy.paths == []


def test_observers_of_all_who_record_are_told_once_each(tmp_path: Path, model: keras.Model) -> None:
    told: list[Any] = []
    arm(model, Context(observers=(told.append,)))
    arm(model, Context(observers=(told.append,)))
    with kg.patched():
        model.save(tmp_path / "m.keras")
    assert [event.path for event in told] == [tmp_path / "m.keras"]
    assert told[0].manifest == sidecar.read(tmp_path / "m.keras")


def test_threads_may_patch_and_save_at_once(tmp_path: Path, model: keras.Model) -> None:
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(3):
                with kg.patched():
                    path = tmp_path / f"{number}-{turn}.weights.h5"
                    model.save_weights(path)
                    assert sidecar.read(path) is not None
        except BaseException as error:  # noqa: BLE001  # told to the test below
            problems.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not problems
    assert saving_functions() == STOCK


def test_a_save_inside_a_save_is_part_of_it(tmp_path: Path, spy: Spy) -> None:
    class Nested(keras.layers.Dense):  # type: ignore[misc]
        def save_own_variables(self, store: Any) -> None:
            super().save_own_variables(store)
            keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(
                tmp_path / "inner.keras"
            )

    model = keras.Sequential([keras.Input((2,)), Nested(1)])
    with kg.patched():
        model.save(tmp_path / "outer.keras")
    assert "outer.keras" in spy.paths
    assert spy.paths.count("outer.keras") == 1
    assert "inner.keras" not in spy.paths
    assert (tmp_path / "inner.keras").exists()


def test_a_path_like_object_is_handed_on_as_a_path(
    tmp_path: Path, model: keras.Model, spy: Spy
) -> None:
    class PathLike:
        def __fspath__(self) -> str:
            return str(tmp_path / "mödel.keras")

        def __str__(self) -> str:
            return self.__fspath__()

    with kg.patched():
        model.save(PathLike())
    assert spy.paths == ["mödel.keras"]
    assert sidecar.read(tmp_path / "mödel.keras") is not None


def test_what_keras_writes_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    layers = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    model = keras.Sequential([*layers, keras.layers.Dense(2, dtype="bfloat16")])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.save_weights(tmp_path / "stock.weights.h5")
    with kg.patched(strict=True):
        model.save_weights(tmp_path / "ours.weights.h5")
    stock, ours = ((tmp_path / f"{n}.weights.h5").read_bytes() for n in ("stock", "ours"))
    assert ours == stock
