"""`WeightManifestCallback`: what is saved during training is recorded with its epoch."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from kerasguard.arguments import (
    check_choice,
    check_count,
    check_flag,
    check_observers,
    check_probe,
    check_text,
)
from kerasguard.errors import ArgumentError
from kerasguard.loader import resume
from kerasguard.models.kerases import Keras, of, present
from kerasguard.models.kerases.callback import Callback
from kerasguard.models.kerases.homes import is_served, strategy_of
from kerasguard.models.kerases.workers import is_chief, saves_together
from kerasguard.models.monitored import directions
from kerasguard.recorder.background import Background
from kerasguard.recorder.name_template import check_template
from kerasguard.recorder.patching import Context, arm
from kerasguard.recorder.retention import Retention
from kerasguard.tracking.mlflow_tracking import observer_for

__all__ = ["WeightManifestCallback"]

_log = logging.getLogger("kerasguard")


class WeightManifestCallback(Callback):
    """Writes a manifest beside every checkpoint saved of the model, during `fit` and afterwards.

    Whatever saves (`ModelCheckpoint`, another callback, MLflow's autologging after training, your
    own `model.save`), and in whatever order the callbacks run, the manifest holds the epoch, the
    step and the metrics at the time of the save. Saves of other models are left alone.

        model.fit(x, y, callbacks=[keras.callbacks.ModelCheckpoint("run/{epoch:02d}.keras"),
                                   kerasguard.WeightManifestCallback()])

    Args:
        filepath: also save the model there, as `ModelCheckpoint` would; takes `{epoch:02d}` and
            metrics such as `{val_loss:.2f}`. The following arguments are those of
            `ModelCheckpoint`. They apply only with `filepath`; `monitor` and `mode` apply with
            `keep` too.
        monitor: the metric that decides what is best.
        mode: `auto`, `min` or `max`.
        save_best_only: save only where `monitor` has improved.
        save_weights_only: save `.weights.h5` instead of a whole model.
        save_freq: `"epoch"`, or a number of batches.
        keep: after each save, whoever saved, delete this run's older checkpoints of the same
            template (paths that differ only in numbers), with manifest, companion and shards: all
            but this many of the newest and the best by `monitor`. A checkpoint is deleted only if
            it is byte for byte as recorded, a newer one verifies and, with MLflow, its manifest has
            arrived there. Where training resumes (`initial_epoch`), earlier checkpoints count too.
        log_to_mlflow: `"auto"` logs manifests where an MLflow run is active.
        strict: raise if recording fails, instead of warning; the checkpoint is saved either way.
        probe: record what the model computes from a seeded input, so that a load can check that it
            still does; `"layers"` or inputs of your own as for `kerasguard.record`. Only a probe
            notices that the body of a class or function of yours changed. Off by default: one call
            costs about a third of what Keras takes to save a ResNet50. Not available where several
            workers would have to take part.
        sha256: False to leave out the files' SHA-256, as for `kerasguard.record`.
        background: copy the model's values and save them in a thread, so that `fit` goes on. Takes
            the model's size in memory. Only one save runs at a time: the next one, and the end of
            training, wait for it and raise its errors. Until a checkpoint and its manifest are
            complete, the previous pair stays at the path. A model that only the training's own
            thread can save (distributed, code of your own that saves its variables, a probe) is
            saved there, and a warning says so once.
        verbose: 1 to report every save to `filepath`.
        observers: called after each save with an event whose `path` and `manifest` describe what
            was recorded.

    Under a strategy of several workers each of them needs the callback; what the chief saves is
    recorded and logged to MLflow, and nobody else writes to its path.

    Raises:
        ArgumentError: an argument is not understood, or needs `filepath`.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str] | None = None,
        *,
        monitor: str = "val_loss",
        mode: Literal["auto", "min", "max"] = "auto",
        save_best_only: bool = False,
        save_weights_only: bool = False,
        save_freq: Literal["epoch"] | int = "epoch",
        keep: int | None = None,
        log_to_mlflow: bool | Literal["auto"] = "auto",
        strict: bool = False,
        probe: Any = False,
        sha256: bool = True,
        background: bool = False,
        verbose: int = 0,
        observers: Iterable[Callable[[Any], object]] = (),
    ) -> None:
        check_count("keep", keep, None)
        check_probe(probe, inputs=True)
        _check(log_to_mlflow, strict=strict, sha256=sha256, background=background)
        options = {
            "monitor": monitor,
            "mode": mode,
            "save_best_only": save_best_only,
            "save_weights_only": save_weights_only,
            "save_freq": save_freq,
            "verbose": verbose,
        }
        _check_saver(options, filepath, with_best=keep is not None)
        super().__init__()
        # Nothing but plain data lives here: tuners copy callbacks before they train.
        self.log_to_mlflow, self.background = log_to_mlflow, background
        self._observers, self._given = check_observers(observers), (filepath, options)
        self._recording = Context(strict=strict, probe=probe, sha256=sha256, resumed=resume.finish)
        self._retention = None if keep is None else Retention(keep, monitor)
        self._monitored, self._fitting, self._batch = (monitor, mode), False, -1
        self._saver = None if filepath is None else _saver(present(), os.fspath(filepath), options)
        # Else Keras waits for every batch's result.
        self.async_safe = self._saver is None or save_freq == "epoch"

    def set_params(self, params: dict[str, Any]) -> None:
        """Keras tells how long the training will be."""
        super().set_params(params)
        if self._saver is not None:
            self._saver.set_params(params)

    def set_model(self, model: Any) -> None:
        """Keras tells which model; its saves are recorded from now on."""
        super().set_model(model)
        filepath, options = self._given
        if filepath is not None and model is not None:
            own = of(model)  # the saver stays where it is its own, and with it what was best so far
            if not isinstance(self._saver, own.functions("callbacks").ModelCheckpoint):
                self._saver = _saver((own,), os.fspath(filepath), options)
        if model is not None:
            # With parameter servers Keras allows of batches only who takes what is not there yet.
            self._supports_tf_logs = is_served(strategy_of(model))
            arm(model, self._recording)
        if self._saver is not None:
            self._saver.set_model(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget what an earlier training reported."""
        self._fitting = True
        self._recording.background = Background() if self.background else None
        self._recording.saves = 0
        self._recording.training = {}
        observer = observer_for(self.log_to_mlflow) if is_chief(self.model) else None
        told: list[Any] = [] if observer is None else [observer]
        told += self._observers
        if self._retention is not None and is_chief(self.model):
            self._retention.begin(logged=observer is not None)
            told.append(self._retention)  # last: what MLflow has not got yet stays
        self._recording.observers = tuple(told)
        if self._saver is not None:
            self._saver.on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Every save from now on belongs to this epoch."""
        self._batch = -1
        if self._retention is not None:
            self._retention.begin_epoch(epoch)
        self._recording.training = {"epoch": epoch, "metrics": {}, "complete": False}
        if self._saver is not None:
            self._saver.on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """The running metrics; at the last batch they are the epoch's."""
        if batch > self._batch:  # Keras may tell them from several threads
            if self._batch < 0 and self._retention is not None:
                self._retention.directions = directions(self.model, *self._monitored)
            self._batch = batch
            self._note(logs, _is_last(batch, self.params))
        if self._saver is not None and self._saves_here:
            self._saver.on_train_batch_end(batch, logs)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """The validation's metrics, which a callback before this one may save with already."""
        if self._fitting:
            self._note({f"val_{name}": value for name, value in (logs or {}).items()}, True)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """The epoch's metrics as every callback gets them."""
        metrics = dict(logs or {})
        self._recording.training = {"epoch": epoch, "metrics": metrics, "complete": True}
        if self._saver is not None and self._saves_here:
            self._saver.on_epoch_end(epoch, logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Report what has not reached MLflow yet, and whether nothing was saved.

        This does not wait: what is being sent is kept until it has arrived. The model stays armed.
        """
        self._fitting = False
        worker, self._recording.background = self._recording.background, None
        if worker is not None:
            worker.close()
        for observer in self._recording.observers:
            flush = getattr(observer, "flush", None)  # a plain callable has nothing on its way
            if flush is not None:
                flush(0.0)
        if self._retention is not None:
            self._retention.finish()
        if self._recording.saves == 0:
            _log.warning(
                "WeightManifestCallback: nothing was saved during fit, so nothing was recorded; "
                "add keras.callbacks.ModelCheckpoint or give this callback a filepath. What is "
                "saved of this model from now on is recorded."
            )

    @property
    def _saves_here(self) -> bool:
        """Whether this worker calls Keras' save; tf_keras keeps what it writes out of the way."""
        return is_chief(self.model) or saves_together(self.model)

    def _note(self, logs: dict[str, Any] | None, complete: bool | None) -> None:
        # A new dict each time: the save that reads it may run in another thread.
        training = self._recording.training
        later = logs is not None and not isinstance(logs, Mapping)
        metrics: Any = logs if later else {**training.get("metrics", {}), **(logs or {})}
        told = {name: value for name, value in training.items() if name != "complete"}
        known = {} if complete is None else {"complete": complete}
        self._recording.training = {**told, "metrics": metrics, **known}


def _is_last(batch: int, params: dict[str, Any] | None) -> bool | None:
    """Whether a batch ends its epoch; None where Keras does not know how many there are."""
    steps = (params or {}).get("steps")
    return batch + 1 >= steps if isinstance(steps, int) else None


def _check(log_to_mlflow: object, **flags: bool) -> None:
    check_choice("log_to_mlflow", log_to_mlflow, (True, False, "auto"))
    for name, value in flags.items():
        check_flag(name, value)


def _check_saver(options: dict[str, Any], filepath: object, *, with_best: bool) -> None:
    """Refuse what `ModelCheckpoint` would not understand, or would never be asked to obey."""
    check_text("monitor", options["monitor"])
    check_choice("mode", options["mode"], ("auto", "min", "max"))
    check_flag("save_best_only", options["save_best_only"])
    check_flag("save_weights_only", options["save_weights_only"])
    check_count("save_freq", options["save_freq"], "epoch")
    check_choice("verbose", options["verbose"], (0, 1, False, True))
    if filepath is not None:
        check_template("filepath", filepath)
        return
    usual = inspect.signature(WeightManifestCallback).parameters
    for name, value in options.items():
        if with_best and name in ("monitor", "mode"):
            continue
        if value != usual[name].default:
            raise ArgumentError(
                f"{name}={value!r} has an effect only with filepath=, which is not given; "
                "without it this callback saves nothing itself"
            )


def _saver(kerases: Sequence[Keras], filepath: str, options: dict[str, Any]) -> Any:
    """`ModelCheckpoint` of the first Keras that writes a file of this name."""
    refused: ValueError | None = None
    for keras in kerases:
        try:
            return keras.functions("callbacks").ModelCheckpoint(filepath, **options)
        except ValueError as error:  # Keras' answer to a suffix that it does not write
            refused = refused or error
    raise ArgumentError(f"filepath={filepath!r}: {refused}") from refused
