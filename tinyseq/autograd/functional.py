"""Derivatives of functions: products with the Jacobian, Jacobians, Hessians.

    y, pullback = vjp(f, x);  pullback(u)       # J^T u
    y, t = jvp(f, x, v)                         # J v
    jacobian(f, x);  hessian(f, x)              # whole matrices, for small problems
    hvp(f, x, v)                                # H v without H
    gauss_newton_product(loss, outputs, inputs, vectors)

A function is given Tensors and returns a Tensor, or a list of them. Arguments: a Tensor that
requires a gradient is used as it is, so that a closure over parameters works; any other Tensor, a
floating-point array or a float becomes a leaf; integers and all else are passed on as they are and
have no derivative. Derivatives come back as raw arrays, a list for a list of arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyseq.autograd.engine import grad, push_forward
from tinyseq.autograd.node import Node
from tinyseq.autograd.tensor import Tensor, tensor
from tinyseq.autograd.walk import leading_to, paused_gc, reachable, walk_back
from tinyseq.backend import Array, as_array, is_array, namespace
from tinyseq.errors import ConfigError, DTypeError, GraphError, ShapeError

Function = Callable[..., Any]


def vjp(f: Function, *args: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of f, and the function that multiplies a cotangent by the transposed Jacobian.

    Args:
        f: a function of Tensors.
        args: its arguments.

    Returns:
        What f returned, and ``pullback(u) -> J^T u``, where u has the shape of f's output (a list
        for a list of outputs). It gives one array for one argument, otherwise a list with None for
        what has no derivative. It may be called again and again: the graph lives as long as it.

    Raises:
        GraphError: f's output depends on nothing that is differentiated.
    """
    inputs = [as_input(arg) for arg in args]
    result = f(*inputs)
    outputs = tensors_of(result)

    def pullback(cotangents: Any) -> Any:
        given = [cotangents] if isinstance(result, Tensor) else list(cotangents)
        return _alone(pull_back(outputs, inputs, given), len(args) == 1)

    return result, pullback


def jvp(f: Function, args: Any, tangents: Any) -> tuple[Any, Any]:
    """The value of f and the product J v of its Jacobian with a vector.

    Args:
        f: a function of Tensors.
        args: its arguments: a list or tuple, or one Tensor or array.
        tangents: the vector v: for each argument an array of its shape (None for what has no
            derivative).

    Returns:
        What f returned, and the tangent of each output: one array, or a list for a list of outputs.
    """
    inputs = [as_input(arg) for arg in _listed(args)]
    vectors = _matched(inputs, tangents, args)
    result = f(*inputs)
    moved = push(tensors_of(result), inputs, vectors)
    return result, _alone(moved, isinstance(result, Tensor))


def jacobian(f: Function, x: Any) -> Array:
    """The matrix of all derivatives, J[i, j] = d f_i / d x_j.

    It takes as many passes as the shorter side of the matrix is long.

    Args:
        f: a function of one Tensor that returns one Tensor.
        x: its argument.

    Returns:
        An array of the shape of f(x) followed by the shape of x.
    """
    source = _differentiable(x, "jacobian")
    result = f(source)
    (target,) = tensors_of([result])
    xp = namespace(source.data)
    whole = xp.zeros((target.size, source.size), target.dtype)
    if target.size <= source.size:
        for k, unit in enumerate(_units(target)):
            whole[k] = pull_back([target], [source], [unit])[0].reshape(-1)
    else:
        for k, unit in enumerate(_units(source)):
            whole[:, k] = push([target], [source], [unit])[0].reshape(-1)
    return whole.reshape((*target.shape, *source.shape))


def hessian(f: Function, x: Any) -> Array:
    """The matrix of second derivatives, H[i, j] = d^2 f / d x_i d x_j.

    One pass backwards is recorded, and tangents pushed through it, one for each element of x.

    Args:
        f: a function of one Tensor that returns one number.
        x: its argument.

    Returns:
        An array of the shape of x twice.
    """
    source = _differentiable(x, "hessian")
    gradient = _gradients(f, [source])
    xp = namespace(source.data)
    whole = xp.zeros((source.size, source.size), source.dtype)
    for k, unit in enumerate(_units(source)):
        whole[:, k] = push_forward(gradient, [source], [unit])[0].reshape(-1)
    return whole.reshape((*source.shape, *source.shape))


