"""Products: matmul, linear, outer, einsum."""

from __future__ import annotations

from math import prod as _product
from typing import Any

import numpy as np

from tinyseq.autograd.kinds import bilinear
from tinyseq.autograd.node import Node, recording
from tinyseq.autograd.primitive import Primitive, array_like, explaining, shape_error
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import namespace
from tinyseq.errors import ShapeError
from tinyseq.ops.shape import broadcast_to, expand_dims, reshape, swapaxes

# -- matmul ---------------------------------------------------------------------------------------
# A vector is a matrix with one row (on the left) or one column (on the right) that is dropped from
# the result. The rules put it back, so that only matrices are left to think about.


def _left_cotangent(g: Any, b: Any, shape: tuple[int, ...]) -> Any:
    """da = g b^T."""
    if b.ndim == 1:
        g, b = expand_dims(g, -1), expand_dims(b, -1)
    if len(shape) == 1:
        g = expand_dims(g, -2)  # the walk sums the row away, as all that was broadcast
    return matmul(g, swapaxes(b, -1, -2))


def _right_cotangent(g: Any, a: Any, shape: tuple[int, ...]) -> Any:
    """db = a^T g."""
    if a.ndim == 1:
        g, a = expand_dims(g, -2 if len(shape) > 1 else 0), expand_dims(a, 0)
    column = len(shape) == 1
    if column:
        g = expand_dims(g, -1)
    if len(shape) <= 2 < a.ndim and a.ndim == g.ndim:
        # one matrix for a whole stack: one product over all rows, not a stack of products to sum
        a, g = _as_rows(a), _as_rows(g)
    cotangent = matmul(swapaxes(a, -1, -2), g)
    return cotangent[..., 0] if column else cotangent


def _as_rows(a: Any) -> Any:
    """(..., K) as one matrix of K columns."""
    return reshape(a, (_product(a.shape[:-1]), a.shape[-1]))


matmul = bilinear(
    "matmul",
    (_left_cotangent, _right_cotangent),
    doc="""The product of matrices, or of stacks of matrices that broadcast: a @ b.

    Args:
        a: (..., M, K), or (K,) for a row whose axis is dropped from the result.
        b: (..., K, N), or (K,) for a column whose axis is dropped from the result.

    Returns:
        (..., M, N).

    Raises:
        ShapeError: the inner lengths K differ, or an operand is a number.
    """,
)


# -- linear ---------------------------------------------------------------------------------------


def _linear_forward(xp: Any, x: Any, weight: Any, *bias: Any) -> Any:
    if not hasattr(x, "shape"):
        raise ShapeError(f"x is {x!r}, a number: the features are the last axis of an array")
    if x.shape[-1:] != weight.shape[1:] or not x.ndim:
        raise ShapeError(
            f"x has shape {x.shape}, but the weight has shape {weight.shape}: it is (outputs, "
            "features), and the features are the last axis of x"
        )
    if bias and bias[0].shape != weight.shape[:1]:
        raise ShapeError(f"a bias of shape {bias[0].shape} for a weight of shape {weight.shape}")
    # for two matrices dot is matmul with half the overhead, which is what small steps consist of
    y = x.dot(weight.T) if x.ndim == 2 else xp.matmul(x, weight.T)
    if not bias:
        return y
    b = bias[0]
    if b.dtype != y.dtype:
        return y + b
    if len(y) == 1 and y.ndim == 2:
        b = b.reshape(y.shape)  # a batch of one needs no broadcasting, which costs NumPy more
    y += b
    return y


def _linear_pull(g: Any, node: Any, i: int) -> Any:
    x, weight = node.saved[0], node.saved[1]
    if i == 0:
        # dot is @ for two matrices with half the overhead; Tensors have no dot
        recorded = isinstance(g, Tensor) or isinstance(weight, Tensor)
        return g @ weight if recorded or g.ndim != 2 else g.dot(weight)
    if g.ndim != 2:
        g = _as_rows(g)
    if i == 1:
        return g.T @ (x if x.ndim == 2 else _as_rows(x))
    return g.sum(0)


def _linear_gather(gs: Any, saved: Any, i: int) -> Any:
    """The gradient of a weight (or bias) that many nodes share: one product over all their rows."""
    xp = namespace(gs[0])
    g = xp.concatenate([g if g.ndim == 2 else _as_rows(g) for g in gs])
    if i == 2:
        return g.sum(0)
    return g.T @ xp.concatenate([x if x.ndim == 2 else _as_rows(x) for x, *_ in saved])


def _linear_push(tangents: Any, node: Any) -> Any:
    x, weight = node.saved[0], node.saved[1]
    parts = [_linear(tangents[0], weight)] if tangents[0] is not None else []
    parts += [_linear(x, tangents[1])] if tangents[1] is not None else []
    parts += [tangents[2]] if len(tangents) > 2 and tangents[2] is not None else []
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


_linear = Primitive(
    "linear", "affine", _linear_forward, _linear_pull, _linear_push, "inputs", _linear_gather
)


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """The affine map  y = x W^T + b  of the last axis, with the weight as PyTorch lays it out.

    Args:
        x: (..., I).
        weight: (O, I).
        bias: (O,) or None.

    Returns:
        (..., O).

    Raises:
        ShapeError: if the last axis of x is not I, or the bias not (O,); names the module and the
            time step.
    """
    if bias is not None and recording.get() is True:
        y = _linear_of_rows(x, weight, bias)
        if y is not None:
            return y
    return _linear(x, weight) if bias is None else _linear(x, weight, bias)


