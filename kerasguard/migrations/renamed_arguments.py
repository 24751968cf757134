"""KG415: arguments that Keras 3 renamed.

What it looks like: `alpha` on LeakyReLU, `max_tokens` and `output_mode="binary"` on the lookup
layers, `bins` on Discretization, `pad_to_aspect_ratio` spelled differently, ...

Why it happens: Keras 3 calls LeakyReLU's slope `negative_slope`; TensorFlow 2.6 renamed the
preprocessing layers' `binary` to `multi_hot`, `max_tokens` to `num_tokens`, `bins` to
`bin_boundaries`.

Source: Keras 3 `layers/activations/leaky_relu.py`; TensorFlow 2.6 release notes.

When it is exact: always; only the name differs.
"""

from __future__ import annotations

from kerasguard.blueprint.objects import Json, class_of, config_of
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG415": "an argument has a new name in Keras 3"}

_NAMES: dict[str, dict[str, str]] = {
    "CategoryEncoding": {"max_tokens": "num_tokens"},
    "Discretization": {"bins": "bin_boundaries"},
    "IntegerLookup": {
        "mask_value": "mask_token",
        "max_values": "max_tokens",
        "oov_value": "oov_token",
    },
    "LeakyReLU": {"alpha": "negative_slope"},
}
_VALUES: dict[str, dict[str, str]] = {"output_mode": {"binary": "multi_hot", "tf-idf": "tf_idf"}}
_OUTPUT_MODES = ("CategoryEncoding", "IntegerLookup", "StringLookup", "TextVectorization")
_UNUSED = ("has_input_vocabulary", "has_vocabulary")


def rewrite(blueprint: Blueprint) -> None:
    """Use today's names and values."""
    for item in blueprint.layers(*_NAMES, *_OUTPUT_MODES):
        config, kind = config_of(item), class_of(item)
        told = _rename(config, _NAMES.get(kind, {}))
        if kind in _OUTPUT_MODES:
            for key in _UNUSED:
                config.pop(key, None)
            if kind == "CategoryEncoding" or config.get("vocabulary_size") is None:
                config.pop("vocabulary_size", None)  # else outputs would have no known size
            if config.get("pad_to_max_tokens") and config.get("max_tokens") is None:
                config["pad_to_max_tokens"] = False  # there was nothing to pad to
            for key, values in _VALUES.items():
                if config.get(key) in values:
                    config[key] = values[config[key]]
                    told.append(f"{key} is {config[key]}")
        if told:
            blueprint.note(item, f"{', '.join(told)} in Keras 3")


def _rename(config: Json, names: dict[str, str]) -> list[str]:
    told = []
    for old, new in names.items():
        if old in config:
            config.setdefault(new, config[old])
            del config[old]
            told.append(f"{old} is {new}")
    return told


MIGRATION = Migration(
    "KG415",
    "Keras 1 and 2",
    lambda w: w.before_keras3,
    rewrite,
    words=("CategoryEncoding", "Discretization", "Lookup", "LeakyReLU", "TextVectorization"),
)
