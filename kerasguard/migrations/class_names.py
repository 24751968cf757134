"""KG403: a class that has a new name.

What it looks like: `Convolution2D`, `Deconvolution2D`, `BatchNormalizationV1`, `UnifiedLSTM`,
`GlorotUniformV2`, `Model`, `SyncBatchNormalization`, ... as `class_name`.

Why it happens: Keras 2 renamed the layers of Keras 1; TensorFlow 1.13 to 2.15 had its internal
class names (`...V1`, `...V2`) written into configs; a functional model was a `Container`, then a
`Model` or `Network`, and is a `Functional` since TensorFlow 2.3.

Source: Keras 2.0 release notes; tf.keras `layers/normalization.py`, `layers/recurrent_v2.py`,
`ops/init_ops_v2.py`.

When it is exact: always; both names mean the same computation.
"""

from __future__ import annotations

from kerasguard.blueprint.objects import Json, class_of, config_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG403": "a class has a new name in Keras 3"}

_LAYERS = {
    "AtrousConv1D": "Conv1D",
    "AtrousConv2D": "Conv2D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "AvgPool1D": "AveragePooling1D",
    "AvgPool2D": "AveragePooling2D",
    "AvgPool3D": "AveragePooling3D",
    "BatchNormalizationBase": "BatchNormalization",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "BidirectionalV2": "Bidirectional",
    "Convolution1D": "Conv1D",
    "Convolution1DTranspose": "Conv1DTranspose",
    "Convolution2D": "Conv2D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3D": "Conv3D",
    "Convolution3DTranspose": "Conv3DTranspose",
    "Deconv2D": "Conv2DTranspose",
    "Deconv3D": "Conv3DTranspose",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "GRUCellV2": "GRUCell",
    "GRUV1": "GRU",
    "GRUV2": "GRU",
    "GlobalAvgPool1D": "GlobalAveragePooling1D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "GlobalAvgPool3D": "GlobalAveragePooling3D",
    "GlobalMaxPool1D": "GlobalMaxPooling1D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "GlobalMaxPool3D": "GlobalMaxPooling3D",
    "IntegerLookupV1": "IntegerLookup",
    "LSTMCellV2": "LSTMCell",
    "LSTMV1": "LSTM",
    "LSTMV2": "LSTM",
    "LayerNorm": "LayerNormalization",
    "MaxPool1D": "MaxPooling1D",
    "MaxPool2D": "MaxPooling2D",
    "MaxPool3D": "MaxPooling3D",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
    "StringLookupV1": "StringLookup",
    "TextVectorizationV1": "TextVectorization",
    "UnifiedGRU": "GRU",
    "UnifiedLSTM": "LSTM",
}
_SYNCHRONIZED = {"SyncBatchNormalization", "SyncBatchNormalizationV2"}
_MODELS = {"Container", "Functional", "Graph", "Model", "Network"}


def rewrite(blueprint: Blueprint) -> None:
    """Use today's names."""
    for item in blueprint.layers():
        if item.get("class_name") in blueprint.known:
            continue
        old = class_of(item)
        if old in _MODELS and "layers" in config_of(item):
            _functional(item)
        elif old in _SYNCHRONIZED:
            item["class_name"] = "BatchNormalization"
            config_of(item)["synchronized"] = True
            blueprint.note(item, f"{old} is BatchNormalization(synchronized=True)")
        elif old in _LAYERS:
            item["class_name"] = _LAYERS[old]
            blueprint.note(item, f"{old} is now called {_LAYERS[old]}")


def _functional(item: Json) -> None:
    """A graph is a Functional, a list of layers without one a Sequential; nothing to tell."""
    graph = "input_layers" in config_of(item)
    item["class_name"] = "Functional" if graph else "Sequential"


MIGRATION = Migration("KG403", "Keras 1 and 2", lambda w: w.before_keras3, rewrite)
