"""Figure 10.4: the only recurrence leads from the output to the hidden units of the next step."""

from pathlib import Path

import numpy as np

from tinyseq import draw, nn

rng = np.random.default_rng(0)
xs, ys = rng.normal(size=(5, 1, 3)), rng.integers(5, size=(5, 1))

cell = nn.OutputRecurrentCell(3, 4, 5)
cell.weight_oh = nn.Parameter(cell.weight_oh, "W")  # the letter that it has in this figure
loss, _ = nn.SequenceModel(cell, loss=nn.cross_entropy).loss(xs, ys)
pictures = {
    "fig_10_04_circuit.svg": draw.circuit(loss),
    "fig_10_04_unrolled.svg": draw.unrolled(loss, window="t"),
}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
