"""Functions as people write them, of kinds that `functions.py` and `more_functions.py` lack.

Read by `write_idioms.py` only. Some mean something else in another version, some must be refused.
"""

# fmt: off
import math

import numpy as np
import tensorflow as tf

keras = tf.keras
K = keras.backend
V, S, I, M, G, W3 = (4,), (5, 4), (8, 8, 3), (4, 4), (8, 8, 1), (3,)
II, I4, U4, U8, B4 = ((5,), "int32"), ((4,), "int32"), ((4,), "uint8"), ((8, 8, 3), "uint8"), ((4,), "bool")


def table():
    def dot_attention(args):
        q, k, v = args
        s = K.batch_dot(q, k, axes=[2, 2])
        s = s / (K.int_shape(q)[-1] ** 0.5)
        return K.batch_dot(K.softmax(s), v)

    def data_format_axis(x):
        axis = 1 if K.image_data_format() == "channels_first" else -1
        return K.mean(x, axis=axis, keepdims=True)

    def folded(x):
        y = K.reshape(x, (-1, 4))
        y = y * 2.0
        return K.reshape(y, (K.shape(x)[0], 20))

    def folded_open(x):
        y = K.reshape(x, (-1, 4))
        return K.reshape(y, (K.shape(x)[0], -1))

    def folded_tf(x):
        b = tf.shape(x)[0]
        y = tf.reshape(x, [b * 5, 4])
        return tf.reshape(y, [b, 5, 4]) + 1.0

    def scaled(inputs):
        q, k = inputs
        dk = tf.cast(tf.shape(k)[-1], tf.float32)
        return tf.nn.softmax(tf.matmul(q, k, transpose_b=True) / tf.math.sqrt(dk), axis=-1)

    def scaled_k(inputs):
        q, k = inputs
        return K.batch_dot(q, K.permute_dimensions(k, (0, 2, 1))) / K.sqrt(K.cast(K.shape(k)[-1], dtype="float32"))

    def mask_scores(inputs):
        s, m = inputs
        return s + (1.0 - tf.cast(m[:, tf.newaxis, :], tf.float32)) * -1e9

    return [
        ("attention", [S, S, S], dot_attention),
        ("moments", [S], lambda x: tf.concat(tf.nn.moments(x, [1]), axis=-1)),
        ("fill_ones", [V], lambda x: K.concatenate([x, tf.fill([tf.shape(x)[0], 1], 1.0)], axis=1)),
        ("np_linspace", [V], lambda x: K.sum(x * np.linspace(0.0, 1.0, 4), axis=1)),
        ("act_sigmoid", [V], lambda x: keras.activations.sigmoid(x) + keras.activations.tanh(x)),
        ("act_softmax", [S], lambda x: keras.activations.softmax(x, axis=1)),
        ("act_relu", [V], lambda x: tf.keras.activations.relu(x, alpha=0.1)),
        ("layers_concat", [V, V], lambda x: keras.layers.concatenate([x[0], x[1]])),
        ("layers_add", [V, V], lambda x: keras.layers.add([x[0], x[1]])),
        ("builtin_sum", [V, V, V], lambda x: sum(x)),
        ("sequence_mask", [((1,), "int32")], lambda x: tf.cast(tf.sequence_mask(x[:, 0], 6), tf.float32)),
        ("xdtype", [V], lambda x: tf.cast(x > 0, x.dtype) * x),
        ("clip_norm", [V], lambda x: tf.clip_by_norm(x, 1.0, axes=[1])),
        ("adjust", [I], lambda x: tf.image.adjust_brightness(x, 0.1)),
        ("contrast", [I], lambda x: tf.image.adjust_contrast(x, 2.0)),
        ("central_crop", [I], lambda x: tf.image.central_crop(x, 0.5)),
        ("resize_old_align", [I], lambda x: tf.image.resize_bilinear(x, (15, 15), align_corners=True)),
        ("resize_old", [I], lambda x: tf.image.resize_bilinear(x, [16, 16])),
        ("resize_images", [I], lambda x: tf.image.resize_images(x, (16, 16))),
        ("resize_compat", [I], lambda x: tf.compat.v1.image.resize(x, (16, 16))),
        ("rot90", [I], lambda x: tf.image.rot90(x)),
        ("tv", [I], lambda x: tf.image.total_variation(x)),
        ("diag", [M], lambda x: tf.linalg.diag_part(x)),
        ("xlogy", [V], lambda x: tf.math.xlogy(x, tf.abs(x) + 0.1)),
        ("lrn", [I], lambda x: tf.nn.local_response_normalization(x)),
        ("one_hot_depth", [II], lambda x: tf.one_hot(indices=x, depth=7, on_value=2.0, off_value=-1.0)),
        ("shape_len", [S], lambda x: tf.reduce_sum(x, axis=list(range(1, len(x.shape))))),
        ("tf_strided", [S], lambda x: tf.strided_slice(x, [0, 1], [3, 4])),
        ("to_float", [II], lambda x: tf.to_float(x)),
        ("to_int32", [V], lambda x: tf.to_int32(x * 3.0)),
        ("shape_dtype", [V], lambda x: x * K.cast(K.shape(x)[1], "float32")),
        ("constant_np", [V], lambda x: x * np.arange(4).reshape((1, 4))),
        ("noise_off", [V], lambda x: x + 0.0 * tf.ones(tf.shape(x))),
        ("range_pos", [S], lambda x: x + tf.cast(tf.range(5), tf.float32)[None, :, None]),
        ("eye", [M], lambda x: x + tf.eye(4)),
        ("size_norm", [S], lambda x: x / tf.cast(tf.shape(x)[-1], tf.float32)),
        ("einsum", [S, S], lambda x: tf.einsum("bij,bkj->bik", *x)),
        ("sort", [V], lambda x: tf.sort(x, direction="DESCENDING")),
        ("standardize", [I], lambda x: tf.image.per_image_standardization(x)),
        ("normalize_tuple", [V], lambda x: tf.linalg.normalize(x, axis=-1)[0]),
        ("or_default", [V], lambda x, f=None: x * (f or 2)),
        ("gather_nd_batch", [S, ((1,), "int32")], lambda x: tf.gather(x[0], x[1], batch_dims=1, axis=1)),
        ("data_format", [I], data_format_axis),
        ("cbam", [I], lambda x: K.max(x, axis=3, keepdims=True)),
        ("switch_rank", [W3], lambda x: K.switch(K.sum(x, axis=1) > 0, x, -x)),
        ("switch_keep", [V], lambda x: K.switch(K.sum(x, axis=1, keepdims=True) > 0, x, -x)),
        ("switch_rank4", [V], lambda x: K.switch(K.sum(x, axis=1) > 0, x, -x)),
        ("where_rows", [W3], lambda x: tf.where(K.sum(x, axis=1) > 0, x, -x)),
        ("where_rows4", [V], lambda x: tf.where(K.sum(x, axis=1) > 0, x, -x)),
        ("where_v1", [W3], lambda x: tf.compat.v1.where(K.sum(x, axis=1) > 0, x, -x)),
        ("folded", [S], folded),
        ("folded_open", [S], folded_open),
        ("folded_tf", [S], folded_tf),
        ("scaled", [S, S], scaled),
        ("scaled_k", [S, S], scaled_k),
        ("mask_scores", [(5, 5), (5,)], mask_scores),
        ("u8_sub", [U4], lambda x: x - 100),
        ("u8_sum", [U8], lambda x: K.sum(x, axis=-1)),
        ("u8_mean", [U8], lambda x: K.mean(x, axis=-1)),
        ("u8_gray", [U8], lambda x: tf.image.rgb_to_grayscale(x)),
        ("u8_resize", [U8], lambda x: tf.image.resize(x, (12, 12))),
        ("u8_float", [U4], lambda x: tf.cast(x, tf.float32) - 100),
        ("i_mean", [I4], lambda x: K.mean(x, axis=1)),
        ("i_rmean", [I4], lambda x: tf.reduce_mean(x, axis=1)),
        ("i_div", [I4], lambda x: x / 2),
        ("i_floordiv", [I4], lambda x: (x - 3) // 2),
        ("b_mean", [B4], lambda x: K.mean(x, axis=-1)),
        ("bilinear_k2", [I], lambda x: K.resize_images(x, 2, 2, data_format="channels_last", interpolation="bilinear")),
        ("bdot_21", [V, S], lambda x: K.batch_dot(x[0], x[1], axes=(1, 2))),
        ("bdot_4", [(2, 3, 4), (2, 3, 4)], lambda x: K.batch_dot(x[0], x[1], axes=(3, 3))),
        ("bdot_none", [(1, 4), (4, 2)], lambda x: K.batch_dot(x[0], x[1])),
        ("clip_none", [V], lambda x: K.clip(x, None, 0.5)),
        ("clip_nomax", [V], lambda x: K.clip(x, 0.1, None)),
        ("l2_all", [V], lambda a: K.l2_normalize(a)),
        ("norm_all", [V], lambda a: a / tf.norm(a)),
        ("norm1", [V], lambda x: tf.norm(x, ord=1, axis=1)),
        ("norm_inf", [V], lambda x: tf.norm(x, ord=np.inf, axis=1)),
        ("band2", [M], lambda x: tf.linalg.band_part(x, 0, 0)),
        ("int_const", [V], lambda x: x * tf.cast(tf.constant([1, 2, 3, 4]), tf.float32)),
        ("kconst_shape", [V], lambda x: x * K.constant(2.0, shape=(4,))),
        ("const_shape", [V], lambda x: x * tf.constant(2.0, shape=[4])),
        ("np_cast", [V], lambda x: x * np.array([1, 2, 3, 4]).astype("float32")),
        ("ones_shape", [V], lambda x: tf.concat([x, tf.ones([tf.shape(x)[0], 2])], 1)),
        ("kones_shape", [V], lambda x: K.concatenate([x, K.ones((K.shape(x)[0], 1))], axis=1)),
        ("zeros_shape", [S], lambda x: tf.concat([tf.zeros([tf.shape(x)[0], 1, 4]), x], axis=1)),
        ("tile_shape", [V], lambda x: tf.tile(tf.constant([[1.0, 2.0]]), [tf.shape(x)[0], 1]) + x[:, :2]),
        ("zeros_as", [V], lambda x: tf.zeros(tf.shape(x)) + x),
        ("inf", [V], lambda x: tf.maximum(x, -float("inf"))),
        ("expand0", [V], lambda x: K.expand_dims(x, 0)[0]),
        ("split_sizes", [V], lambda x: tf.split(x, [1, -1], axis=1)[1]),
        ("slice_var", [S], lambda x: x[slice(None), slice(1, 3)]),
        ("topk_idx", [V], lambda x: tf.nn.top_k(x, k=2).indices),
        ("resize_nn_down", [I], lambda x: tf.image.resize(x, (3, 5), method="nearest")),
        ("resize_aa", [I], lambda x: tf.image.resize(x, (4, 4), antialias=True)),
        ("act_elu", [V], lambda x: tf.keras.activations.elu(x, alpha=0.5)),
        ("act_gelu", [V], lambda x: tf.keras.activations.gelu(x)),
        ("eq_float", [V], lambda x: tf.cast(x == 0.5, tf.float32) + x),
        ("bias", [V], lambda x: K.bias_add(x, K.constant([1.0, 2.0, 3.0, 4.0]))),
        ("pool_same_k", [I], lambda x: K.pool2d(x, (3, 3), strides=(2, 2), padding="same", pool_mode="avg")),
        ("sym", [I], lambda x: tf.pad(x, [[0, 0], [2, 1], [1, 2], [0, 0]], "SYMMETRIC")),
    ]
