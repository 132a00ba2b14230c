"""Figure 10.9: from one vector to a sequence: x is an input of every step, beside the last y."""

from pathlib import Path

import numpy as np

import tinyseq as ts
from tinyseq import draw, nn, ops

rng = np.random.default_rng(0)
x, ys = ts.label(rng.normal(size=(1, 6)), "x"), rng.normal(size=(4, 1, 5))
shapes = {"R": (4, 6), "U": (4, 5), "W": (4, 4), "V": (5, 4)}
R, U, W, V = (nn.Parameter(rng.normal(size=shape), name) for name, shape in shapes.items())


def step(y, state):
    h = ops.tanh(ops.linear(x, R) + ops.linear(state["h"], W) + ops.linear(state["y"], U))
    o = ts.label(ops.linear(h, V), "o")
    return ts.label(nn.mse(o, y), "L"), {"h": h, "y": y}


start = {"h": np.zeros((1, 4)), "y": np.ones((1, 5))}  # y(0) says: begin
losses, _ = ts.unroll(step, ys, start, names={"x": "y"})
pictures = {
    "fig_10_09_circuit.svg": draw.circuit(losses),
    "fig_10_09_unrolled.svg": draw.unrolled(losses),
}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
