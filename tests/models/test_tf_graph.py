"""SavedModels that are programs: refused, or run as they are where the caller says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kerasguard
from kerasguard.errors import (
    ArchitectureError,
    CorruptCheckpointError,
    ModelError,
    UnrepairableError,
)

pytestmark = pytest.mark.keras

GOLDEN = Path(__file__).parent.parent / "golden" / "saved_model"
EXPORT = "tf2.21.0-mlp"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """What `Model.export` of Keras 3 wrote."""
    return Path(shutil.copytree(GOLDEN / EXPORT, tmp_path / "export"))


@pytest.fixture
def arrays() -> dict[str, Any]:
    with np.load(GOLDEN / f"{EXPORT}.npz") as found:
        return dict(found)


@pytest.fixture
def never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    def load(*_: object, **__: object) -> None:
        pytest.fail("a graph was loaded")

    monkeypatch.setattr(tf.saved_model, "load", load)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Saves a `tf.Module`, with a signature made of a function or without one."""
    import tensorflow as tf

    def save(function: Callable[..., Any], *specs: Any, signature: bool) -> Path:
        module = tf.Module()
        module.weight = tf.Variable([[1.0], [2.0]])
        run = tf.function(lambda *a: function(module.weight, *a), input_signature=specs)
        signatures = run if signature else None
        tf.saved_model.save(module, str(tmp_path / "module"), signatures=signatures)
        return tmp_path / "module"

    return save


@pytest.mark.usefixtures("never_run")
def test_a_program_is_refused_with_both_lines_to_write(export: Path) -> None:
    with pytest.raises(ArchitectureError) as refused:
        kerasguard.load(export)
    message = str(refused.value)
    assert "TensorFlow program" in message
    assert "kerasguard.load(path, allow_graph=True)" in message
    assert "kerasguard.load(path, model=model)" in message


def test_a_program_keeps_the_learning_rate_that_it_was_saved_with(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.optimizer = tf.Module()
    module.optimizer.learning_rate = tf.Variable(0.25, name="learning_rate")
    module.serve = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec([None, 1])])
    tf.saved_model.save(module, str(tmp_path / "module"))
    table = kerasguard.inspect(tmp_path / "module").table
    assert "learning_rate" in {record.slot for record in table.tensors.values()}
    model = kerasguard.load(tmp_path / "module", allow_graph=True)
    np.testing.assert_allclose(model.predict(np.ones((1, 1), "float32"), verbose=0), [[2.0]])


@pytest.mark.parametrize("reads_a_slot", [False, True])
def test_a_program_predicts_without_its_optimizers_slots_or_is_refused(
    tmp_path: Path, *, reads_a_slot: bool
) -> None:
    import tensorflow as tf

    module, path = tf.Module(), tmp_path / "module"
    module.weight = tf.Variable(3.0)
    module.optimizer = tf.compat.v1.train.MomentumOptimizer(0.1, 0.9)
    module.optimizer.minimize(lambda: module.weight * 1.0, var_list=[module.weight])
    slot = module.optimizer.get_slot(module.weight, "momentum")
    factor = slot if reads_a_slot else module.weight
    module.serve = tf.function(lambda x: factor * x, input_signature=[tf.TensorSpec([None, 1])])
    tf.saved_model.save(module, str(path))
    with pytest.raises(AttributeError, match="add_slot"):
        tf.saved_model.load(str(path))
    if reads_a_slot:
        with pytest.raises(ArchitectureError, match=r"reads Variable/Momentum:0.*optimizer"):
            kerasguard.load(path, allow_graph=True)
        return
    model = kerasguard.load(path, allow_graph=True)
    found = model.predict(np.ones((1, 1), "float32"), verbose=0)
    np.testing.assert_allclose(found, [[2.9]], rtol=1e-6)


