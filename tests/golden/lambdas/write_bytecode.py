"""Functions as bytecode of the Python that runs this, also of 2.7: JSON on stdout."""

# fmt: off
from __future__ import print_function
import sys

K = tf = np = keras = T = None


def mk():
    n = 3
    s = [1, 2]

    def loc(x):
        y = x * 2
        z = y + x
        return y / z

    def inner(x, a=2):
        g = lambda y, k=3: y * k + n
        return g(x) + a

    def imp(x):
        import tensorflow as tf
        from keras import backend as K

        return tf.nn.relu(K.abs(x))

    def ternary(x, flag=True):
        return x * 2 if flag else x + 1

    def ifs(x, mode="a"):
        if mode == "a":
            return x
        elif mode == "b":
            y = x + 1
        else:
            y = x + 2
        return y * 2

    def noneif(x, a=None):
        if a is None:
            a = 3
        return x * a

    def capt(x):
        y = x + 1
        g = lambda z: z * y
        return g(x)

    def unp(v):
        a, b = v
        return a - b

    def aug(x):
        x += 1
        x *= 2
        return x

    return [
        lambda x: x,
        lambda x: x / 127.5 - 1.0,
        lambda x: x[:, 1:3, ..., ::-1],
        lambda x: K.mean(x, axis=[1, 2], keepdims=True),
        lambda x: x * n,
        lambda x, a=2, b="q": K.f(x, a, name=b),
        lambda x: (x[0] - x[1]) ** 2,
        lambda x: x[1:],
        lambda x: x[:, None],
        loc,
        inner,
        imp,
        ternary,
        ifs,
        noneif,
        capt,
        unp,
        aug,
        lambda x: tf.image.resize(x, (2, 3)),
        lambda x: [x, x, 1],
        lambda x: -x if (n > 2 and n < 5) or not s else ~x,
        lambda x: x and n,
        lambda x: tf.reshape(x, [-1, tf.shape(x)[1], n]),
        lambda x: 1 < n < 5,
        lambda x: x.get_shape().as_list()[1],
        lambda x: K.concatenate([x, x, x], axis=-1),
        lambda x: x is None,
        lambda x: 3 in [1, n],
        lambda x: (1, 2, 3),
        lambda x: x[-1] % 2 // 3,
        lambda x: -1 * x,
        lambda x: K.f(x, a=1, b=2),
        lambda x: x.f(x, a=1),
        lambda x: [i for i in x],
        lambda x: print(x) or x,
        lambda x: x[300000],
        lambda x: x * 10000000000,
    ]


def d(f):
    c = codecs.encode(marshal.dumps(f.__code__), "base64").decode("ascii")
    return [
        c,
        list(f.__defaults__ or []) or None,
        [c.cell_contents for c in f.__closure__] if f.__closure__ else None,
    ]


json.dump([d(f) for f in mk()], sys.stdout)
