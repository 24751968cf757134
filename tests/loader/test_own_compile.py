"""Models whose class overrides `compile`, which Keras calls for no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

keras = pytest.importorskip("keras")
from keras_zoo import MARKS  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402

pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore:`compile.*was not called:UserWarning")]


@keras.saving.register_keras_serializable("own_compile")
class Scaled(keras.Model):  # type: ignore[misc, name-defined]
    """Takes two arguments that Keras does not know, an optimizer among them."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.head = keras.layers.Dense(3)

    def build(self, shape: Any) -> None:
        self.head.build(shape)
        self.built = True

    def call(self, x: Any) -> Any:
        return self.head(x)

    def compile(self, optimizer: Any, scale: float, second: Any, **more: Any) -> None:
        super().compile(optimizer, **more)
        self.scale, self.second = scale, second


@keras.saving.register_keras_serializable("own_compile")
class Told(Scaled):
    """Says itself how it is compiled."""

    def get_compile_config(self) -> dict[str, Any]:
        return {"optimizer": "sgd", "scale": self.scale, "second": None}

    def compile_from_config(self, config: Any) -> None:
        self.compile(**config)


def saved(cls: Any, path: Path, *, recorded: bool, loss: Any = "mae") -> Any:
    model = cls()
    model.build((None, 4))
    second = keras.optimizers.SGD(0.2, momentum=0.9) if recorded else None
    model.compile(keras.optimizers.Nadam(0.03), 0.7, second, loss=loss)
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(5)
    if recorded:
        with kg.patched():
            model.save(path)
    else:
        model.save(path)
    return model


@pytest.mark.parametrize("recorded", [True, False])
def test_what_an_override_passed_on_is_compiled_again(tmp_path: Path, recorded: bool) -> None:
    path = tmp_path / "m.keras"
    saved(Scaled, path, recorded=recorded)
    restored = kg.restore(path)
    assert restored.model.loss == "mae"
    assert type(restored.model.optimizer).__name__ == "Nadam"
    assert int(restored.model.optimizer.iterations) == 5
    (finding,) = [f for f in restored.report.findings if f.code == "KG430"]
    assert f"its own ({'scale' if recorded else 'scale, second'})" in finding.message
    assert not [f for f in restored.report.findings if f.severity is not kg.Severity.INFO]


def test_a_class_that_says_how_it_is_compiled_is_compiled_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    saved(Told, path, recorded=False)
    restored = kg.restore(path)
    assert restored.model.scale == 0.7
    assert "KG430" not in {f.code for f in restored.report.findings}


def test_a_loss_that_is_not_at_hand_leaves_the_model_uncompiled_and_is_named(
    tmp_path: Path,
) -> None:
    def nowhere(y: Any, predicted: Any) -> Any:
        return keras.ops.mean(keras.ops.abs(y - predicted))

    path = tmp_path / "m.keras"
    saved(Scaled, path, recorded=False, loss=nowhere)
    if tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 16):  # tells the function's module
        with pytest.raises(kg.KerasguardError, match=r'\{"nowhere": nowhere\}.*compile=False'):
            kg.load(path)
        return
    (finding,) = [f for f in kg.restore(path).report.findings if f.code == "KG430"]
    assert "nowhere" in finding.message
    assert finding.severity is kg.Severity.WARNING
