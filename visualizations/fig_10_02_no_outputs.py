"""Figure 10.2: a network with no outputs takes in x, step by step: h(t) = f(h(t-1), x(t))."""

from pathlib import Path

import numpy as np

import tinyseq as ts
from tinyseq import draw, nn, ops

rng = np.random.default_rng(0)
f = nn.Parameter(rng.normal(size=(4, 4 + 3)), "f")


def step(x, h):
    h = ops.tanh(ops.linear(ops.concatenate([h, x], -1), f))
    return h, h


_, h = ts.unroll(step, rng.normal(size=(5, 1, 3)), np.zeros((1, 4)))
pictures = {
    "fig_10_02_circuit.svg": draw.circuit(h),
    "fig_10_02_unrolled.svg": draw.unrolled(h, window="t"),
}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
