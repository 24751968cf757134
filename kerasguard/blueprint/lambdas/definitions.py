"""Functions that are several operations of Keras 3, each defined by a line of Python.

The line is what TensorFlow computes, written with functions that are in the tables; it is read and
evaluated as a function of a file is, with the same refusals. Names of parameters are TensorFlow's.
"""

from __future__ import annotations

from kerasguard.blueprint.lambdas.written import function_written

__all__ = ["DEFINITIONS"]

_LINES = {
    "tensorflow.clip_by_norm": (
        "lambda t, clip_norm, axes=None:"
        " t * clip_norm / tf.maximum(tf.sqrt(tf.reduce_sum(t * t, axes, keepdims=True)), clip_norm)"
    ),
    "tensorflow.image.adjust_contrast": (
        "lambda images, contrast_factor:"
        " (images - tf.reduce_mean(images, [-3, -2], keepdims=True)) * contrast_factor"
        " + tf.reduce_mean(images, [-3, -2], keepdims=True)"
    ),
    "tensorflow.image.central_crop": (
        "lambda image, central_fraction: image[...,"
        " math.floor((image.shape[-3] - image.shape[-3] * central_fraction) / 2):"
        "image.shape[-3] - math.floor((image.shape[-3] - image.shape[-3] * central_fraction) / 2),"
        " math.floor((image.shape[-2] - image.shape[-2] * central_fraction) / 2):"
        "image.shape[-2] - math.floor((image.shape[-2] - image.shape[-2] * central_fraction) / 2),"
        " :]"
    ),
    "tensorflow.image.per_image_standardization": (
        "lambda image: (image - tf.reduce_mean(image, [-3, -2, -1], keepdims=True)) / tf.maximum("
        "tf.math.reduce_std(image, [-3, -2, -1], keepdims=True), 1.0 / math.sqrt("
        "image.shape[-1] * image.shape[-2] * image.shape[-3]))"
    ),
    "tensorflow.image.rot90": (
        "lambda image, k=1: image if k % 4 == 0"
        " else tf.image.transpose(tf.reverse(image, [-2])) if k % 4 == 1"
        " else tf.reverse(image, [-3, -2]) if k % 4 == 2"
        " else tf.reverse(tf.image.transpose(image), [-2])"
    ),
    "tensorflow.image.total_variation": (
        "lambda images:"
        " tf.reduce_sum(tf.abs(images[..., 1:, :, :] - images[..., :-1, :, :]), [-3, -2, -1])"
        " + tf.reduce_sum(tf.abs(images[..., 1:, :] - images[..., :-1, :]), [-3, -2, -1])"
    ),
    "tensorflow.l2_loss": "lambda t: tf.reduce_sum(t * t) / 2",
    "tensorflow.linalg.normalize": (
        "lambda tensor, ord='euclidean', axis=None:"
        " (tensor / tf.norm(tensor, ord, axis, keepdims=True),"
        " tf.norm(tensor, ord, axis, keepdims=True))"
    ),
    "tensorflow.local_response_normalization": (
        "lambda input, depth_radius=5, bias=1, alpha=1, beta=0.5: input / (bias + alpha"
        " * (2 * depth_radius + 1) * K.reshape(tf.nn.avg_pool2d(K.reshape(tf.pad(input * input,"
        " [[0, 0], [0, 0], [0, 0], [depth_radius, depth_radius]]),"
        " (-1, input.shape[1] * input.shape[2], input.shape[3] + 2 * depth_radius, 1)),"
        " [1, 1, 2 * depth_radius + 1, 1], [1, 1, 1, 1], 'VALID'),"
        " (-1, input.shape[1], input.shape[2], input.shape[3]))) ** beta"
    ),
    "tensorflow.multiply_no_nan": (
        "lambda x, y: tf.where(tf.equal(y, 0.0), tf.zeros_like(x), x * y)"
    ),
    "tensorflow.sequence_mask": (
        "lambda lengths, maxlen=None, dtype='bool':"
        " tf.cast(tf.less(np.arange(maxlen), tf.expand_dims(lengths, -1)), dtype)"
    ),
    "tensorflow.to_double": "lambda x: tf.cast(x, 'float64')",
    "tensorflow.to_float": "lambda x: tf.cast(x, 'float32')",
    "tensorflow.to_int32": "lambda x: tf.cast(x, 'int32')",
    "tensorflow.to_int64": "lambda x: tf.cast(x, 'int64')",
    "tensorflow.xdivy": "lambda x, y: tf.where(tf.equal(x, 0.0), tf.zeros_like(x), x / y)",
    "tensorflow.xlogy": (
        "lambda x, y: tf.where(tf.equal(x, 0.0), tf.zeros_like(x), x * tf.math.log(y))"
    ),
}

DEFINITIONS = {name: function_written(name, line) for name, line in _LINES.items()}
"""By full name."""
