"""Backbones and tasks of keras_hub in miniature, with random weights; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras_hub
import numpy as np

PROGRAMS: dict[str, Callable[[], tuple[Any, Any]]] = {}
_M = keras_hub.models
_IDS = np.arange(12).reshape(2, 6).astype("int32") % 7 + 1
_MASK = np.ones((2, 6), "int32")
_TEXT = {"token_ids": _IDS, "padding_mask": _MASK}
_PAIRS = {**_TEXT, "segment_ids": np.zeros((2, 6), "int32")}
_IMAGE = np.random.default_rng(5).random((1, 32, 32, 3)).astype("float32")

_SMALL = {
    "vocabulary_size": 20,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
}
_LLAMA = {
    "vocabulary_size": 20,
    "num_layers": 2,
    "num_query_heads": 2,
    "num_key_value_heads": 1,
    "hidden_dim": 8,
    "intermediate_dim": 16,
}
_BACKBONES: dict[str, tuple[str, dict[str, Any], Any]] = {
    "bert": ("BertBackbone", {**_SMALL, "max_sequence_length": 8}, _PAIRS),
    "roberta": ("RobertaBackbone", {**_SMALL, "max_sequence_length": 8}, _TEXT),
    "distil_bert": ("DistilBertBackbone", {**_SMALL, "max_sequence_length": 8}, _TEXT),
    "deberta": (
        "DebertaV3Backbone",
        {**_SMALL, "max_sequence_length": 8, "bucket_size": 4},
        _TEXT,
    ),
    "albert": (
        "AlbertBackbone",
        {**_SMALL, "embedding_dim": 8, "max_sequence_length": 8},
        _PAIRS,
    ),
    "f_net": (
        "FNetBackbone",
        {k: v for k, v in _SMALL.items() if k != "num_heads"} | {"max_sequence_length": 8},
        {k: v for k, v in _PAIRS.items() if k != "padding_mask"},
    ),
    "gpt2": ("GPT2Backbone", {**_SMALL, "max_sequence_length": 8}, _TEXT),
    "opt": ("OPTBackbone", {**_SMALL, "max_sequence_length": 8}, _TEXT),
    "gpt_neo_x": (
        "GPTNeoXBackbone",
        {**_SMALL, "hidden_dim": 16, "max_sequence_length": 8},
        _TEXT,
    ),
    "llama": ("LlamaBackbone", _LLAMA, _TEXT),
    "llama3": ("Llama3Backbone", _LLAMA, _TEXT),
    "mistral": ("MistralBackbone", {**_LLAMA, "sliding_window": 4}, _TEXT),
    "gemma": ("GemmaBackbone", {**_LLAMA, "head_dim": 4}, _TEXT),
    "phi3": ("Phi3Backbone", _LLAMA, _TEXT),
    "qwen": ("QwenBackbone", _LLAMA, _TEXT),
    "t5": (
        "T5Backbone",
        {**_SMALL, "vocabulary_size": 20},
        {
            "encoder_token_ids": _IDS,
            "encoder_padding_mask": _MASK,
            "decoder_token_ids": _IDS,
            "decoder_padding_mask": _MASK,
        },
    ),
    "bart": (
        "BartBackbone",
        {**_SMALL, "max_sequence_length": 8},
        {
            "encoder_token_ids": _IDS,
            "encoder_padding_mask": _MASK,
            "decoder_token_ids": _IDS,
            "decoder_padding_mask": _MASK,
        },
    ),
    "vit": (
        "ViTBackbone",
        {
            "image_shape": (32, 32, 3),
            "patch_size": (16, 16),
            "num_layers": 2,
            "num_heads": 2,
            "hidden_dim": 8,
            "mlp_dim": 16,
        },
        _IMAGE,
    ),
    "resnet": (
        "ResNetBackbone",
        {
            "input_conv_filters": [64],
            "input_conv_kernel_sizes": [3],
            "stackwise_num_filters": [64, 128],
            "stackwise_num_blocks": [1, 1],
            "stackwise_num_strides": [1, 2],
            "block_type": "basic_block",
            "image_shape": (32, 32, 3),
        },
        _IMAGE,
    ),
    "densenet": (
        "DenseNetBackbone",
        {"stackwise_num_repeats": [1, 1], "image_shape": (32, 32, 3), "growth_rate": 4},
        _IMAGE,
    ),
    "vgg": (
        "VGGBackbone",
        {
            "stackwise_num_repeats": [1, 1],
            "stackwise_num_filters": [4, 8],
            "image_shape": (32, 32, 3),
        },
        _IMAGE,
    ),
}


def _backbone(kind: str) -> tuple[Any, Any]:
    name, options, inputs = _BACKBONES[kind]
    model = getattr(_M, name)(**options)
    wanted = {t.name for t in model.inputs} if isinstance(inputs, dict) else None
    if wanted is not None:
        inputs = {key: value for key, value in inputs.items() if key in wanted}
    return model, inputs


def _register(name: str, make: Callable[[], tuple[Any, Any]]) -> None:
    PROGRAMS[name] = make


for _kind in _BACKBONES:
    _register(_kind, lambda kind=_kind: _backbone(kind))  # type: ignore[misc]


def _task(kind: str, task: str, **options: Any) -> tuple[Any, Any]:
    backbone, inputs = _backbone(kind)
    return getattr(_M, task)(backbone=backbone, preprocessor=None, **options), inputs


_register("bert_classifier", lambda: _task("bert", "BertTextClassifier", num_classes=2))
_register("vit_classifier", lambda: _task("vit", "ViTImageClassifier", num_classes=2))
_register("resnet_classifier", lambda: _task("resnet", "ResNetImageClassifier", num_classes=2))
_register("gpt2_lm", lambda: _task("gpt2", "GPT2CausalLM"))
_register("gemma_lm", lambda: _task("gemma", "GemmaCausalLM"))
_register("llama_lm", lambda: _task("llama", "LlamaCausalLM"))


def _masked_lm() -> tuple[Any, Any]:
    model, inputs = _task("bert", "BertMaskedLM")
    return model, {**inputs, "mask_positions": np.array([[1, 2], [0, 3]], "int32")}


_register("bert_masked_lm", _masked_lm)


def _lora(kind: str) -> tuple[Any, Any]:
    model, inputs = _backbone(kind)
    model.enable_lora(2)
    return model, inputs


_register("gemma_lora", lambda: _lora("gemma"))


def _int8(kind: str) -> tuple[Any, Any]:
    model, inputs = _backbone(kind)
    model.quantize("int8")
    return model, inputs


_register("gemma_int8", lambda: _int8("gemma"))
_register("bert_int8", lambda: _int8("bert"))
