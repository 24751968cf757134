"""Writes the golden SavedModel of lookup layers with the TensorFlow that this interpreter has.

    python write.py OUT   # TensorFlow 2.8

OUT is then packed as `<writer>.tar.xz`. Never regenerate what is committed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

keras = tf.keras
L = keras.layers


def main(out: Path) -> None:
    """One model whose vocabularies came from adapting, from a list and from a file."""
    out.mkdir(parents=True, exist_ok=True)
    words = out / "words.txt"
    words.write_text("x\nb\nä\na\n")
    seen = np.array(["b", "a", "b", "c"])
    word = keras.Input((1,), dtype="string", name="word")
    number = keras.Input((1,), dtype="int64", name="number")
    counted = L.StringLookup(output_mode="multi_hot", name="counted")
    counted.adapt(seen)
    weighed = L.StringLookup(output_mode="tf_idf", name="weighed")
    weighed.adapt(seen)
    numbers = L.IntegerLookup(num_oov_indices=2, name="numbers")
    numbers.adapt(np.array([5, 5, 7, 9]))
    listed = L.StringLookup(vocabulary=["c", "b"], mask_token="", name="listed")
    filed = L.StringLookup(vocabulary=str(words), name="filed")
    text = L.TextVectorization(output_sequence_length=2, vocabulary=["c", "b", "a"], name="text")
    inner = keras.Model(word, text(word), name="inner")
    embedding = L.Embedding(9, 3, name="embedding")
    whole = [layer(word) for layer in (listed, filed, inner)] + [numbers(number)]
    flat = [L.Flatten()(embedding(tensor)) for tensor in whole]
    joined = L.Concatenate()([*flat, counted(word), weighed(word)])
    model = keras.Model([word, number], L.Dense(2, name="head")(joined))
    generator = np.random.default_rng(3)
    for layer in (embedding, model.get_layer("head")):
        layer.set_weights([generator.normal(size=w.shape) for w in layer.get_weights()])
    x0 = [["a"], ["b"], ["zz"], ["ä"], ["c"]]
    x1 = np.array([[5], [7], [9], [1], [5]])
    y0 = model([tf.constant(x0), tf.constant(x1)]).numpy()
    model.save(out / "model", save_format="tf")
    words.unlink()
    np.savez(out / "arrays.npz", x0=np.array(x0), x1=x1, y0=y0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
