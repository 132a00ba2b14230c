"""Figure 10.13: deep recurrent networks.

(a) Two layers of hidden units, h1 and h2. (b) A layer more on each way: p from the input to the
hidden units, q from the hidden units to those of the next step, r to the output. (c) The same with
a connection that skips q.
"""

from pathlib import Path

import numpy as np

import tinyseq as ts
from tinyseq import draw, nn, ops

rng = np.random.default_rng(0)
xs = rng.normal(size=(3, 1, 4))
P, Q, R, S, U, V, W = (nn.Parameter(rng.normal(size=(4, 4)), letter) for letter in "PQRSUVW")


def step(x, h, skip):
    p = ts.label(ops.tanh(ops.linear(x, P)), "p")
    q = ts.label(ops.tanh(ops.linear(h, Q)), "q")
    a = ops.linear(p, U) + ops.linear(q, W)
    h = ts.label(ops.tanh(a + ops.linear(h, S) if skip else a), "h")
    r = ts.label(ops.tanh(ops.linear(h, R)), "r")
    return ops.linear(r, V), h


start, names = np.zeros((1, 4)), {"o": "y"}
model = nn.SequenceModel(nn.Stacked([nn.ElmanCell(4, 4), nn.ElmanCell(4, 4)]), nn.Linear(4, 4))
stacked, _ = ts.unroll(model.step, xs, model.init_state(1), names=names)
deep, _ = ts.unroll(lambda x, h: step(x, h, skip=False), xs, start, names=names)
skipping, _ = ts.unroll(lambda x, h: step(x, h, skip=True), xs, start, names=names)
pictures = {
    "fig_10_13_a.svg": draw.circuit(stacked),
    "fig_10_13_b.svg": draw.circuit(deep),
    "fig_10_13_c.svg": draw.circuit(skipping),
}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