def hvp(f: Function, args: Any, vectors: Any) -> Any:
    """The product H v of the Hessian with a vector, at the cost of a few gradients.

    Forward over reverse: H v = d/dr grad f(x + r v) at r = 0. The gradient is recorded and the
    tangent v pushed through it. Source: Pearlmutter (1994), Fast exact multiplication by the
    Hessian, whose operator R{.} is this push: R{x} = v, R{grad f} = H v.

    Args:
        f: a function of Tensors that returns one number.
        args: its arguments: a list or tuple, or one Tensor or array.
        vectors: the vector v: for each argument an array of its shape.

    Returns:
        For each argument an array of its shape; None for what has no derivative.
    """
    inputs = [as_input(arg) for arg in _listed(args)]
    wanted = [x for x in inputs if differentiable(x)]
    given = [v for v in _matched(inputs, vectors, args) if v is not None]
    products = iter(push_forward(_gradients(f, inputs), wanted, given))
    results = [next(products) if differentiable(x) else None for x in inputs]
    return _alone(results, not _is_list(args))


def gauss_newton_product(
    loss: Tensor, outputs: Tensor | Sequence[Tensor], inputs: Any, vectors: Any
) -> Any:
    """The product G v with the Gauss-Newton matrix  G = J^T H_L J  on one recorded graph.

    J is the Jacobian of the outputs by the inputs, H_L the Hessian of the loss by the outputs. G is
    positive semi-definite where the loss is convex in the outputs, as the Hessian is not. Three
    passes: J v forwards; H_L (J v) forwards over the recorded gradient of the loss by the outputs;
    J^T of that backwards. Source: Schraudolph (2002), Fast curvature matrix-vector products for
    second-order gradient descent.

    The graph is kept, so that many products can be taken of one forward pass. Where the loss
    reaches the inputs by another way than the outputs (a penalty on the weights), that part is left
    out.

    Args:
        loss: one number, computed from the outputs.
        outputs: the network's outputs, in the graph of the loss; those of all time steps.
        inputs: what the matrix is about, usually the parameters: a Tensor or a list.
        vectors: the vector v: for each input an array of its shape.

    Returns:
        For each input an array of its shape.

    Raises:
        GraphError: the loss does not depend on the outputs, or the graph was freed.
    """
    sources, targets = _listed(inputs), _listed(outputs)
    if any(not isinstance(t, Tensor) or not t.requires_grad for t in [loss, *sources, *targets]):
        raise GraphError(
            "gauss_newton_product: the loss, the outputs and the inputs are Tensors of one graph; "
            "among these is one that requires no gradient"
        )
    moved = push_forward(targets, sources, _matched(sources, vectors, inputs))
    curved = push_forward(_partial_gradients(loss, targets), targets, moved)
    return _alone(pull_back(targets, sources, curved), not _is_list(inputs))


def _partial_gradients(loss: Tensor, outputs: Sequence[Tensor]) -> list[Tensor]:
    """The recorded gradient of the loss by the outputs, each with the other outputs held fixed."""
    if loss.size != 1:
        raise GraphError(f"gauss_newton_product: the loss is one number, not of shape {loss.shape}")
    assert loss.node is not None
    by = {output.node for output in outputs if output.node is not None}
    start: dict[Node, Any] = {loss.node: namespace(loss.data).ones_like(loss.data)}
    with paused_gc():
        nodes = leading_to(reachable([loss.node], stop=by), by)
        found = walk_back(nodes, start, True, create_graph=True, wanted=by, stop_at_wanted=True)
    if not found:
        raise GraphError("gauss_newton_product: the loss does not depend on these outputs")
    gradients = [
        found.get(output.node, namespace(output.data).zeros_like(output.data))  # type: ignore[arg-type]
        for output in outputs
    ]
    return [g if isinstance(g, Tensor) else Tensor(as_array(g)) for g in gradients]


# -- arguments and results ------------------------------------------------------------------------


