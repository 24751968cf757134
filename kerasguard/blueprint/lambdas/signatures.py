"""Functions that a Lambda may call, by module, with the order of their parameters, as data.

The name behind the bar is what the parameter is called in the table of TensorFlow's functions, if
it is another: `begin=start` is `start` in the function itself.
"""

from __future__ import annotations

__all__ = ["OPERATIONS", "SIGNATURES"]

_TENSORFLOW = """
abs acos asin atan ceil cos acosh asinh atanh cosh erf erfc exp expm1 floor is_finite is_inf is_nan
log log1p log_sigmoid negative reciprocal rint round rsqrt sigmoid sign sin sinh sqrt square tan
tanh logical_not | x
add subtract multiply divide truediv realdiv divide_no_nan floordiv floormod mod pow maximum minimum
greater greater_equal less less_equal equal not_equal logical_and logical_or logical_xor
squared_difference | x y
div | x y
atan2 | y x
scalar_mul | scalar x
add_n accumulate_n | inputs
bias_add | value bias
elu gelu relu relu6 selu softplus softsign silu swish | features
leaky_relu | features alpha
crelu | features axis
softmax log_softmax | logits axis
identity stop_gradient zeros_like ones_like | input
reduce_all reduce_any reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_std
reduce_sum reduce_variance count_nonzero reduce_euclidean_norm | input_tensor axis keepdims
argmax argmin | input axis
concat | values axis
stack | values axis
unstack | value num axis
expand_dims squeeze | input axis
transpose | a perm conjugate
matrix_transpose | a
reverse | tensor axis
roll | input shift axis
repeat | input repeats axis
tile | input multiples
cast | x dtype
gather | params indices
where compat.v1.where | condition x y
reshape | tensor shape
clip_by_value | t clip_value_min clip_value_max
one_hot | indices depth on_value off_value axis dtype
split | value num_or_size_splits axis
pad | tensor paddings mode
matmul | a b transpose_a transpose_b
matvec | a b
tensordot | a b axes
norm | tensor ord axis
slice | input_ begin size
cumsum cumprod | x axis exclusive reverse
argsort sort | values axis direction
top_k | input k
moments | x axes
depth_to_space space_to_depth | input block_size
l2_normalize | x axis epsilon
band_part | input num_lower num_upper
cholesky det inv linalg.diag_part | input
image.adjust_brightness | image delta
strided_slice | input_ begin end strides
cross | a b
trace | x
broadcast_to | input shape
max_pool avg_pool | input ksize strides padding
max_pool2d avg_pool2d max_pool1d avg_pool1d max_pool3d avg_pool3d | input ksize strides padding
hard_sigmoid | x
einsum | equation a b c d
ensure_shape | x shape
image.resize image.resize_images | images size method
image.resize_bilinear image.resize_bicubic
image.resize_nearest_neighbor | images size align_corners half_pixel_centers
image.flip_left_right image.flip_up_down image.transpose | image
image.grayscale_to_rgb image.hsv_to_rgb image.rgb_to_hsv image.rgb_to_grayscale | images
image.crop_to_bounding_box | image offset_height offset_width target_height target_width
image.pad_to_bounding_box | image offset_height offset_width target_height target_width
image.extract_patches | images sizes strides rates padding
"""
_BACKEND = """
abs exp log sigmoid tanh sin cos sqrt square sign round identity stop_gradient softplus softsign
hard_sigmoid batch_flatten flatten transpose | x
pow | x a
maximum minimum equal not_equal greater greater_equal less less_equal dot | x y
all any max mean min prod std sum var logsumexp | x axis keepdims
argmax argmin | x axis
softmax | x axis
relu | x alpha max_value threshold
elu | x alpha
clip | x min_value max_value
cast | x dtype
concatenate | tensors axis
stack | x axis
expand_dims squeeze | x axis
permute_dimensions | x pattern
reverse | x axes
repeat | x n
repeat_elements | x rep axis
tile | x n
reshape | x shape
gather | reference indices
switch | condition then_expression else_expression
one_hot | indices num_classes
l2_normalize | x axis
batch_dot | x y axes
bias_add | x bias data_format
cumsum cumprod | x axis
slice | x begin=start size
zeros_like ones_like | x dtype
resize_images | x height_factor width_factor data_format interpolation
temporal_padding spatial_2d_padding | x padding data_format
pool2d pool3d | x pool_size strides padding data_format pool_mode
"""
_ACTIVATIONS = """
sigmoid tanh hard_sigmoid exponential linear mish | x
relu | x alpha max_value threshold
elu | features=x alpha
selu softplus softsign silu swish | features=x
gelu | features=x approximate
softmax log_softmax | logits=x axis
"""
_LAYERS = """
add average maximum minimum multiply subtract | inputs
concatenate | inputs axis
dot | inputs axes normalize
"""
_OPS = """
abs absolute arccos arccosh arcsin arcsinh arctan arctanh ceil cos cosh erf exp expm1 floor isfinite
isinf isnan log log10 log1p log2 logical_not log_sigmoid negative reciprocal relu relu6 rsqrt selu
sigmoid sign silu sin sinh softplus softsign sqrt square tan tanh zeros_like ones_like ravel copy
stop_gradient | x
add arctan2 divide divide_no_nan equal floor_divide greater greater_equal less less_equal
logical_and logical_or logical_xor matmul maximum minimum mod multiply not_equal power subtract
true_divide dot | x y
all any amax amin max mean min prod std sum var logsumexp count_nonzero | x | axis keepdims
argmax argmin cumsum cumprod softmax log_softmax expand_dims squeeze flip sort argsort | x | axis
concatenate stack | xs | axis
reshape | x | newshape
transpose | x | axes
tile repeat | x | repeats axis
roll | x | shift axis
swapaxes | x | axis1 axis2
cast | x | dtype
clip | x | x_min x_max
take | x indices | axis
where | condition x y
normalize | x | axis order epsilon
one_hot | x | num_classes axis dtype
leaky_relu | x | negative_slope
elu | x | alpha
gelu | x | approximate
tensordot | x y | axes
split | x | indices_or_sections axis
round | x | decimals
norm | x | ord axis keepdims
resize | images | size interpolation antialias
"""


def _rows(rows: str) -> list[tuple[list[str], list[str]]]:
    """Names and fields of each row; a row goes on until a line has a bar."""
    found, names = [], []
    for line in rows.strip().splitlines():
        head, *fields = line.split(" | ")
        names += head.split()
        if fields:
            found.append((names, fields))
            names = []
    return found


def _parameters(field: str) -> tuple[tuple[str, str], ...]:
    pairs = [word.partition("=") for word in field.split()]
    return tuple((own or known, known) for known, _, own in pairs)


_TABLES = {
    "tensorflow": _TENSORFLOW,
    "keras.activations": _ACTIVATIONS,
    "keras.backend": _BACKEND,
    "keras.layers": _LAYERS,
}


def _table() -> dict[str, tuple[tuple[str, str], ...]]:
    table: dict[str, tuple[tuple[str, str], ...]] = {}
    for module, rows in _TABLES.items():
        for names, fields in _rows(rows):
            table |= {f"{module}.{name}": _parameters(fields[0]) for name in names}
    return table


SIGNATURES: dict[str, tuple[tuple[str, str], ...]] = _table()
"""Parameters in order, each with its name in the function and in the table of operations."""

OPERATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    name: (tuple(fields[0].split()), tuple(fields[1].split()) if len(fields) > 1 else ())
    for names, fields in _rows(_OPS)
    for name in names
}
"""Functions of `keras.ops`: their tensors and their options, in order."""
