"""KG420: nodes of a TensorFlow graph inside a Keras model.

What it looks like: layers of class `TensorFlowOpLayer` with a `node_def` and `constants`:
`Unknown layer: 'TensorFlowOpLayer'`.

Why it happens: TensorFlow 1.13 to 2.3 made such a layer of every graph node between two Keras
tensors. Keras 3 has operations of its own instead.

Source: tf.keras `engine/base_layer.py`, `TensorFlowOpLayer`; TensorFlow `ops/*.pbtxt`.

When it is exact: for the operations and attributes in the tables here and in
`blueprint/operations.py`. Any other operation is refused by name.
"""

from __future__ import annotations

import base64
from typing import Any

from kerasguard.blueprint.computations import Unsupported, install, plan
from kerasguard.blueprint.nodes import calls_of, layers_of
from kerasguard.blueprint.objects import Json, class_of, config_of
from kerasguard.blueprint.shapes import rank_in
from kerasguard.blueprint.working import Blueprint, Migration

CODES = {"KG420": "a node of a TensorFlow graph is a layer of the model"}

# operation | function | inputs, `*` for all that are left | attributes as parameters
_ROWS = """
Abs | abs | x
Add | add | x y
AddN | add_n | *
AddV2 | add | x y
All | reduce_all | x axis | keep_dims
Any | reduce_any | x axis | keep_dims
ArgMax | argmax | x axis
ArgMin | argmin | x axis
Atan2 | atan2 | y x
AvgPool | avg_pool | x | ksize strides padding data_format
BatchMatMul | matmul | a b | adj_x=transpose_a adj_y=transpose_b
BatchMatMulV2 | matmul | a b | adj_x=transpose_a adj_y=transpose_b
BiasAdd | bias_add | x bias
BroadcastTo | broadcast_to | x shape
Cast | cast | x | DstT=dtype
Cholesky | cholesky | x
ClipByValue | clip_by_value | x clip_value_min clip_value_max
Conv2D | conv2d | x filters | strides padding data_format dilations
ConcatV2 | concat | * axis
Cumprod | cumprod | x axis | exclusive reverse
Cumsum | cumsum | x axis | exclusive reverse
DepthwiseConv2dNative | depthwise_conv2d | x filters | strides padding data_format dilations
DepthToSpace | depth_to_space | x | block_size data_format
Div | divide | x y
DivNoNan | divide_no_nan | x y
Einsum | einsum | * | equation
Elu | elu | x
Equal | equal | x y
ExpandDims | expand_dims | x axis
ExtractImagePatches | image.extract_patches | x | ksizes=sizes strides rates padding
FloorDiv | floordiv | x y
FloorMod | floormod | x y
GatherV2 | gather | x indices axis | batch_dims
Gather | gather | x indices
Greater | greater | x y
GreaterEqual | greater_equal | x y
LeakyRelu | leaky_relu | x | alpha
Less | less | x y
LessEqual | less_equal | x y
LogicalAnd | logical_and | x y
LogicalNot | logical_not | x
LogicalOr | logical_or | x y
MatMul | matmul | a b | transpose_a transpose_b
MatrixBandPart | band_part | x num_lower num_upper
MatrixDeterminant | det | x
MatrixInverse | inv | x
Max | reduce_max | x axis | keep_dims
MaxPool | max_pool | x | ksize strides padding data_format
Maximum | maximum | x y
Mean | reduce_mean | x axis | keep_dims
Min | reduce_min | x axis | keep_dims
Minimum | minimum | x y
MirrorPad | pad | x paddings | mode
Mul | multiply | x y
Neg | negative | x
NotEqual | not_equal | x y
OneHot | one_hot | x depth on_value off_value | axis
Pack | stack | * | axis
Pad | pad | x paddings
PadV2 | pad | x paddings constant_values
Pow | pow | x y
Prod | reduce_prod | x axis | keep_dims
RealDiv | divide | x y
Reshape | reshape | x shape
ResizeBicubic | raw_ops.ResizeBicubic | x size | align_corners half_pixel_centers
ResizeBilinear | raw_ops.ResizeBilinear | x size | align_corners half_pixel_centers
ResizeNearestNeighbor | raw_ops.ResizeNearestNeighbor | x size | align_corners half_pixel_centers
ReverseV2 | reverse | x axis
Select | where | x x y
SelectV2 | where | x x y
Slice | slice | x begin size
SpaceToDepth | space_to_depth | x | block_size data_format
Split | split | axis x | num_split=num_or_size_splits
SplitV | split | x num_or_size_splits axis
SquaredDifference | squared_difference | x y
Squeeze | squeeze | x | squeeze_dims=axis
Sub | subtract | x y
Sum | reduce_sum | x axis | keep_dims
Tile | tile | x multiples
TopKV2 | top_k | x k | sorted
Transpose | transpose | x perm
Unpack | unstack | x | num axis
"""
_UNARY = (
    "Acos Asin Atan Ceil Cos Cosh Erf Erfc Exp Expm1 Floor Identity Inv Log Log1p LogSoftmax "
    "OnesLike Reciprocal Relu Relu6 Rint Round Rsqrt Selu Sigmoid Sign Sin Sinh Softmax Softplus "
    "Softsign Sqrt Square StopGradient Tan Tanh ZerosLike IsFinite IsInf IsNan"
)
_SPELLED = {
    "Inv": "reciprocal",
    "IsFinite": "is_finite",
    "IsInf": "is_inf",
    "IsNan": "is_nan",
    "LogSoftmax": "log_softmax",
    "OnesLike": "ones_like",
    "StopGradient": "stop_gradient",
    "ZerosLike": "zeros_like",
}
_TABLE = {row.split(" | ")[0]: row.split(" | ")[1:] for row in _ROWS.strip().splitlines()}
_TABLE |= {name: [_SPELLED.get(name, name.lower()), "x"] for name in _UNARY.split()}
_DTYPES = {"double": "float64", "float": "float32", "half": "float16"}
_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