def test_an_allowed_program_predicts_what_it_did(export: Path, arrays: dict[str, Any]) -> None:
    restored = kerasguard.restore(export, allow_graph=True)
    shutil.rmtree(export)
    np.testing.assert_allclose(
        restored.model.predict(arrays["x0"], verbose=0), arrays["y0"], atol=1e-6
    )
    assert [f.code for f in restored.report.findings] == ["KG442"]
    assert restored.model.trainable is False
    with pytest.raises(ModelError, match="keep the SavedModel"):
        restored.model.get_config()
    with pytest.raises(ModelError, match=r"takes float32\(any, 6\), not"):
        restored.model.call([arrays["x0"], arrays["x0"]])


@pytest.mark.usefixtures("never_run")
def test_a_dry_run_runs_no_program(export: Path) -> None:
    plan = kerasguard.plan(export, allow_graph=True)
    assert plan.total
    assert all(step.sources == (step.target,) for step in plan.steps)


@pytest.mark.usefixtures("never_run")
def test_a_program_that_changed_after_it_was_recorded_is_not_run(export: Path) -> None:
    kerasguard.record(export)
    program = bytearray((export / "saved_model.pb").read_bytes())
    program[len(program) // 2] ^= 1
    (export / "saved_model.pb").write_bytes(program)
    with pytest.raises((UnrepairableError, CorruptCheckpointError)):
        kerasguard.load(export, allow_graph=True)


def test_a_recorded_program_is_verified_and_run(export: Path, arrays: dict[str, Any]) -> None:
    kerasguard.record(export)
    restored = kerasguard.restore(export, allow_graph=True)
    assert restored.report.origin == "recorded"
    assert restored.report.proven == len(restored.report.outcomes) > 0
    np.testing.assert_allclose(
        restored.model.predict(arrays["x0"], verbose=0), arrays["y0"], atol=1e-6
    )


def test_classes_that_nobody_supplies_leave_two_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kerasguard.formats.saved_model import SavedModel

    folder = Path(shutil.copytree(GOLDEN / "tf2.15.1-mlp", tmp_path / "custom"))
    stored = SavedModel.architecture

    def renamed(self: SavedModel) -> Any:
        config = stored(self)
        assert config is not None
        config["config"]["layers"][1]["class_name"] = "Own"
        return config

    monkeypatch.setattr(SavedModel, "architecture", renamed)
    with pytest.raises(ArchitectureError) as refused:
        kerasguard.load(folder)
    assert 'custom_objects={"Own": Own}' in str(refused.value)
    assert "allow_graph=True" in str(refused.value)
    with np.load(GOLDEN / "tf2.15.1-mlp.npz") as arrays:
        restored = kerasguard.restore(folder, allow_graph=True)
        found = restored.model.predict(arrays["x0"], verbose=0)
        np.testing.assert_allclose(found, arrays["y0"], atol=1e-6)
    (finding,) = restored.report.findings
    assert "Own" in finding.message
    assert "\n" not in finding.message


def test_a_signature_takes_its_inputs_by_name_and_never_guesses_their_order(
    saved: Callable[..., Path],
) -> None:
    import tensorflow as tf

    b, a = (tf.TensorSpec([None, 2], tf.float32, name=n) for n in "ba")
    path = saved(lambda w, x, y: {"x": x, "sum": x @ w + y @ w}, b, a, signature=True)
    model = kerasguard.load(path, allow_graph=True)
    one, two = np.ones((1, 2), "float32"), np.full((1, 2), 2, "float32")
    found = model.predict({"b": one, "a": two}, verbose=0)
    assert list(found) == ["sum", "x"]
    assert found["sum"].tolist() == [[9.0]]
    assert found["x"].tolist() == [[1.0, 1.0]]
    with pytest.raises(ModelError, match=r"takes \{'[ab]': float32\(any, 2\), '[ab]': "):
        model.call([one, two])
    with pytest.raises(ModelError):
        model.call({"a": one})


def test_a_program_without_a_function_to_call_is_refused(saved: Callable[..., Path]) -> None:
    path = saved(lambda w: w, signature=False)
    with pytest.raises(ArchitectureError, match="no function to predict with"):
        kerasguard.load(path, allow_graph=True)
