"""Figure 10.11: h runs forwards and g backwards, so that o(t) sees the past and the future."""

from pathlib import Path

import numpy as np

import tinyseq as ts
from tinyseq import draw, nn

rng = np.random.default_rng(0)
xs, ys = rng.normal(size=(5, 1, 3)), rng.integers(5, size=(5, 1))

both, readout = nn.RNN(3, 4, bidirectional=True), nn.Linear(8, 5)
states, _ = both(xs)
losses = []
for t, (h_and_g, y) in enumerate(zip(states, ys, strict=True), 1):
    with ts.scope("step", t):
        o = ts.label(readout(h_and_g), "o")
        losses.append(ts.label(nn.cross_entropy(o, ts.label(y, "y")), "L"))
pictures = {
    "fig_10_11_circuit.svg": draw.circuit(losses),
    "fig_10_11_unrolled.svg": draw.unrolled(losses, window="t"),
}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
