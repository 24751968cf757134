"""A callback that `fit` of either Keras takes."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["Callback"]

Base: Any = keras.callbacks.Callback


class Callback(Base):  # type: ignore[misc]  # Keras has no types
    """A callback of Keras 3, with the answers that tf_keras asks of one besides."""

    _supports_tf_logs = False
    _chief_worker_only = None

    def _implements_train_batch_hooks(self) -> bool:
        return True

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False
