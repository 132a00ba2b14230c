"""Figure 10.10: from a sequence to one of the same length, each y(t) depending on the ys before."""

from pathlib import Path

import numpy as np

from tinyseq import draw, nn

rng = np.random.default_rng(0)
xs, ys = rng.normal(size=(4, 1, 3)), rng.normal(size=(4, 1, 5))

cell = nn.OutputRecurrentCell(3, 4, 5, hidden_recurrence=True)
loss, _ = nn.SequenceModel(cell, loss=nn.mse).loss(nn.Forced(xs, ys), ys)
pictures = {
    "fig_10_10_circuit.svg": draw.circuit(loss),
    "fig_10_10_unrolled.svg": draw.unrolled(loss),
}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
