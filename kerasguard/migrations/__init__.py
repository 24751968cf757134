"""Changes between the Keras that wrote a file and Keras 3, as functions from JSON to JSON.

A migration is one module for one cause. `migrate` applies those that the writer's version calls
for, in the order of `MIGRATIONS`, to a copy of the stored architecture; the result is what
`keras.saving.deserialize_keras_object` of Keras 3 reads, and predicts what the writer's model did.

The order matters in seven places: names of a backend's own classes go first, since what the model
is compiled from has them; that is taken out next, as no part of the architecture; what lies among
the weights is written into the layers as the writer's Keras spelled them; what gives the writer
away is looked at before it is rewritten; old names become today's before anything is looked up by
name; calls get Keras 3's form before anything rewires the graph; modules come last, because
everything else may make new layers.

Start with `sequential_list`, the shortest. No migration knows another one, or reads a file.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kerasguard.blueprint.working import Blueprint, Migration
from kerasguard.blueprint.writer import Writer
from kerasguard.errors import ArchitectureError
from kerasguard.migrations import (
    activation_functions,
    adapted_boundaries,
    adapted_shapes,
    added_losses,
    attention_layers,
    axis_lists,
    backend_classes,
    bare_operations,
    batch_statistics,
    bilinear_upsampling,
    causal_separable,
    channels_first,
    class_names,
    compile_arguments,
    compile_config,
    convolution_options,
    cudnn_layers,
    dtype_policy,
    dynamic_shapes,
    empty_cropping,
    encoded_values,
    foreign_references,
    gru_reset_after,
    hard_sigmoid,
    hashing_salt,
    inbound_nodes,
    initial_state,
    input_shapes,
    keras1_arguments,
    keras1_merge,
    keras1_objects,
    lambda_functions,
    layer_names,
    locally_connected,
    mask_names,
    merged_masks,
    mixed_writers,
    modules,
    random_crop,
    recurrent_options,
    removed_layers,
    renamed_arguments,
    resizing_methods,
    sequential_list,
    shared_axes,
    tensorflow_functions,
    tensorflow_nodes,
    theano_padding,
    unknown_arguments,
)
from kerasguard.planning.findings import Finding

__all__ = ["MIGRATIONS", "drawn", "migrate", "run"]

MIGRATIONS: tuple[Migration, ...] = (
    backend_classes.MIGRATION,
    compile_arguments.MIGRATION,
    adapted_shapes.MIGRATION,
    shared_axes.MIGRATION,
    adapted_boundaries.MIGRATION,
    mixed_writers.MIGRATION,
    sequential_list.MIGRATION,
    encoded_values.MIGRATION,
    bare_operations.MIGRATION,
    class_names.MIGRATION,
    keras1_arguments.MIGRATION,
    keras1_objects.MIGRATION,
    inbound_nodes.MIGRATION,
    keras1_merge.MIGRATION,
    added_losses.MIGRATION,
    input_shapes.MIGRATION,
    dynamic_shapes.MIGRATION,
    tensorflow_functions.MIGRATION,
    tensorflow_nodes.MIGRATION,
    lambda_functions.MIGRATION,
    dtype_policy.MIGRATION,
    cudnn_layers.MIGRATION,
    gru_reset_after.MIGRATION,
    recurrent_options.MIGRATION,
    initial_state.MIGRATION,
    hard_sigmoid.MIGRATION,
    axis_lists.MIGRATION,
    convolution_options.MIGRATION,
    causal_separable.MIGRATION,
    renamed_arguments.MIGRATION,
    attention_layers.MIGRATION,
    hashing_salt.MIGRATION,
    random_crop.MIGRATION,
    removed_layers.MIGRATION,
    resizing_methods.MIGRATION,
    channels_first.MIGRATION,
    theano_padding.MIGRATION,
    batch_statistics.MIGRATION,
    empty_cropping.MIGRATION,
    bilinear_upsampling.MIGRATION,
    locally_connected.MIGRATION,
    activation_functions.MIGRATION,
    merged_masks.MIGRATION,
    layer_names.MIGRATION,
    mask_names.MIGRATION,
    unknown_arguments.MIGRATION,
    compile_config.MIGRATION,
    modules.MIGRATION,
    foreign_references.MIGRATION,
)


def migrate(
    architecture: Mapping[str, Any],
    writer: Mapping[str, str],
    known: frozenset[str] = frozenset(),
    allow: frozenset[str] = frozenset(),
    registered: Mapping[str, bool] = MappingProxyType({}),
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Turn a stored architecture into one that Keras 3 reads.

    Args:
        architecture: `{"class_name": ..., "config": ...}` as the file has it; stays as it is.
        writer: what the file tells of its writer: `keras`, `tensorflow`, `backend`, and the
            `config`'s form.
        known: names of the classes, functions and Lambda layers that the caller supplies
            (the keys of `custom_objects`, and what is registered with Keras).
        allow: what the caller allows beyond what is safe for any file: `lambdas`.
        registered: what is registered and the caller did not pass, by name; False where no file
            may have it called.

    Returns:
        The migrated architecture and what was done. Findings of severity ERROR say why the
        architecture cannot be built, and what the caller can supply.

    Raises:
        ArchitectureError: the stored JSON is not an architecture: something in it is not what every
            Keras writes there.
    """
    blueprint = drawn(architecture, writer, known=known, allow=allow, registered=registered)
    run(blueprint)
    return blueprint.architecture, tuple(blueprint.findings)


def drawn(architecture: Mapping[str, Any], writer: Mapping[str, str], **more: Any) -> Blueprint:
    """A blueprint of a stored architecture; arguments as for `migrate`, `more` as in the class."""
    told = dict(writer)
    if not told.get("keras") and (shown := mixed_writers.shown_by(architecture)):
        told["keras"] = str(shown)
    return Blueprint.of(architecture, Writer.of(told), **more)


def run(blueprint: Blueprint) -> None:
    """Apply every migration that the writer calls for; raises as `migrate`.

    Most migrations are about a few classes, and looking for those in thousands of layers takes much
    longer than finding out that their names stand nowhere.
    """
    text: bytes | None = None
    for migration in MIGRATIONS:
        if migration.words:
            text = _spelled(blueprint.architecture) if text is None else text
            if text and not any(word.encode() in text for word in migration.words):
                continue
        text = None  # from here on it may be another
        try:
            migration.run(blueprint)
        except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as e:
            # A migration indexes what every Keras has written; here something else stands there.
            raise ArchitectureError(
                f"the stored config is malformed ({type(e).__name__}: {e} in {migration.code}); "
                "Keras did not write this config, or it was damaged"
            ) from e


def _spelled(architecture: dict[str, Any]) -> bytes:
    """Bytes in which every string of an architecture stands as it is; none where that fails."""
    try:
        return marshal.dumps(architecture, 2)  # strings that were met before are written again
    except ValueError:
        return b""