def as_input(value: Any) -> Any:
    """An argument as a function is given it: a Tensor of the graph if it has a derivative."""
    if isinstance(value, Tensor):
        return value if value.requires_grad or value.dtype.kind != "f" else tensor(value, True)
    if isinstance(value, float | np.floating) or (is_array(value) and value.dtype.kind == "f"):
        return tensor(value, True)
    return value


def differentiable(value: Any) -> bool:
    """Whether an argument, as ``as_input`` gives it, has a derivative."""
    return isinstance(value, Tensor) and value.requires_grad


def tensors_of(result: Any, constant: bool = False) -> list[Tensor]:
    """What a function returned as a list of Tensors; one at least has a derivative.

    Unless ``constant`` says that none need have.
    """
    results = list(result) if _is_list(result) else [result]
    for value in results:
        if not isinstance(value, Tensor):
            raise DTypeError(
                f"the function returned {type(value).__name__}, not a Tensor: was it computed with "
                "NumPy's functions, or from .data? Those of tinyseq.ops give Tensors for Tensors."
            )
    if not constant and not any(value.requires_grad for value in results):
        raise GraphError(
            "the function's output depends on nothing that is differentiated: does it use its "
            "arguments, and not under no_grad() or detached?"
        )
    return results


def pull_back(
    outputs: Sequence[Tensor], inputs: Sequence[Any], seeds: Sequence[Any], record: bool = False
) -> list[Any]:
    """J^T u for each input; zeros where nothing depends on it, None where it has no derivative."""
    if len(seeds) != len(outputs):
        raise ShapeError(f"{len(outputs)} outputs want as many cotangents, not {len(seeds)}")
    pairs = [(y, u) for y, u in zip(outputs, seeds, strict=True) if y.requires_grad]
    found = iter(
        grad(
            [y for y, _ in pairs],
            [x for x in inputs if differentiable(x)],
            [u for _, u in pairs],
            create_graph=record,
            retain_graph=True,
            allow_unused=True,
        )
    )
    results: list[Any] = []
    for x in inputs:
        g = next(found) if differentiable(x) else None
        if g is None and differentiable(x):
            zeros = namespace(x.data).zeros_like(x.data)
            g = Tensor(zeros) if record else zeros
        results.append(g)
    return results


def push(
    outputs: Sequence[Tensor], inputs: Sequence[Any], vectors: Sequence[Any], record: bool = False
) -> list[Any]:
    """J v for each output."""
    pairs = [(x, v) for x, v in zip(inputs, vectors, strict=True) if v is not None]
    return push_forward(outputs, [x for x, _ in pairs], [v for _, v in pairs], create_graph=record)


def _gradients(f: Function, inputs: Sequence[Any]) -> list[Tensor]:
    """The recorded gradient of f, which returns one number, by each differentiable input."""
    result = f(*inputs)
    (output,) = tensors_of([result])
    if output.size != 1:
        raise GraphError(f"the function returns one number here, not a shape of {output.shape}")
    seed = namespace(output.data).ones_like(output.data)
    return [g for g in pull_back([output], inputs, [seed], record=True) if g is not None]


def _differentiable(x: Any, what: str) -> Tensor:
    source = as_input(x)
    if not differentiable(source):
        raise DTypeError(f"{what}: x is a Tensor or array of floating-point numbers, not {x!r:.60}")
    return source


def _matched(inputs: Sequence[Any], vectors: Any, args: Any) -> list[Any]:
    """One vector for each input, None for each that has no derivative."""
    given = list(vectors) if _is_list(args) else [vectors]
    if len(given) != len(inputs):
        raise ShapeError(f"{len(inputs)} arguments want as many vectors, not {len(given)}")
    for k, (x, v) in enumerate(zip(inputs, given, strict=True)):
        if differentiable(x) == (v is None):
            raise ConfigError(
                f"argument {k} {'wants a vector' if v is None else 'has no derivative: pass None'}"
            )
    return given


def _units(like: Tensor) -> Any:
    """The unit vectors, each in the shape of the tensor."""
    for k in range(like.size):
        unit = namespace(like.data).zeros(like.size, like.dtype)
        unit[k] = 1
        yield unit.reshape(like.shape)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _listed(value: Any) -> list[Any]:
    return list(value) if _is_list(value) else [value]


def _alone(values: list[Any], single: bool) -> Any:
    return values[0] if single else values
