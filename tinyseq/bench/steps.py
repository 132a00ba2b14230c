"""The step of every cell once more, for the other libraries: written once, run by each of them.

A library gives its own functions (``Functions``) and loops over the step in its own way. A cell is
``cell(f, w) -> (project, step)``: what the input contributes, a = project(x), and the step itself,
y, state = step(a, state). Written as one, step(project(x), state) is the literal cell; whoever
tunes by hand projects all inputs at once before the loop. State is a tuple. Equations and names of
the weights are those of ``tinyseq.nn``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Functions:
    """A library's own: linear(x, W, b) = x W' + b, split(a, parts, axis), and functions of one."""

    linear: Callable[..., Any]
    split: Callable[[Any, int, int], Any]
    sigmoid: Callable[[Any], Any]
    tanh: Callable[[Any], Any]
    sin: Callable[[Any], Any]


Parts = tuple[Callable[[Any], Any], Callable[[Any, tuple], tuple[Any, tuple]]]
Weights = dict[str, Any]


def lstm(f: Functions, w: Weights) -> Parts:
    """Long short-term memory, gates in the order i, f, g, o."""

    def step(a: Any, state: tuple) -> tuple[Any, tuple]:
        h, c = state
        i, forget, g, o = f.split(a + f.linear(h, w["weight_hh"], w["bias_hh"]), 4, -1)
        c = f.sigmoid(forget) * c + f.sigmoid(i) * f.tanh(g)
        h = f.sigmoid(o) * f.tanh(c)
        return h, (h, c)

    return lambda x: f.linear(x, w["weight_ih"], w["bias_ih"]), step


def gru(f: Functions, w: Weights) -> Parts:
    """Gated recurrent unit as PyTorch has it: reset after the product."""

    def step(a: Any, state: tuple) -> tuple[Any, tuple]:
        (h,) = state
        xr, xz, xn = f.split(a, 3, -1)
        hr, hz, hn = f.split(f.linear(h, w["weight_hh"], w["bias_hh"]), 3, -1)
        r, z = f.sigmoid(xr + hr), f.sigmoid(xz + hz)
        n = f.tanh(xn + r * hn)
        h = z * h + (1 - z) * n
        return h, (h,)

    return lambda x: f.linear(x, w["weight_ih"], w["bias_ih"]), step


def gru_before(f: Functions, w: Weights) -> Parts:
    """Gated recurrent unit of 2014: reset before the product."""
    Wr, Wz, Wn = f.split(w["weight_hh"], 3, 0)
    br, bz, bn = f.split(w["bias_hh"], 3, 0)

    def step(a: Any, state: tuple) -> tuple[Any, tuple]:
        (h,) = state
        xr, xz, xn = f.split(a, 3, -1)
        r, z = f.sigmoid(xr + f.linear(h, Wr, br)), f.sigmoid(xz + f.linear(h, Wz, bz))
        n = f.tanh(xn + f.linear(r * h, Wn, bn))
        h = z * h + (1 - z) * n
        return h, (h,)

    return lambda x: f.linear(x, w["weight_ih"], w["bias_ih"]), step


def elman(f: Functions, w: Weights) -> Parts:
    """The simple recurrent unit with tanh."""

    def step(a: Any, state: tuple) -> tuple[Any, tuple]:
        h = f.tanh(a + f.linear(state[0], w["weight_hh"], w["bias_hh"]))
        return h, (h,)

    return lambda x: f.linear(x, w["weight_ih"], w["bias_ih"]), step


def peephole(f: Functions, w: Weights) -> Parts:
    """LSTM with diagonal peepholes: i and f see the old cell, o the new one."""

    def step(a: Any, state: tuple) -> tuple[Any, tuple]:
        h, c = state
        i, forget, g, o = f.split(a + f.linear(h, w["weight_hh"], w["bias_hh"]), 4, -1)
        i = f.sigmoid(i + c * w["weight_ci"])
        forget = f.sigmoid(forget + c * w["weight_cf"])
        c = forget * c + i * f.tanh(g)
        h = f.sigmoid(o + c * w["weight_co"]) * f.tanh(c)
        return h, (h, c)

    return lambda x: f.linear(x, w["weight_ih"], w["bias_ih"]), step


def mut1(f: Functions, w: Weights) -> Parts:
    """MUT1 with the input projected."""
    Wr, Wn = f.split(w["weight_hh"], 2, 0)
    br, bn = f.split(w["bias_hh"], 2, 0)

    def step(a: Any, state: tuple) -> tuple[Any, tuple]:
        (h,) = state
        xr, xz, u = f.split(a, 3, -1)
        r, z = f.sigmoid(xr + f.linear(h, Wr, br)), f.sigmoid(xz)
        n = f.tanh(f.linear(r * h, Wn, bn) + f.tanh(u))
        h = z * n + (1 - z) * h
        return h, (h,)

    return lambda x: f.linear(x, w["weight_ih"], w["bias_ih"]), step


def phase(f: Functions, w: Weights) -> Parts:
    """``PhaseCell``."""

    def step(a: Any, state: tuple) -> tuple[Any, tuple]:
        (p,) = state
        forget, n = f.split(a + f.linear(f.sin(p), w["W"], None), 2, -1)
        p = f.sigmoid(forget) * p + f.tanh(n)
        return f.sin(p), (p,)

    return lambda x: f.linear(x, w["U"], None), step


STEPS: dict[str, Callable[[Functions, Weights], Parts]] = {
    "LSTM": lstm,
    "GRU": gru,
    "tanh RNN": elman,
    "peephole LSTM": peephole,
    "GRU, reset before": gru_before,
    "MUT1": mut1,
    "phase cell": phase,
}
