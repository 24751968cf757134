"""More functions, written down before anyone looked which of them are read.

Read by the writers only, like `functions.py`.
"""

import math

import numpy as np
import tensorflow as tf
from tensorflow import keras

K = tf.keras.backend

V, S, I, M = (4,), (5, 4), (6, 6, 3), (4, 4)


def table():
    dim = 4
    eps = 1e-6
    mean = [0.1, 0.2, 0.3]

    def capsule_norm(x):
        return K.sqrt(K.sum(K.square(x), -1) + 1e-7)

    def slice_half(x, start=0, end=None):
        return x[:, start:end]

    def softargmax(x):
        p = K.softmax(x * 10.0)
        idx = np.arange(4)
        return K.sum(p * idx, axis=-1, keepdims=True)

    def interaction(x):
        s = K.square(K.sum(x, axis=1))
        t = K.sum(K.square(x), axis=1)
        return 0.5 * K.sum(s - t, axis=1, keepdims=True)

    def cosine(v):
        a, b = v
        a = K.l2_normalize(a, axis=-1)
        b = K.l2_normalize(b, axis=-1)
        return K.sum(a * b, axis=-1, keepdims=True)

    def pick(x, which):
        if which in ("first", "head"):
            return x[:, 0]
        return x[:, -1]

    def euclid(vects):
        (x, y) = vects
        sum_square = tf.math.reduce_sum(tf.math.square(x - y), axis=1, keepdims=True)
        return tf.math.sqrt(tf.math.maximum(sum_square, tf.keras.backend.epsilon()))

    def pool(x):
        a = tf.reduce_mean(x, axis=[1, 2], keepdims=True)
        b = tf.reduce_max(x, axis=[1, 2], keepdims=True)
        return tf.concat([a, b], axis=3)

    def splitted(x):
        a, b = tf.split(x, 2, axis=1)
        return a * tf.sigmoid(b)

    def unst(x):
        a, b, c = tf.unstack(x, axis=-1)
        return 0.3 * a + 0.6 * b + 0.1 * c

    def norm_img(x):
        x = x / 255.0
        x -= 0.5
        x *= 2.0
        return x

    def dims(x):
        h, w = K.int_shape(x)[1:3]
        return K.reshape(x, (-1, h * w, 3))

    def dims2(x):
        b, t, d = x.get_shape().as_list()
        return tf.reshape(x, [-1, t * d])

    def nested_default(x, f=2):
        g = lambda y, n=3: y * n + f
        return g(x, n=f)

    def cond(x, training_like=False, k=3):
        y = x if not training_like else x * 0
        return y + (k if k > 2 else -k)

    def boolean(x):
        return K.cast(K.not_equal(x, 0), "float32") * x

    def mm(x):
        return tf.linalg.matmul(x, tf.transpose(x, perm=[0, 2, 1]))

    return [
        ("h_capsule", [S], capsule_norm),
        ("h_slice", [S], slice_half, {"start": 1, "end": 3}),
        ("h_softargmax", [V], softargmax),
        ("h_fm", [S], interaction),
        ("h_cosine", [V, V], cosine),
        ("h_pick", [S], pick, {"which": "head"}),
        ("h_euclid", [V, V], euclid),
        ("h_pool", [I], pool),
        ("h_split", [(4, 4)], splitted),
        ("h_unstack", [I], unst),
        ("h_norm", [I], norm_img),
        ("h_dims", [I], dims),
        ("h_dims2", [S], dims2),
        ("h_nested", [V], nested_default),
        ("h_cond", [V], cond),
        ("h_bool", [V], boolean),
        ("h_gram", [S], mm),
        ("h_closure", [V], lambda x: x / (dim**0.5)),
        ("h_eps", [V], lambda x: x / (K.abs(x) + eps)),
        ("h_mean", [I], lambda x: x - mean),
        ("h_keras_backend", [S], lambda x: keras.backend.sum(x, axis=-2)),
        ("h_last", [S], lambda x: x[:, -1:, :]),
        ("h_neg", [S], lambda x: x[:, -3:-1]),
        ("h_ell", [S], lambda x: x[..., 0]),
        ("h_ell2", [S], lambda x: x[..., tf.newaxis]),
        ("h_two", [S], lambda x: x[:, 1, 2]),
        ("h_maxmin", [S], lambda x: K.max(x, axis=1) - K.min(x, axis=1)),
        ("h_list_sum", [V, V, V], lambda t: t[0] + t[1] - t[2]),
        ("h_concat3", [V, V, V], lambda t: K.concatenate([t[2], t[0], t[1]])),
        ("h_tf_concat", [S, S], lambda x: tf.concat([x[0], x[1]], 1)),
        ("h_add_n", [V, V], lambda x: tf.add_n(x)),
        ("h_tf_max", [V, V], lambda x: tf.maximum(x[0], x[1]) * tf.minimum(x[0], x[1])),
        ("h_pow", [V], lambda x: tf.pow(x, 3)),
        ("h_kpow", [V], lambda x: K.pow(x, 2)),
        ("h_sign", [V], lambda x: K.sign(x) * K.round(x * 4)),
        ("h_sin", [V], lambda x: K.concatenate([K.sin(x), K.cos(x)], -1)),
        ("h_log1p", [V], lambda x: tf.math.log1p(x + 1.0)),
        ("h_lse", [S], lambda x: tf.reduce_logsumexp(x, axis=1)),
        ("h_repeat", [V], lambda x: K.repeat(x, 2)),
        ("h_tile", [V], lambda x: tf.tile(tf.expand_dims(x, 1), [1, 4, 1])),
        ("h_tile2", [V], lambda x: K.tile(K.expand_dims(x, 1), (1, 4, 1))),
        ("h_norm_tf", [S], lambda x: tf.norm(x, axis=-1)),
        ("h_norm_k", [S], lambda x: tf.norm(x, axis=1, keepdims=True)),
        ("h_einsum", [S, M], lambda x: tf.einsum("bij,bjk->bik", x[0], x[1])),
        ("h_tensordot", [S, V], lambda x: tf.reduce_sum(x[0] * x[1][:, None, :], -1)),
        ("h_bdot", [(1, 4), (4, 1)], lambda x: K.batch_dot(x[0], x[1])),
        ("h_swap", [S], lambda x: tf.transpose(x, (0, 2, 1)) * 2 + 1),
        ("h_rev", [S], lambda x: tf.reverse(x, axis=[1])),
        ("h_revk", [S], lambda x: K.reverse(x, axes=1)),
        ("h_argmax", [S], lambda x: tf.cast(tf.argmax(x, axis=1), tf.float32)),
        ("h_topk", [V], lambda x: tf.nn.top_k(x, k=2)[0]),
        ("h_topk2", [V], lambda x: tf.math.top_k(x, 2).values),
        ("h_onehot", [V], lambda x: tf.one_hot(tf.argmax(x, -1), 4)),
        ("h_elu", [V], lambda x: tf.nn.elu(x) + tf.nn.selu(x) + tf.nn.softplus(x)),
        ("h_swish", [V], lambda x: x * tf.nn.sigmoid(1.5 * x)),
        ("h_relu", [V], lambda x: K.relu(x, alpha=0.2, max_value=0.6)),
        ("h_clip", [V], lambda x: tf.clip_by_value(x, clip_value_min=-0.1, clip_value_max=0.1)),
        ("h_clipk", [V], lambda x: K.clip(x, min_value=0, max_value=1)),
        ("h_sq", [I], lambda x: tf.squeeze(x[:, :1, :1, :], axis=[1, 2])),
        ("h_mean2", [I], lambda x: K.mean(x, axis=(1, 2))),
        (
            "h_stdn",
            [I],
            lambda x: (
                (x - K.mean(x, axis=[1, 2, 3], keepdims=True))
                / (K.std(x, axis=[1, 2, 3], keepdims=True) + 1e-5)
            ),
        ),
        (
            "h_resize_nearest_k",
            [I],
            lambda x: K.resize_images(
                x, height_factor=2, width_factor=2, data_format="channels_last"
            ),
        ),
        (
            "h_bilinear_k",
            [I],
            lambda x: K.resize_images(
                x, 2, 2, data_format="channels_last", interpolation="bilinear"
            ),
        ),
        ("h_avgpool", [I], lambda x: tf.nn.avg_pool(x, 2, 2, "VALID")),
        (
            "h_maxpool",
            [I],
            lambda x: tf.nn.max_pool(x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME"),
        ),
        (
            "h_pool2d",
            [I],
            lambda x: K.pool2d(x, (2, 2), strides=(2, 2), padding="same", pool_mode="max"),
        ),
        ("h_pad2", [I], lambda x: K.spatial_2d_padding(x, padding=((1, 0), (0, 1)))),
        ("h_spd", [I], lambda x: tf.pad(x, tf.constant([[0, 0], [1, 1], [1, 1], [0, 0]]))),
        (
            "h_gray",
            [I],
            lambda x: 0.2989 * x[:, :, :, 0:1] + 0.587 * x[:, :, :, 1:2] + 0.114 * x[:, :, :, 2:3],
        ),
        ("h_bgr", [I], lambda x: K.reverse(x, axes=-1)),
        ("h_bgr2", [I], lambda x: tf.reverse(x, [-1])),
        ("h_bgr3", [I], lambda x: tf.stack([x[..., 2], x[..., 1], x[..., 0]], axis=-1)),
        ("h_tanh", [V], lambda x: 1.7159 * K.tanh(2.0 / 3.0 * x)),
        ("h_zeros", [V], lambda x: tf.concat([x, tf.zeros_like(x[:, :1])], 1)),
        ("h_ones", [V], lambda x: K.ones_like(x) - x),
        ("h_stopg", [V], lambda x: x + tf.stop_gradient(tf.round(x) - x)),
        ("h_where", [V], lambda x: tf.where(tf.less(x, 0.0), -x, 2 * x)),
        ("h_logical", [V], lambda x: tf.cast(tf.logical_and(x > -0.5, x < 0.5), tf.float32)),
        ("h_and", [V], lambda x: tf.cast((x > -0.5) & (x < 0.5), tf.float32)),
        ("h_not", [V], lambda x: tf.cast(~(x > 0.0), tf.float32)),
        ("h_gt", [V], lambda x: K.cast(x >= 0.2, dtype="float32")),
        ("h_div", [V], lambda x: tf.divide(x, 3.0)),
        ("h_truediv", [V], lambda x: tf.truediv(x, 4.0)),
        ("h_floor", [V], lambda x: tf.floor(x * 5) / 5),
        ("h_exp", [V], lambda x: tf.math.exp(-tf.square(x))),
        ("h_rsqrt", [V], lambda x: tf.math.rsqrt(x + 2.0)),
        ("h_cumsum", [S], lambda x: tf.cumsum(x, axis=1)),
        ("h_perm", [I], lambda x: K.permute_dimensions(x, [0, 3, 1, 2])),
        ("h_resh", [V], lambda x: tf.reshape(x, (-1, 2, 2))),
        ("h_resh2", [S], lambda x: tf.reshape(x, (-1, K.int_shape(x)[1] * K.int_shape(x)[2]))),
        ("h_flat", [S], lambda x: K.batch_flatten(x)),
        ("h_exp2", [V], lambda x: K.expand_dims(K.expand_dims(x, 1), 1)),
        ("h_gather", [S], lambda x: tf.gather(x, 1, axis=1)),
        ("h_gatherk", [S], lambda x: tf.gather(x, indices=[1, 3], axis=-1)),
        ("h_mul", [V, V], lambda x: tf.math.multiply(x[0], x[1])),
        (
            "h_dot",
            [V, V],
            lambda x: (
                tf.reduce_sum(tf.multiply(*x), 1, keepdims=True)
                if False
                else tf.reduce_sum(x[0] * x[1], 1, keepdims=True)
            ),
        ),
        ("h_abs3", [V, V], lambda t: K.exp(-K.sum(K.abs(t[0] - t[1]), axis=1, keepdims=True))),
        ("h_var", [S], lambda x: tf.math.reduce_variance(x, axis=1)),
        ("h_std", [S], lambda x: tf.math.reduce_std(x, 1)),
        ("h_mom", [S], lambda x: tf.nn.moments(x, axes=[1])[0]),
        ("h_any", [S], lambda x: K.cast(K.any(x > 0.9, axis=1), "float32")),
        ("h_all", [S], lambda x: K.cast(K.all(x > -0.9, axis=-1), "float32")),
        ("h_roll", [S], lambda x: tf.roll(x, shift=1, axis=1)),
        ("h_l1", [V], lambda x: x / K.sum(K.abs(x), axis=-1, keepdims=True)),
        ("h_s2d", [I], lambda x: tf.nn.space_to_depth(x, 2)),
        ("h_tup", [V], lambda x: (x, x * 2)),
        ("h_mathc", [V], lambda x: x * math.log(2.0) + math.sqrt(2)),
        ("h_npc", [V], lambda x: x * np.float32(0.25) + np.array([1, 2, 3, 4])),
        ("h_npi", [V], lambda x: tf.sin(x * np.pi)),
        ("h_len", [V, V], lambda x: (x[0] + x[1]) / len(x)),
        ("h_log_soft", [V], lambda x: tf.nn.log_softmax(x, axis=-1)),
        ("h_leaky", [V], lambda x: tf.nn.leaky_relu(x, alpha=0.1)),
        ("h_relu6", [V], lambda x: tf.nn.relu6(x + 3.0) / 6.0 * x),
        (
            "h_gelu",
            [V],
            lambda x: (
                0.5 * x * (1.0 + tf.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * tf.pow(x, 3))))
            ),
        ),
    ]


NEWER = []
