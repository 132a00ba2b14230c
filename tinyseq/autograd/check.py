"""Checking derivatives against central differences.

    check_grads(f, (x, w))        # silent if all is right, a GradientError that tells where if not

For whoever adds an operation, or a function with a rule of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyseq.autograd.functional import (
    as_input,
    differentiable,
    pull_back,
    push,
    tensors_of,
)
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import as_array, is_array, namespace, to_numpy
from tinyseq.errors import ConfigError, GradientError

MODES = ("reverse", "forward")


def check_grads(
    f: Callable[..., Any],
    args: Any,
    order: int = 2,
    modes: Sequence[str] = MODES,
    rtol: float = 1e-6,
    atol: float = 1e-7,
    step: float = 6e-6,
) -> None:
    """Compare the derivatives of a function with central differences, in float64.

    Reverse mode is checked element by element, d<u, f(x)>/dx_k against
    (<u, f(x + h e_k)> - <u, f(x - h e_k)>) / 2h, for one random u; forward mode along one random
    direction for each argument. For order 2 the same is done with what either mode computes, which
    covers reverse over reverse, forward over reverse and the other two.

    Args:
        f: a function of arrays and Tensors, that returns a Tensor or several for Tensors. It must
            be smooth near the arguments: differences across a kink say nothing.
        args: its arguments, a list or tuple, or one. Floating-point ones are checked, as float64;
            others are passed on.
        order: the highest order of derivatives.
        modes: "reverse", "forward" or both.
        rtol: what a derivative may be off, relative to the difference quotient,
        atol: and absolutely.
        step: the step h, times the magnitude of the element where that is above 1.

    Raises:
        GradientError: says which derivative of which argument, where, what was expected and found.
    """
    if order < 1 or not modes or set(modes) - set(MODES):
        raise ConfigError(f"check_grads: order={order} (1 or more), modes={modes} (of {MODES})")
    points = [_in_float64(arg) for arg in (args if isinstance(args, list | tuple) else [args])]
    if not any(differentiable(as_input(point)) for point in points):
        raise ConfigError("check_grads: no argument is an array of floating-point numbers")
    tensors_of(f(*map(as_input, points)))
    _Check(modes, rtol, atol, step).run(f, points, order, "")


class _Check:
    def __init__(self, modes: Sequence[str], rtol: float, atol: float, step: float) -> None:
        self.modes, self.rtol, self.atol, self.step = modes, rtol, atol, step

    def run(self, f: Callable[..., Any], points: list[Any], order: int, name: str) -> None:
        """Check f in every mode; then, if there are orders left, what every mode computes of f."""
        rng = np.random.default_rng(0)
        shapes = [y.shape for y in _values(f, points)]
        us = [rng.normal(size=shape) for shape in shapes]
        vs = [rng.normal(size=p.shape) if _is_checked(p) else None for p in points]
        derivatives = {"reverse": _reverse(f, us), "forward": _forward(f, vs)}
        for mode in self.modes:
            if mode == "reverse":
                self.elements(f, points, us, _values(derivatives[mode], points), name)
            else:
                self.directions(f, points, vs, name)
        for mode in self.modes if order > 1 else ():
            inner = f"{mode} mode" + (f" over {name}" if name else "")
            self.run(derivatives[mode], points, order - 1, inner)

    def elements(
        self, f: Any, points: list[Any], us: list[Any], found: list[Any], name: str
    ) -> None:
        """Reverse mode: every element of every gradient."""
        gradients = iter(found)
        for i, point in enumerate(points):
            if not _is_checked(point):
                continue
            gradient = next(gradients)
            host = to_numpy(point)
            for place in np.ndindex(host.shape):
                direction = np.zeros(host.shape)
                direction[place] = 1
                slopes = self.quotients(f, points, i, direction, abs(float(host[place])))
                expected = sum(float(np.vdot(u, s)) for u, s in zip(us, slopes, strict=True))
                self.compare("reverse", name, i, f"element {place}", expected, gradient[place])

    def directions(self, f: Any, points: list[Any], vs: list[Any], name: str) -> None:
        """Forward mode: every element of every output's tangent, for one argument at a time."""
        for i, point in enumerate(points):
            if not _is_checked(point):
                continue
            alone = [
                (v if k == i else np.zeros_like(v)) if v is not None else None
                for k, v in enumerate(vs)
            ]
            tangents = _values(_forward(f, alone), points)
            size = float(np.abs(to_numpy(point)).max(initial=0))
            slopes = self.quotients(f, points, i, vs[i], size)
            for j, (tangent, slope) in enumerate(zip(tangents, slopes, strict=True)):
                for place in np.ndindex(slope.shape):
                    where = f"output {j}, element {place}"
                    self.compare("forward", name, i, where, slope[place], tangent[place])

    def quotients(
        self, f: Any, points: list[Any], i: int, direction: np.ndarray, size: float
    ) -> list[np.ndarray]:
        """(f(x + h d) - f(x - h d)) / 2h for every output, where x is argument i."""
        h = self.step * max(1.0, size)
        xp = namespace(points[i])

        def moved(by: float) -> list[Any]:
            return [p + by * xp.asarray(direction) if k == i else p for k, p in enumerate(points)]

        above, below = _values(f, moved(h)), _values(f, moved(-h))
        return [(a - b) / (2 * h) for a, b in zip(above, below, strict=True)]

    def compare(self, mode: str, name: str, i: int, where: str, expected: Any, found: Any) -> None:
        if not abs(found - expected) <= self.atol + self.rtol * abs(expected):
            raise GradientError(
                f"check_grads: {mode} mode{f' over {name}' if name else ''}, by argument {i}, "
                f"{where}: expected {expected:.10g} by central differences, found {found:.10g}"
            )


def _in_float64(arg: Any) -> Any:
    """A floating-point argument as a raw float64 array; anything else as it is."""
    value = arg.data if isinstance(arg, Tensor) else arg
    if isinstance(value, float | np.floating) or (is_array(value) and value.dtype.kind == "f"):
        return as_array(value).astype(np.float64)
    return arg


def _is_checked(point: Any) -> bool:
    return is_array(point) and point.dtype.kind == "f"


def _values(f: Callable[..., Any], points: list[Any]) -> list[np.ndarray]:
    """What f returns, as a list of arrays on the host."""
    result = f(*map(as_input, points))
    results = result if isinstance(result, list | tuple) else [result]
    return [to_numpy(y.data if isinstance(y, Tensor) else as_array(y)) for y in results]


def _reverse(f: Callable[..., Any], us: list[Any]) -> Callable[..., Any]:
    """The function x -> J^T u, which can be differentiated again."""

    def gradients(*inputs: Any) -> list[Any]:
        outputs = tensors_of(f(*inputs), constant=True)
        seeds = [namespace(y.data).asarray(u) for y, u in zip(outputs, us, strict=True)]
        return [g for g in pull_back(outputs, inputs, seeds, record=True) if g is not None]

    return gradients


def _forward(f: Callable[..., Any], vs: list[Any]) -> Callable[..., Any]:
    """The function x -> J v, which can be differentiated again."""

    def tangents(*inputs: Any) -> list[Any]:
        vectors = [
            None if v is None else namespace(x.data).asarray(v)
            for x, v in zip(inputs, vs, strict=True)
        ]
        return push(tensors_of(f(*inputs), constant=True), inputs, vectors, record=True)

    return tangents
