"""KG442: a SavedModel that no Keras model can be rebuilt from: its graph is a program.

What it looks like: a folder with `saved_model.pb`, and no Keras config in it; or a config with
classes that nobody supplies. Keras 3: `File format not supported`.

Why it happens: `Model.export` and `tf.saved_model.save` store what a model computes as a graph of
TensorFlow operations and nothing of the layers that it came from.

Source: keras/src/export/saved_model.py; TensorFlow's SECURITY.md (models are programs).

When it is exact: the graph is run as it was stored, with the stored variables. It is not rebuilt:
the model predicts, and can be neither trained nor saved. As a graph may read and write files, it
is run only where the caller says `allow_graph=True`.
"""

from __future__ import annotations

from kerasguard.planning.findings import Finding, Severity

__all__ = ["both_ways", "graph_is_run", "graph_refused"]

CODES = {"KG442": "a stored graph is run in place of a model of layers"}


def graph_refused(path: object) -> str:
    """Why a SavedModel without a config is not loaded, and the line to write instead."""
    return (
        f"{path}: a SavedModel without a Keras config, such as Model.export or "
        "tf.saved_model.save write: it holds no layers, only a TensorFlow program, which may do "
        "anything when it is run. If you trust it, load it for inference: "
        "kerasguard.load(path, allow_graph=True); to train it, build the model in code and "
        "take the weights alone: kerasguard.load(path, model=model)"
    )


def both_ways(reason: str) -> str:
    """A refusal of a SavedModel's config, with the second way that there is."""
    return (
        f"{reason}\nThe file also holds the model as a TensorFlow program: if you trust it, "
        "kerasguard.load(path, allow_graph=True) runs it for inference"
    )


def graph_is_run(reason: str) -> Finding:
    """That the model is a stored graph, and why."""
    message = (
        f"{' '.join(reason.split())}; the stored graph is run as it is, because allow_graph=True "
        "allows it: the model can predict, but can be neither trained nor saved"
    )
    return Finding("KG442", "", message, Severity.WARNING)
