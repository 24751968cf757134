"""TensorFlow's functions in terms of Keras 3's operations, as data.

A row is `function | Keras operation | tensor parameters | options`. The function is named by its
last part where that is enough (`reduce_mean` for `tf.math.reduce_mean`), in full where Keras'
backend means something else. An option is `keras_name=tensorflow_name:default`; the name is
left out where both are the same, the default where both have the same one; `name!value` is a
parameter that must have that value (`*`: any). A `>` puts another operation behind. What needs
more than a row is in `special_operations`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["FUNCTIONS", "Operation"]

_ROWS = """
add | numpy.Add | x y
subtract | numpy.Subtract | x y
multiply | numpy.Multiply | x y
divide | numpy.TrueDivide | x y
truediv | numpy.TrueDivide | x y
realdiv | numpy.TrueDivide | x y
divide_no_nan | numpy.DivideNoNan | x y
floordiv | numpy.FloorDivide | x y
floor_div | numpy.FloorDivide | x y
floormod | numpy.Mod | x y
mod | numpy.Mod | x y
pow | numpy.Power | x y|a
maximum | numpy.Maximum | x y
minimum | numpy.Minimum | x y
atan2 | numpy.Arctan2 | y x
scalar_mul | numpy.Multiply | scalar x
bias_add | numpy.Add | value bias | data_format!"NHWC"
squared_difference | numpy.Subtract > numpy.Square | x y
greater | numpy.Greater | x y
greater_equal | numpy.GreaterEqual | x y
less | numpy.Less | x y
less_equal | numpy.LessEqual | x y
equal | numpy.Equal | x y
not_equal | numpy.NotEqual | x y
eq | numpy.Equal | self other
ne | numpy.NotEqual | self other
logical_and | numpy.LogicalAnd | x y
logical_or | numpy.LogicalOr | x y
logical_xor | numpy.LogicalXor | x y
logical_not | numpy.LogicalNot | x
abs | numpy.Absolute | x
acos | numpy.Arccos | x
asin | numpy.Arcsin | x
atan | numpy.Arctan | x
ceil | numpy.Ceil | x
cos | numpy.Cos | x
acosh | numpy.Arccosh | x
asinh | numpy.Arcsinh | x
atanh | numpy.Arctanh | x
cosh | numpy.Cosh | x
erf | math.Erf | x
exp | numpy.Exp | x
expm1 | numpy.Expm1 | x
floor | numpy.Floor | x
is_finite | numpy.Isfinite | x
is_inf | numpy.Isinf | x
is_nan | numpy.Isnan | x
log | numpy.Log | x
log1p | numpy.Log1p | x
log_sigmoid | nn.LogSigmoid | x
negative | numpy.Negative | x
reciprocal | numpy.Reciprocal | x
rint | numpy.Round | x
round | numpy.Round | x
rsqrt | math.Rsqrt | x
sigmoid | nn.Sigmoid | x
sign | numpy.Sign | x
sin | numpy.Sin | x
sinh | numpy.Sinh | x
sqrt | numpy.Sqrt | x
square | numpy.Square | x
tan | numpy.Tan | x
tanh | numpy.Tanh | x
elu | nn.Elu | features | alpha
gelu | nn.Gelu | features | approximate:false
leaky_relu | nn.LeakyRelu | features | negative_slope=alpha:0.2
log_softmax | nn.LogSoftmax | logits | axis:-1
relu | nn.Relu | features
relu6 | nn.Relu6 | features
selu | nn.Selu | features
silu | nn.Silu | features | beta!1.0
softmax | nn.Softmax | logits | axis:-1
softplus | nn.Softplus | features
softsign | nn.Softsign | features
swish | nn.Silu | features | beta!1.0
exponential | numpy.Exp | x
linear | layers.Identity | x
mish | nn.Softplus > numpy.Tanh > *numpy.Multiply | x
identity | layers.Identity | input
ensure_shape | layers.Identity | x | shape!*
stop_gradient | core.StopGradient | input
zeros_like | numpy.ZerosLike | input | dtype
ones_like | numpy.OnesLike | input | dtype
reduce_all | numpy.All | input_tensor | axis keepdims
reduce_any | numpy.Any | input_tensor | axis keepdims
reduce_logsumexp | math.Logsumexp | input_tensor | axis keepdims
reduce_max | numpy.Max | input_tensor | axis keepdims
reduce_mean | numpy.Mean | input_tensor | axis keepdims
reduce_min | numpy.Min | input_tensor | axis keepdims
reduce_prod | numpy.Prod | input_tensor | axis keepdims
reduce_std | numpy.Std | input_tensor | axis keepdims
reduce_sum | numpy.Sum | input_tensor | axis keepdims
reduce_variance | numpy.Var | input_tensor | axis keepdims
keras.backend.all | numpy.All | x | axis keepdims
keras.backend.any | numpy.Any | x | axis keepdims
keras.backend.max | numpy.Max | x | axis keepdims
keras.backend.mean | numpy.Mean | x | axis keepdims
keras.backend.min | numpy.Min | x | axis keepdims
keras.backend.prod | numpy.Prod | x | axis keepdims
keras.backend.std | numpy.Std | x | axis keepdims
keras.backend.sum | numpy.Sum | x | axis keepdims
keras.backend.var | numpy.Var | x | axis keepdims
logsumexp | math.Logsumexp | x | axis keepdims
argmax | numpy.Argmax | input | axis:0 output_type!*
argmin | numpy.Argmin | input | axis:0 output_type!*
keras.backend.argmax | numpy.Argmax | x | axis:-1
keras.backend.argmin | numpy.Argmin | x | axis:-1
concat | numpy.Concatenate | values | axis
concatenate | numpy.Concatenate | tensors | axis:-1
stack | numpy.Stack | values | axis:0
unstack | core.Unstack | value | num axis:0
expand_dims | numpy.ExpandDims | input | axis:-1
squeeze | numpy.Squeeze | input | axis=axis|squeeze_dims
transpose | numpy.Transpose | a | axes=perm conjugate!false
permute_dimensions | numpy.Transpose | x | axes=pattern
matrix_transpose | numpy.Swapaxes | a | axis1=-:-1 axis2=-:-2 conjugate!false
reverse | numpy.Flip | tensor | axis=axis|axes|dims
roll | numpy.Roll | input | shift axis
repeat | numpy.Repeat | input | repeats axis
repeat_elements | numpy.Repeat | x | repeats=rep axis
tile | numpy.Tile | input | repeats=multiples|n
cast | core.Cast | x | dtype
keras.backend.gather | numpy.Take | reference indices | axis=-:0
where | numpy.Where | condition x y
switch | numpy.Where | condition then_expression else_expression
tensordot | numpy.Tensordot | a b | axes
top_k | math.TopK | input | k:1 sorted:true
depth_to_space | nn.DepthToSpace | input | block_size data_format!"NHWC"
space_to_depth | nn.SpaceToDepth | input | block_size data_format!"NHWC"
batch_flatten | layers.Flatten | x
add_n | layers.Add | inputs
argsort | numpy.Argsort | values | axis:-1 direction!"ASCENDING" stable!*
sort | numpy.Sort | values | axis:-1 direction!"ASCENDING"
moments | nn.Moments | x | axes keepdims
broadcast_to | numpy.BroadcastTo | input | shape
count_nonzero | numpy.CountNonzero | input | axis keepdims!false dtype!*
erfc | math.Erfc | x
erfinv | math.Erfinv | x
cholesky | linalg.Cholesky | input
cross | numpy.Cross | a b
det | linalg.Det | input
diag_part | numpy.Diagonal | input | axis1=-:-2 axis2=-:-1 k!0 padding_value!* align!*
inv | linalg.Inv | input | adjoint!false
matvec | numpy.Einsum | a b | subscripts=-:"...ij,...j->...i" transpose_a!false adjoint_a!false
solve | linalg.Solve | matrix rhs | adjoint!false
trace | numpy.Trace | x | axis1=-:-2 axis2=-:-1
keras.backend.dot | numpy.Dot | x y
keras.backend.flatten | numpy.Reshape | x | newshape=-:[-1]
keras.backend.repeat | layers.RepeatVector | x | n
keras.backend.sqrt | nn.Relu > numpy.Sqrt | x
image.flip_left_right | numpy.Flip | image | axis=-:-2
image.flip_up_down | numpy.Flip | image | axis=-:-3
image.grayscale_to_rgb | numpy.Repeat | images | repeats=-:3 axis=-:-1
image.hsv_to_rgb | image.HSVToRGB | images | data_format=-:"channels_last"
image.rgb_to_hsv | image.RGBToHSV | images | data_format=-:"channels_last"
image.transpose | numpy.Swapaxes | image | axis1=-:-3 axis2=-:-2
image.rgb_to_grayscale | image.RGBToGrayscale | images | data_format=-:"channels_last"
"""


@dataclass(frozen=True, slots=True)
class Operation:
    """How Keras 3 computes a function of TensorFlow.

    Args:
        steps: names of Keras' operations, `numpy.Mean`, to be applied one after the other; one
            with a star takes the function's own input as its first argument.
        tensors: the function's parameters that are tensors, in the order of the operation's
            arguments; each with the names that it has in different TensorFlow functions.
        options: Keras' options, each with the names of the parameter and its default.
        required: parameters that Keras lacks, with the only value that it computes.
    """

    steps: tuple[str, ...]
    tensors: tuple[tuple[str, ...], ...]
    options: dict[str, tuple[tuple[str, ...], Any]]
    required: dict[str, Any]


def _operation(steps: str, tensors: str, options: str = "") -> Operation:
    known: dict[str, tuple[tuple[str, ...], Any]] = {}
    required = {}
    for option in options.split():
        if "!" in option:
            name, _, value = option.partition("!")
            required[name] = None if value == "*" else json.loads(value)
            continue
        names, _, default = option.partition(":")
        keras, _, tensorflow = names.partition("=")
        parameters = tuple((tensorflow or keras).split("|"))
        known[keras] = parameters, json.loads(default) if default else None
    return Operation(
        tuple(step.strip() for step in steps.split(">")),
        tuple(tuple(name.split("|")) for name in tensors.split()),
        known,
        required,
    )


def _table(rows: str) -> dict[str, Operation]:
    table = {}
    for row in rows.strip().splitlines():
        name, *fields = (field.strip() for field in row.split(" | "))
        table[name] = _operation(*fields)
    return table


FUNCTIONS: dict[str, Operation] = _table(_ROWS)
