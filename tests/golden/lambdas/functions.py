"""One-line functions that people put into Lambda layers, for old TensorFlows to write.

Read by the writers only (Python 3.6 and later): `FUNCTIONS` are `name, input shapes, function`,
perhaps with `arguments` of the layer. Python code is what makes the bytecode, so nothing here may
be reformatted without writing the golden files anew.
"""

# fmt: off
import math

import numpy as np
import tensorflow as tf

K = tf.keras.backend
V, S, I, M = (4,), (5, 4), (6, 6, 3), (4, 4)


def table():
    scale, axis, sizes, flag = 2.5, 1, [12, 12], True

    def shifted(x, by=0.5, *, times=2.0):
        return (x + by) * times

    def gated(inputs):
        a, b = inputs
        gate = K.sigmoid(b)
        return a * gate + (1 - gate) * b

    def with_import(x):
        import tensorflow as tf
        return tf.nn.relu(x) - 1.0

    def nested(x):
        def half(y, by=2.0):
            return y / by
        return half(x) + half(x, 4.0)

    def by_mode(x, mode="double"):
        if mode == "double":
            return x * 2
        elif mode == "square":
            return x ** 2
        return x

    def attention(inputs):
        query, key = inputs
        scores = tf.matmul(query, key, transpose_b=True)
        return tf.nn.softmax(scores / math.sqrt(4.0))

    def squash(x, axis=-1):
        norm = K.sum(K.square(x), axis, keepdims=True) + K.epsilon()
        return K.sqrt(norm) / (0.5 + norm) * x

    return [
        # arithmetic
        ("scale", [I], lambda x: x / 127.5 - 1.0),
        ("half", [V], lambda x: x * 0.5),
        ("square", [V], lambda x: x ** 2),
        ("power", [V], lambda x: (x + 2.0) ** 1.5),
        ("negate", [V], lambda x: -x),
        ("one_minus", [V], lambda x: 1 - x),
        ("inverse", [V], lambda x: 1.0 / (x + 3.0)),
        ("modulo", [V], lambda x: x % 0.3),
        ("floor_divide", [V], lambda x: (x * 10.0) // 3.0),
        ("means", [I], lambda x: x - [103.939, 116.779, 123.68]),
        ("constant_array", [I], lambda x: (x - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])),
        ("numpy_scalar", [V], lambda x: x / np.sqrt(8.0)),
        ("math_scalar", [V], lambda x: x * math.pi / 180),
        ("difference", [V, V], lambda x: x[0] - x[1]),
        ("absolute_difference", [V, V], lambda x: abs(x[0] - x[1])),
        ("product", [V, V], lambda x: x[0] * x[1]),
        ("average", [V, V], lambda x: (x[0] + x[1]) / 2),
        ("unpacked", [V, V], gated),
        ("matrix_product", [S, M], lambda x: x[0] @ x[1]),
        # indexing
        ("last_step", [S], lambda x: x[:, -1]),
        ("first_channel", [I], lambda x: x[:, :, :, 0]),
        ("some_channels", [I], lambda x: x[..., 1:]),
        ("one_channel_kept", [I], lambda x: x[:, :, :, 0:1]),
        ("every_second", [S], lambda x: x[:, ::2]),
        ("reversed", [S], lambda x: x[:, ::-1, :]),
        ("new_axis", [V], lambda x: x[:, None, :]),
        ("new_axis_name", [V], lambda x: x[:, tf.newaxis]),
        ("cropped", [I], lambda x: x[:, 1:-1, 1:-1, :]),
        ("channels_swapped", [I], lambda x: x[..., ::-1]),
        ("two_columns", [V], lambda x: x[:, 0:1] * x[:, 3:4]),
        ("closure_index", [S], lambda x: x[:, axis]),
        # keras.backend
        ("k_mean", [S], lambda x: K.mean(x, axis=1)),
        ("k_mean_axes", [I], lambda x: K.mean(x, axis=[1, 2])),
        ("k_mean_keepdims", [S], lambda x: K.mean(x, axis=-1, keepdims=True)),
        ("k_sum", [S], lambda x: K.sum(x, axis=1)),
        ("k_sum_positional", [S], lambda x: K.sum(x, 1, True)),
        ("k_max", [S], lambda x: K.max(x, axis=1)),
        ("k_min", [S], lambda x: K.min(x, axis=2)),
        ("k_std", [S], lambda x: K.std(x, axis=1)),
        ("k_var", [S], lambda x: K.var(x, axis=1)),
        ("k_prod", [V], lambda x: K.prod(x, axis=1, keepdims=True)),
        ("k_l2", [V], lambda x: K.l2_normalize(x, axis=1)),
        ("k_l2_last", [I], lambda x: K.l2_normalize(x, axis=-1)),
        ("k_abs", [V, V], lambda t: K.abs(t[0] - t[1])),
        ("k_distance", [V, V], lambda x: K.sqrt(K.sum(K.square(x[0] - x[1]), axis=1, keepdims=True))),
        ("k_distance_bounded", [V, V], lambda x: K.sqrt(K.maximum(K.sum(K.square(x[0] - x[1]), axis=1, keepdims=True), K.epsilon()))),
        ("k_exp", [V], lambda x: K.exp(-x)),
        ("k_log", [V], lambda x: K.log(x + 2.0)),
        ("k_clip", [V], lambda x: K.clip(x, -0.5, 0.5)),
        ("k_sigmoid", [V], lambda x: K.sigmoid(x)),
        ("k_tanh", [V], lambda x: K.tanh(x)),
        ("k_relu", [V], lambda x: K.relu(x)),
        ("k_relu_bounded", [V], lambda x: K.relu(x, max_value=0.5)),
        ("k_relu_leaky", [V], lambda x: K.relu(x, alpha=0.1)),
        ("k_elu", [V], lambda x: K.elu(x)),
        ("k_softmax", [V], lambda x: K.softmax(x)),
        ("k_softplus", [V], lambda x: K.softplus(x)),
        ("k_swish", [V], lambda x: x * K.sigmoid(x)),
        ("k_mish", [V], lambda x: x * K.tanh(K.softplus(x))),
        ("k_hard_sigmoid", [V], lambda x: K.hard_sigmoid(x * 3.0)),
        ("k_expand", [V], lambda x: K.expand_dims(x, axis=1)),
        ("k_expand_last", [V], lambda x: K.expand_dims(x)),
        ("k_squeeze", [(1, 4)], lambda x: K.squeeze(x, axis=1)),
        ("k_reshape", [V], lambda x: K.reshape(x, (-1, 2, 2))),
        ("k_reshape_batch", [S], lambda x: K.reshape(x, (K.shape(x)[0], 20))),
        ("k_permute", [S], lambda x: K.permute_dimensions(x, (0, 2, 1))),
        ("k_concatenate", [V, V], lambda x: K.concatenate([x[0], x[1]], axis=-1)),
        ("k_concatenate_all", [V, V], lambda x: K.concatenate(x)),
        ("k_stack", [V, V], lambda x: K.stack([x[0], x[1]], axis=1)),
        ("k_repeat", [V], lambda x: K.repeat(x, 3)),
        ("k_repeat_elements", [S], lambda x: K.repeat_elements(x, 2, axis=1)),
        ("k_tile", [S], lambda x: K.tile(x, [1, 2, 1])),
        ("k_reverse", [S], lambda x: K.reverse(x, 1)),
        ("k_batch_dot", [S, S], lambda x: K.batch_dot(x[0], x[1], axes=[2, 2])),
        ("k_dot_product", [V, V], lambda x: K.batch_dot(x[0], x[1], axes=1)),
        ("k_argmax", [S], lambda x: K.cast(K.argmax(x, axis=-1), "float32")),
        ("k_greater", [V], lambda x: K.cast(K.greater(x, 0.0), K.floatx())),
        ("k_switch", [V], lambda x: K.switch(K.greater(x, 0.0), x, x * 0.1)),
        ("k_maximum", [V, V], lambda x: K.maximum(x[0], x[1])),
        ("k_resize", [I], lambda x: K.resize_images(x, 2, 2, "channels_last")),
        ("k_padding", [S], lambda x: K.temporal_padding(x, (1, 2))),
        ("k_flatten", [S], lambda x: K.batch_flatten(x)),
        ("k_ones", [V], lambda x: x + K.ones_like(x)),
        ("k_zeros", [V], lambda x: K.zeros_like(x) + 0.25),
        ("k_one_hot", [V], lambda x: K.one_hot(K.cast(x > 0, "int32"), 2)),
        ("k_int_shape", [S], lambda x: x * K.int_shape(x)[1]),
        ("k_cumsum", [S], lambda x: K.cumsum(x, axis=1)),
        ("k_stop", [V], lambda x: K.stop_gradient(x) * 2),
        # tf
        ("tf_reduce_mean", [I], lambda x: tf.reduce_mean(x, [1, 2])),
        ("tf_reduce_sum", [S], lambda x: tf.reduce_sum(x, axis=1)),
        ("tf_reduce_max", [S], lambda x: tf.reduce_max(x, axis=-1, keepdims=True)),
        ("tf_math_mean", [S], lambda x: tf.math.reduce_mean(x, axis=1)),
        ("tf_l2", [V], lambda x: tf.nn.l2_normalize(x, axis=1)),
        ("tf_math_l2", [V], lambda x: tf.math.l2_normalize(x, axis=-1)),
        ("tf_abs", [V, V], lambda x: tf.abs(x[0] - x[1])),
        ("tf_multiply", [V, V], lambda x: tf.multiply(x[0], x[1])),
        ("tf_add", [V, V], lambda x: tf.add(x[0], x[1])),
        ("tf_subtract", [V, V], lambda x: tf.subtract(x[0], x[1])),
        ("tf_concat", [V, V], lambda x: tf.concat(x, axis=-1)),
        ("tf_stack", [V, V], lambda x: tf.stack(x, axis=1)),
        ("tf_expand", [V], lambda x: tf.expand_dims(x, -1)),
        ("tf_squeeze", [(1, 4)], lambda x: tf.squeeze(x, 1)),
        ("tf_transpose", [S], lambda x: tf.transpose(x, [0, 2, 1])),
        ("tf_transpose_perm", [I], lambda x: tf.transpose(x, perm=(0, 3, 1, 2))),
        ("tf_reshape", [S], lambda x: tf.reshape(x, [-1, 20])),
        ("tf_reshape_shape", [S], lambda x: tf.reshape(x, [tf.shape(x)[0], tf.shape(x)[1] * tf.shape(x)[2]])),
        ("tf_cast", [V], lambda x: tf.cast(x > 0.1, tf.float32)),
        ("tf_clip", [V], lambda x: tf.clip_by_value(x, -0.25, 0.75)),
        ("tf_softmax", [V], lambda x: tf.nn.softmax(x)),
        ("tf_relu6", [V], lambda x: tf.nn.relu6(x * 10.0)),
        ("tf_leaky", [V], lambda x: tf.nn.leaky_relu(x, 0.3)),
        ("tf_where", [V], lambda x: tf.where(x > 0, x, tf.zeros_like(x))),
        ("tf_matmul", [S, S], lambda x: tf.matmul(x[0], x[1], transpose_b=True)),
        ("tf_split", [V], lambda x: tf.split(x, 2, axis=-1)[0]),
        ("tf_tile", [V], lambda x: tf.tile(x, [1, 3])),
        ("tf_pad", [I], lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])),
        ("tf_pad_reflect", [I], lambda x: tf.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]], "REFLECT")),
        ("tf_depth_to_space", [(3, 3, 4)], lambda x: tf.nn.depth_to_space(x, 2)),
        ("tf_space_to_depth", [I], lambda x: tf.nn.space_to_depth(x, block_size=2)),
        ("tf_exp", [V], lambda x: tf.exp(x) + tf.square(x) - tf.sqrt(x + 2.0)),
        ("tf_flip", [I], lambda x: tf.image.flip_left_right(x)),
        ("tf_gray", [I], lambda x: tf.image.rgb_to_grayscale(x)),
        ("tf_constant", [V], lambda x: x * tf.constant([1.0, 2.0, 3.0, 4.0])),
        ("tf_gather", [S], lambda x: tf.gather(x, [0, 2], axis=1)),
        # defaults, closures, arguments, nested and branching functions
        ("closure", [V], lambda x: x * scale),
        ("closure_flag", [V], lambda x: x * 2 if flag else x),
        ("default", [V], lambda x, a=3.0, b=1: x * a + b),
        ("def_default", [V], shifted),
        ("import_inside", [V], with_import),
        ("inner_function", [V], nested),
        ("chosen_by_default", [V], by_mode),
        ("argument", [V], by_mode, {"mode": "square"}),
        ("arguments", [I], lambda x, factor, offset: x * factor + offset, {"factor": 2, "offset": 0.5}),
        ("attention", [S, S], attention),
        ("squash", [S], squash),
        ("identity", [V], lambda x: x),
        ("two_outputs", [V], lambda x: [x[:, :2], x[:, 2:]]),
        ("equal", [V], lambda x: tf.cast(tf.equal(x, x), "float32") + x),
    ]


NEWER = [
    ("tf_resize", [I], lambda x: tf.image.resize(x, [12, 9])),
    ("tf_resize_nearest", [I], lambda x: tf.image.resize(x, (12, 12), method="nearest")),
    ("tf_resize_method", [I], lambda x: tf.image.resize(x, (8, 8), tf.image.ResizeMethod.BILINEAR)),
    ("operator_equal", [V], lambda x: tf.cast(x == x, tf.float32) + x),
    ("tf_keras_backend", [V], lambda x: tf.keras.backend.mean(x, axis=-1, keepdims=True)),
    ("tf_shape_static", [S], lambda x: tf.reshape(x, (-1, x.shape[1] * x.shape[2]))),
]
