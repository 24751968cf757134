"""The models of `idioms.py` by whatever TensorFlow runs this: configs and predictions, JSON on stdout.

`write_idioms.py idioms.py`. The inputs are those of a seed, the predictions those of the first row.
"""

import importlib.util
import json
import os
import sys
import tempfile

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import h5py
import numpy as np
import tensorflow as tf

spec = importlib.util.spec_from_file_location("idioms", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
keras, found = tf.keras, {}
for n, (name, inputs, function) in enumerate(module.table()):
    keras.backend.clear_session()
    rng, specs, data = np.random.RandomState(n), [], []
    for one in inputs:
        shape, dtype = one if isinstance(one[-1], str) else (one, "float32")
        drawn = rng.uniform(-1, 1, (3, *shape)) if dtype == "float32" else None
        drawn = rng.randint(0, 2 if dtype == "bool" else 7, (3, *shape)) if drawn is None else drawn
        specs.append([list(shape), dtype])
        data.append(drawn.astype(dtype))
    try:
        starts = [keras.layers.Input(shape, dtype=dtype) for shape, dtype in specs]
        lam = keras.layers.Lambda(function, name="lam")
        model = keras.Model(starts, lam(starts if len(starts) > 1 else starts[0]))
        made = model.predict(data if len(data) > 1 else data[0], verbose=0)
        place = os.path.join(tempfile.mkdtemp(), "model.h5")
        model.save(place)
        with h5py.File(place, "r") as file:
            text = [file.attrs[key] for key in ("model_config", "keras_version")]
        text = [one.decode() if isinstance(one, bytes) else one for one in text]
        made = list(made) if isinstance(made, (list, tuple)) else [made]
        rows = [[float("%.7g" % x) for x in np.ravel(one[:1])] for one in made]
        shapes = [list(one.shape) for one in made]
        found[name] = {"config": json.loads(text[0]), "keras": text[1], "seed": n, "inputs": specs,
                       "shapes": shapes, "rows": rows}  # fmt: skip
    except Exception as error:
        print(name, type(error).__name__, str(error)[:150], file=sys.stderr)
json.dump(found, sys.stdout)
