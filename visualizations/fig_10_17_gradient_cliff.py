"""Figure 10.17: gradient descent at a cliff of the loss, without and with clipping.

One unit, h(t) = w sigmoid(h(t-1)) + b for 50 steps, and the loss J = (h(50) - 0.7)^2 (Pascanu et
al. 2013). Both runs begin at the same point; a single step from the cliff throws the first one out.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import tinyseq as ts
from tinyseq import nn, ops, optim

RED = "#b3402a"
W, B, J = (4.1, 5.3), (-2.9, -1.5), (0, 10)  # what the picture shows


def loss(w, b, h):
    """J after 50 steps, for one pair (w, b) or for a grid of them at once."""

    def step(nothing, h):
        h = ops.sigmoid(h) * w + b
        return None, h

    _, h = ts.unroll(step, None, h, length=50)
    return (h - 0.7) ** 2


def descend(threshold, updates=60):
    """The points (w, b, J) that gradient descent visits, up to the first outside the picture."""
    w, b = nn.Parameter([4.9]), nn.Parameter([-1.8])
    optimizer = optim.SGD([w, b], lr=0.03)
    path = []
    for _ in range(updates):
        value = loss(w, b, np.array([0.5]))
        path.append([w.item(), b.item(), value.item()])
        if not (W[0] < w.item() < W[1] and B[0] < b.item() < B[1]):
            break
        optimizer.zero_grad()
        value.sum().backward()
        if threshold:
            optim.clip_grad_norm([w, b], threshold)
        optimizer.step()
    return np.array(path)


thrown, clipped = descend(None), descend(1.0)
w, b = np.meshgrid(np.linspace(*W, 281), np.linspace(*B, 301))
with ts.no_grad():
    surface = loss(w, b, np.full_like(w, 0.5)).data

matplotlib.rcParams["svg.hashsalt"] = "the same every time"
figure = Figure(figsize=(9.6, 4.4))
for k, path in enumerate([thrown[:-1], clipped]):
    axes = figure.add_axes(
        (0.5 * k + 0.01, -0.02, 0.46, 0.97), projection="3d", computed_zorder=False
    )
    fine = {"rcount": 281, "ccount": 301, "antialiased": False, "rasterized": True}
    axes.plot_surface(w, b, surface, cmap="Blues", vmax=14, **fine)
    axes.plot(*path.T, "o-", color=RED, markersize=2.5, linewidth=0.7, gid=f"path-{k}")
    axes.set(xlabel="$w$", ylabel="$b$", zlabel="$J$", xlim=W, ylim=B, zlim=J)
    axes.set_box_aspect(None, zoom=0.88)
    axes.view_init(52, 38)
    axes.tick_params(labelsize=8)
    if k == 0:
        far = "to $w = {:.0f}$, $b = {:.0f}$, $J = {:.0f}$".format(*thrown[-1])
        x, y, z = path[-1]
        axes.plot([x, x], [y, y], [z, z + 6], "-^", color=RED, markevery=[1], linewidth=1)
        axes.text(x, y, z + 7, far, color=RED, size=9, ha="center", backgroundcolor="white")
figure.text(0.25, 0.95, "without clipping", ha="center", size=11)
figure.text(0.75, 0.95, "the gradient clipped to norm 1", ha="center", size=11)
pictures = {"fig_10_17_gradient_cliff.svg": figure}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.savefig(Path(__file__).with_name(name), metadata={"Date": None})