def _linear_of_rows(x: Any, weight: Any, bias: Any) -> Tensor | None:
    """``_linear`` of one matrix with trained parameters, written out; None if it is not that."""
    if not (isinstance(weight, Tensor) and isinstance(bias, Tensor)):
        return None
    rows, parent = (x.data, x.node) if isinstance(x, Tensor) else (x, None)
    w, b, leaf = weight.data, bias.data, weight.node
    if not rows.__class__ is w.__class__ is b.__class__ is np.ndarray:
        return None
    if rows.ndim != 2 or w.ndim != 2:
        return None
    try:
        y = rows.dot(w.T)
    except ValueError:
        return None
    shape, dtype = y.shape, y.dtype
    if b.shape != shape[1:] or dtype is not b.dtype or leaf is None or not leaf.requires_grad:
        return None
    y += b.reshape(shape) if shape[0] == 1 else b  # as above
    node = Node(_linear, (parent, leaf, bias.node), (rows, w, b), None, shape, dtype, True)
    return Tensor(y, node)


def outer(a: Any, b: Any) -> Any:
    """The outer product over the last axes: (..., M), (..., N) -> (..., M, N)."""
    a, b = array_like(a, "outer"), array_like(b, "outer")
    if not getattr(a, "ndim", 0) or not getattr(b, "ndim", 0):
        raise shape_error("outer", "vectors are wanted, a number is none")
    with explaining("outer", a, b):
        return matmul(expand_dims(a, -1), expand_dims(b, -2))


# -- einsum ---------------------------------------------------------------------------------------


def _einsum_pull(g: Any, node: Any, i: int) -> Any:
    """The cotangent of operand i: the same sum with the result's letters and i's exchanged."""
    inputs, output = node.params["inputs"], node.params["output"]
    others = [k for k in range(len(inputs)) if k != i]
    have = set(output).union(*(inputs[k] for k in others))
    kept = "".join(letter for letter in inputs[i] if letter in have)
    cotangent = _einsum(
        g,
        *(node.saved[k] for k in others),
        inputs=(output, *(inputs[k] for k in others)),
        output=kept,
    )
    # A letter of this operand alone was summed over: its cotangent is the same all along it.
    shape = node.parents[i].shape
    narrow, wide = [], []
    for n, letter in zip(shape, inputs[i], strict=True):
        narrow.append(cotangent.shape[kept.index(letter)] if letter in have else 1)
        wide.append(narrow[-1] if letter in have else n)
    if len(kept) == len(inputs[i]):
        return cotangent
    return broadcast_to(reshape(cotangent, narrow), wide)


def _einsum_push(tangents: Any, node: Any) -> Any:
    total = None
    for i, tangent in enumerate(tangents):
        if tangent is not None:
            operands = [tangent if k == i else a for k, a in enumerate(node.saved)]
            part = _einsum(*operands, **node.params)
            total = part if total is None else total + part
    return total


_einsum = Primitive(
    "einsum",
    "multilinear",
    lambda xp, *arrays, inputs, output: xp.einsum(",".join(inputs) + "->" + output, *arrays),
    _einsum_pull,
    _einsum_push,
    "inputs",
)


def einsum(subscripts: str, *operands: Any) -> Any:
    """The sum of products in Einstein's notation: ``einsum("nij,nj->ni", A, x)``.

    Args:
        subscripts: letters for the axes of every operand and of the result; ``...`` stands for
            leading axes that broadcast. Without ``->`` the result has the letters that occur once,
            in alphabetical order.
        operands: raw arrays or Tensors, as many as the subscripts name.

    Raises:
        ShapeError: a letter twice in one operand (take the diagonal first), or counts and lengths
            that do not fit.
    """
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(operands):
        raise shape_error(
            "einsum", f"{subscripts!r} names {len(inputs)} operands, {len(operands)} are given"
        )
    letters = left.replace(",", "").replace("...", "")
    if not arrow:
        once = sorted(c for c in letters if letters.count(c) == 1)
        output = "..." * ("..." in left) + "".join(once)
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in letters]
    named = [len(term.replace("...", "")) for term in inputs]
    extra = [len(a.shape) - n for a, n in zip(operands, named, strict=True)]
    most = max([n for n, term in zip(extra, inputs, strict=True) if "..." in term], default=0)
    for k, (term, n, operand) in enumerate(zip(inputs, extra, operands, strict=True)):
        if n < 0 or (n and "..." not in term):
            raise shape_error("einsum", f"{term!r} does not fit the shape {tuple(operand.shape)}")
        inputs[k] = term.replace("...", "".join(spare[most - n : most]))
        if len(set(inputs[k])) < len(inputs[k]):
            raise shape_error(
                "einsum", f"{term!r} has a letter twice. Take the diagonal of that operand first."
            )
    output = output.replace("...", "".join(spare[:most]))
    lengths: dict[str, int] = {}
    for term, operand in zip(inputs, operands, strict=True):
        for letter, n in zip(term, operand.shape, strict=True):
            if letter in letters and lengths.setdefault(letter, n) != n:
                raise shape_error(
                    "einsum",
                    f"{letter!r} of {subscripts!r} has length {lengths[letter]} in one "
                    f"operand and {n} in another (shapes {[tuple(a.shape) for a in operands]})",
                )
    return _einsum(*operands, inputs=tuple(inputs), output=output)
