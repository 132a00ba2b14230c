"""Figure 10.10: from a sequence to one of the same length, each y(t) depending on the ys before."""

from pathlib import Path

import numpy as np

import tinyseq as ts
from tinyseq import draw, nn

rng = np.random.default_rng(0)
xs, ys = rng.normal(size=(4, 1, 3)), rng.normal(size=(4, 1, 5))

cell = nn.OutputRecurrentCell(3, 4, 5, hidden_recurrence=True)


def step(given, state):
    o, state = cell(given, state)
    return ts.label(nn.mse(ts.label(o, "o"), given.y), "L"), state


losses, _ = ts.unroll(step, nn.Forced(xs, ys), cell.init_state(1), names={"o": "y"})
pictures = {
    "fig_10_10_circuit.svg": draw.circuit(losses),
    "fig_10_10_unrolled.svg": draw.unrolled(losses),
}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