def rewrite(blueprint: Blueprint) -> None:
    """Replace every such layer by the operation that computes it."""
    for _, model in blueprint.graphs():
        for layer in [x for x in layers_of(model) if class_of(x) == "TensorFlowOpLayer"]:
            node = config_of(layer).get("node_def")
            operation = str(node.get("op")) if isinstance(node, dict) else "(unreadable)"
            try:
                _replace(model, layer, operation)
            except Unsupported as reason:
                blueprint.refuse(layer, f"the TensorFlow operation {operation} ({reason})")
            else:
                blueprint.note(
                    layer, f"the TensorFlow operation {operation} became a Keras operation"
                )


def _replace(model: Json, layer: Json, operation: str) -> None:
    config = config_of(layer)
    if operation not in _TABLE and operation != "StridedSlice":
        raise Unsupported("kerasguard knows no Keras 3 equivalent")
    attributes = {k: _attribute(v) for k, v in config["node_def"].get("attr", {}).items()}
    plans, rank = [], rank_in(model)
    for call in calls_of(layer):
        inputs = _inputs(call["args"][0], config.get("constants") or {})
        if operation == "StridedSlice":
            given = {"slice_spec": _slices(inputs, attributes)}
            plans.append(plan("__operators__.getitem", inputs[0], given, rank))
        else:
            function, first, rest = _bind(operation, inputs, attributes)
            plans.append(plan(function, first, rest, rank))
    install(model, layer, plans)


def _inputs(tensors: Any, constants: Json) -> list[Any]:
    """The node's inputs: constants at their numbers, tensors in the places that are left."""
    waiting = list(tensors) if isinstance(tensors, list) else [tensors]
    total = len(waiting) + len(constants)
    return [constants[str(n)] if str(n) in constants else waiting.pop(0) for n in range(total)]


def _bind(operation: str, inputs: list[Any], attributes: Json) -> tuple[str, Any, Json]:
    """The function, its first argument and the others by name."""
    function, names, *told = _TABLE[operation]
    wanted, rest = names.split(), list(inputs)
    first: Any = None
    given: Json = {}
    if "*" in wanted:
        behind = len(wanted) - 1 - wanted.index("*")
        first, rest = rest[: len(rest) - behind], rest[len(rest) - behind :]
        wanted.remove("*")
    for number, name in enumerate(wanted[: len(rest)]):
        if (name == "x" and first is None) or name == "a" or (name == "y" and function == "atan2"):
            first = rest[number]
        else:
            given[name] = rest[number]
    for attribute in told[0].split() if told else ():
        raw, _, parameter = attribute.partition("=")
        if raw in attributes:
            given[parameter or raw] = attributes[raw]
    return function, first, given


def _attribute(value: Any) -> Any:
    """An attribute of a node in TensorFlow's JSON: numbers are strings, strings are base64."""
    if not isinstance(value, dict):
        return value
    if "list" in value:
        items: list[Any] = next(iter((value["list"] or {}).values()), [])
        return [int(x) if isinstance(x, str) and x.lstrip("-").isdigit() else x for x in items]
    if "i" in value:
        return int(value["i"])
    if "s" in value:
        return base64.b64decode(value["s"]).decode("utf-8", "replace")
    if "type" in value:
        plain = str(value["type"]).removeprefix("DT_").lower()
        return _DTYPES.get(plain, plain)
    return next(iter(value.values()), None)


def _slices(inputs: list[Any], attributes: Json) -> list[Any]:
    """A strided slice's bounds and bit masks as Python writes a slice."""
    if any(not isinstance(part, list) for part in inputs[1:4]):
        raise Unsupported("its bounds are computed inside the model")
    begins, ends, steps = inputs[1:4]
    masks = [int(attributes.get(mask) or 0) for mask in _MASKS]
    spec: list[Any] = []
    for n, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        no_begin, no_end, ellipsis, new_axis, shrink = (mask >> n & 1 for mask in masks)
        if ellipsis:
            spec.append({"class_name": "__ellipsis__"})
        elif new_axis:
            spec.append(None)
        elif shrink:
            spec.append(begin)
        else:
            start, stop = (None if no_begin else begin), (None if no_end else end)
            spec.append({"start": start, "stop": stop, "step": step})
    return spec


MIGRATION = Migration(
    "KG420",
    "TensorFlow 1.13 to 2.3",
    lambda w: w.before_keras3,
    rewrite,
    words=("TensorFlowOpLayer",),
)
