"""The pipelines that bring a model and a checkpoint together: plan, restore, load, and record.

Straight-line compositions of the floors below. Nothing is assigned until the plan is total and
every byte was compared with what was recorded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from kerasguard.identity.renames import Renames
from kerasguard.loader.attempt import Restored, attempt
from kerasguard.loader.config_argument import Config
from kerasguard.loader.request import Memory, Request
from kerasguard.loader.sources import Source
from kerasguard.planning.plan import Policy, Rate, RepairPlan
from kerasguard.recorder.recording import Recorded, record, save
from kerasguard.report import Report
from kerasguard.storage.sidecar import ManifestPolicy

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "Recorded",
    "Restored",
    "load",
    "plan",
    "preview",
    "record",
    "restore",
    "save",
]


class Older(TypedDict, total=False):
    """Spellings of options that have another one now."""

    allow_graph: bool


def plan(
    path: Source,
    model: Any = None,
    *,
    config: Config | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    registered: bool = True,
    skip: Collection[str] = (),
    only: Collection[str] | None = None,
    renames: Renames | None = None,
    repair: Policy = "exact",
    learning_rate: Rate = "auto",
    manifest: ManifestPolicy = "auto",
    digest: str | None = None,
    allow: str | Collection[str] = (),
    **older: Unpack[Older],
) -> RepairPlan:
    """What `restore` would do: a dry run that reads every byte and changes nothing.

    Args and errors as for `restore`; findings that cannot be repaired are in the plan's
    `unresolved` instead of an exception. No graph is run, whatever `allow` says.
    """
    with attempt(Request.of(locals(), keep=False)) as found:
        return found.decided


def preview(
    path: Source,
    model: Any = None,
    *,
    config: Config | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    registered: bool = True,
    skip: Collection[str] = (),
    only: Collection[str] | None = None,
    renames: Renames | None = None,
    repair: Policy = "exact",
    learning_rate: Rate = "auto",
    manifest: ManifestPolicy = "auto",
    allow: str | Collection[str] = (),
) -> Report:
    """`plan` as a report; arguments and errors as there."""
    with attempt(Request.of(locals(), keep=False)) as found:
        return found.report()


def restore(
    path: Source,
    model: Any = None,
    *,
    config: Config | None = None,
    strategy: Any = None,
    custom_objects: Mapping[str, Any] | None = None,
    registered: bool = True,
    compile: bool = True,  # noqa: A002  # Keras' own name for it
    skip: Collection[str] = (),
    only: Collection[str] | None = None,
    renames: Renames | None = None,
    repair: Policy = "exact",
    learning_rate: Rate = "auto",
    manifest: ManifestPolicy = "auto",
    digest: str | None = None,
    probe: bool = True,
    allow: str | Collection[str] = (),
    memory: Memory = "full",
    **older: Unpack[Older],
) -> Restored:
    """Restore a checkpoint: verified first, then assigned as a whole or not at all.

    Which checkpoint goes where: `path`, `model`, `config`, `strategy`, `custom_objects`,
    `registered`, `compile`. Which of its tensors, and as what: `skip`, `only`, `renames`, `repair`,
    `learning_rate`. Where it must come from, and what it may do: `manifest`, `digest`, `probe`,
    `allow`. At what cost: `memory`.

    Args:
        path: a file, a folder, a TensorFlow checkpoint's prefix; an address: MLflow's
            (`models:/...`, `runs:/...`), or one that fsspec or TensorFlow reads (`gs://...`,
            `s3://...`, `hf://...`); bytes or an open file; what `kerasguard.read` or `average`
            gave; or arrays in memory by the path of their variable (`{"head/kernel": array}`).
        model: to restore into; by default the model is built from the checkpoint.
        config: the architecture beside weights: the path of a `model.json`, its text, or the object
            in it, as `model.to_json()` of any Keras gives. It is migrated as a stored one. If the
            checkpoint has an architecture itself, the model that `config` describes is compared
            with it, as a model that you pass is.
        strategy: a `tf.distribute` strategy or a `keras.distribution` to create the model under; by
            default the active one. A model that you pass must already live on it. Under one of
            several workers all of them make the same call, each with a file of its own: all load
            the same checkpoint, or none does.
        custom_objects: classes and functions that the stored config names.
        registered: whether it may also name layers, losses and other parts of models that are
            registered with Keras in this process; False leaves what is passed or in a scope.
        compile: restore optimizer, loss and metrics too.
        skip: patterns for paths of the model's variables and layers that keep their values, with
            everything below them: `["head", "decoder/*"]`. `*` stays inside a level, `**` does not.
            Their counterparts in the checkpoint are not read; everything else is as strict as
            usual.
        only: patterns for the only parts that are loaded, with their optimizer state; `skip`
            excludes some of them.
        renames: patterns of stored names to expected ones, `{"old/*": "new/*"}`; a compiled
            pattern replaces what it finds in them (`{re.compile(r"[.]"): "_"}`); or a function
            that gives the expected name for a stored one, or None.
        repair: which repairs may be taken without asking: `off`, `exact` (lossless and the only
            one that the evidence allows), `lossy`, `guess`.
        learning_rate: `stored` takes the checkpoint's, `compiled` leaves the model's; `auto` is
            `compiled` for a model of yours and `stored` for one built from the checkpoint. The
            report shows both if they differ.
        manifest: `auto`, `require`, or `ignore` to load what is there unverified.
        digest: load only the checkpoint that has it: `"sha256:..."` of its file, or of its
            manifest, which covers all files; or `"xxh3:..."` of its weights, as MLflow's tag.
        probe: if the manifest has the model's outputs for an input, compute them again and refuse
            if they differ.
        allow: `"lambdas"` replaces the bytecode of Lambda layers with Keras operations if every
            part of it is understood; it is never run. `"graph"` runs the TensorFlow graph of a
            SavedModel that no Keras model can be rebuilt from; the result only predicts. A graph is
            a program: allow only those you trust. A tuple allows several.
        memory: `full` holds all new values beside the old ones of `model` until the last one is
            verified, which takes the checkpoint's size in memory. `low` takes no more than its
            largest tensor and about 40 MiB: it verifies in a first pass, and reads, compares and
            assigns one tensor after another in a second. If that fails, because the disk fails or
            something writes to the file, a large model holds some old and some new values, and the
            error says so. A model built from the checkpoint takes its size either way.
        older: `allow_graph=True`, the former spelling of `allow="graph"`.

    Raises:
        ArgumentError: an argument is not understood and nothing was opened; or a pattern matches
            nothing, and nothing was assigned.
        CheckpointError, ManifestError: something cannot be read, or does not match `digest`.
        ArchitectureError: no model can be built from the checkpoint.
        ModelError: `model` cannot take part.
        UnrepairableError: some tensor has no step that `repair` allows; nothing was assigned.
        RestoreError: assigning failed; the model is as it was before, unless the message
            says otherwise (`memory="low"`).
        WorkersError: one of several workers cannot go on; all of them raise it.
    """
    with attempt(Request.of(locals())) as found:
        return found.run()


def load(
    path: Source,
    model: Any = None,
    *,
    config: Config | None = None,
    strategy: Any = None,
    custom_objects: Mapping[str, Any] | None = None,
    registered: bool = True,
    compile: bool = True,  # noqa: A002  # Keras' own name for it
    skip: Collection[str] = (),
    only: Collection[str] | None = None,
    renames: Renames | None = None,
    repair: Policy = "exact",
    learning_rate: Rate = "auto",
    manifest: ManifestPolicy = "auto",
    digest: str | None = None,
    probe: bool = True,
    allow: str | Collection[str] = (),
    memory: Memory = "full",
    **older: Unpack[Older],
) -> Any:
    """The model that `restore` restores; arguments and errors as there.

    Example:
        >>> model = kerasguard.load("run/07.keras")  # doctest: +SKIP
    """
    with attempt(Request.of(locals())) as found:
        return found.run().model
