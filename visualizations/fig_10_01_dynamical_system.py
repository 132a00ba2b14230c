"""Figure 10.1: a dynamical system, s(t) = f(s(t-1)), and its unfolded graph."""

from pathlib import Path

import numpy as np

import tinyseq as ts
from tinyseq import draw, nn, ops

turn = 0.3
f = nn.Parameter([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], "f")


def step(nothing, s):
    s = ops.linear(s, f)  # a rotation: the state goes round and round
    return s, s


_, s = ts.unroll(step, None, np.array([[1.0, 0.0]]), length=5, names={"h": "s"})
pictures = {
    "fig_10_01_circuit.svg": draw.circuit(s),
    "fig_10_01_unrolled.svg": draw.unrolled(s, window="t"),
}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
