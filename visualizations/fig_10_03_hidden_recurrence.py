"""Figure 10.3: an output at every step, and recurrence between hidden units."""

from pathlib import Path

import numpy as np

from tinyseq import draw, nn

rng = np.random.default_rng(0)
xs, ys = rng.normal(size=(5, 1, 3)), rng.integers(5, size=(5, 1))

model = nn.SequenceModel(nn.ElmanCell(3, 4), nn.Linear(4, 5), nn.cross_entropy)
loss, _ = model.loss(xs, ys)
pictures = {
    "fig_10_03_circuit.svg": draw.circuit(loss),
    "fig_10_03_unrolled.svg": draw.unrolled(loss, window="t"),
}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
