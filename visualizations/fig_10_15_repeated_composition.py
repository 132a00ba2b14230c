"""Figure 10.15: a mild nonlinear map becomes a wild one when it is composed with itself.

100 units, h -> tanh(W h). The inputs lie on a line; each panel shows one projection of the states,
and how many times the curve turns around.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import tinyseq as ts
from tinyseq import ops

rng = np.random.default_rng(1)
W = rng.normal(0, 0.5, size=(100, 100))
direction, projection = rng.normal(size=(2, 100)) / 10  # about of length 1
start = rng.normal(0, 2, size=100)


def step(nothing, h):
    h = ops.tanh(ops.linear(h, W))
    return h, h


coordinate = np.linspace(-20, 20, 1201)
points = start + coordinate[:, None] * direction
with ts.no_grad():
    states, _ = ts.unroll(step, None, points, length=5)
curves = np.array([points @ projection, *(ts.to_numpy(states.data) @ projection)])
turns = (np.diff(np.sign(np.diff(curves)), axis=1) != 0).sum(1)

matplotlib.rcParams["svg.hashsalt"] = "the same every time"
figure = Figure(figsize=(8.4, 4.4))
panels = figure.subplots(
    2, 3, sharex=True, sharey=True, gridspec_kw={"hspace": 0.3, "wspace": 0.08}
)
for k, axes in enumerate(panels.flat):
    axes.plot(coordinate, curves[k], color="#1f5fa8", linewidth=1.2, gid=f"curve-{k}")
    axes.set_title(f"$k = {k}$: {turns[k]} turns", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
figure.supxlabel("coordinate of the input on a line", fontsize=10)
figure.supylabel("projection of $h^{(k)}$", fontsize=10)
pictures = {"fig_10_15_repeated_composition.svg": figure}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.savefig(Path(__file__).with_name(name), metadata={"Date": None})
