"""Figure 10.6: teacher forcing: in training y(t-1) is fed back, later the model's own o(t-1)."""

from pathlib import Path

import numpy as np

from tinyseq import draw, nn

rng = np.random.default_rng(0)
xs, ys = rng.normal(size=(2, 1, 3)), rng.normal(size=(2, 1, 5))

cell = nn.OutputRecurrentCell(3, 4, 5)
cell.weight_oh = nn.Parameter(cell.weight_oh, "W")  # the letter that it has in this figure
model = nn.SequenceModel(cell, loss=nn.mse)
loss, _ = model.loss(nn.Forced(xs, ys), ys)  # y(t) is fed back
outputs, _ = model(xs)  # o(t) is
pictures = {
    "fig_10_06_train.svg": draw.unrolled(loss),
    "fig_10_06_test.svg": draw.unrolled(outputs),
}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
