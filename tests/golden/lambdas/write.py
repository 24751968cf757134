"""Writes the models of `functions.py` with whatever TensorFlow runs this: `write.py FOLDER`."""

import json
import os
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import importlib.util

import numpy as np
import tensorflow as tf

folder, which = sys.argv[1], sys.argv[2]
spec = importlib.util.spec_from_file_location("functions", which)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
keras = tf.keras
version = tuple(map(int, tf.__version__.split(".")[:2]))
rows = module.table() + (module.NEWER if version >= (2, 2) else [])
found = {}
for n, row in enumerate(rows):
    name, shapes, function = row[:3]
    arguments = row[3] if len(row) > 3 else None
    keras.backend.clear_session()
    rng = np.random.RandomState(n)
    data = [rng.uniform(-1, 1, (3,) + tuple(s)).astype("float32") for s in shapes]
    try:
        if n % 4 == 3 and len(shapes) == 1 and name != "two_outputs":
            model = keras.Sequential(
                [
                    keras.layers.Activation("linear", input_shape=shapes[0], name="start"),
                    keras.layers.Lambda(function, arguments=arguments, name="lambda"),
                ]
            )
        else:
            inputs = [keras.layers.Input(s) for s in shapes]
            out = keras.layers.Lambda(function, arguments=arguments, name="lambda")(
                inputs if len(inputs) > 1 else inputs[0]
            )
            model = keras.Model(inputs, out)
        y = model.predict(data if len(data) > 1 else data[0])
        ys = [np.asarray(v).tolist() for v in (y if isinstance(y, (list, tuple)) else [y])]
        path = os.path.join(folder, name)
        model.save(path + ".h5")
        if version >= (2, 0):
            model.save(path + ".tf", save_format="tf")
        if version >= (2, 12):
            model.save(path + ".keras")
        import h5py

        with h5py.File(path + ".h5", "r") as file:
            text = [file.attrs[k] for k in ("model_config", "keras_version")]
            text = [t.decode() if isinstance(t, bytes) else t for t in text]
        found[name] = {
            "config": json.loads(text[0]),
            "keras": text[1],
            "x": [x.tolist() for x in data],
            "y": ys,
        }
    except Exception as error:
        print("FAILED", name, type(error).__name__, str(error)[:150])
json.dump(found, open(os.path.join(folder, "written.json"), "w"))
print("WROTE", len(found), "of", len(rows), tf.__version__)
