"""The operations: raw arrays in, raw arrays out; Tensors in, Tensors out, and recorded.

A raw result of no dimensions is a NumPy scalar, as in NumPy; a Tensor's data is always an array.
"""

from tinyseq.ops import operators as operators
from tinyseq.ops.elementwise import (
    abs,
    add,
    clip,
    cos,
    div,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    mul,
    neg,
    pow,
    relu,
    sigmoid,
    sin,
    softplus,
    sqrt,
    sub,
    tanh,
    where,
)
from tinyseq.ops.index import getitem, scatter_add, take, take_along_axis
from tinyseq.ops.linalg import einsum, linear, matmul, outer
from tinyseq.ops.reduce import (
    cumprod,
    cumsum,
    logsumexp,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from tinyseq.ops.shape import (
    astype,
    broadcast_to,
    concatenate,
    expand,
    expand_dims,
    flip,
    identity,
    moveaxis,
    pad,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    swapaxes,
    tile,
    transpose,
    unbind,
)
from tinyseq.ops.softmax import log_softmax, softmax

__all__ = [
    "abs", "add", "astype", "broadcast_to", "clip", "concatenate", "cos", "cumprod", "cumsum",
    "div", "einsum", "exp", "expand", "expand_dims", "expm1", "flip", "getitem", "identity",
    "linear", "log", "log1p", "log_softmax", "logsumexp", "matmul", "max", "maximum", "mean",
    "min", "minimum", "moveaxis", "mul", "neg", "outer", "pad", "pow", "prod", "relu", "reshape",
    "roll", "scatter_add", "sigmoid", "sin", "softmax", "softplus", "split", "sqrt",
    "squeeze", "stack", "std", "sub", "sum", "swapaxes", "take", "take_along_axis", "tanh", "tile",
    "transpose", "unbind", "var", "where",
]  # fmt: skip
