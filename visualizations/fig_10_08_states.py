"""Figure 10.8: the same model with its states: each y(t) goes on through h(t + 1) alone."""

from pathlib import Path

import numpy as np

from tinyseq import draw, nn

rng = np.random.default_rng(0)
ys = rng.normal(size=(6, 1, 5))

model = nn.SequenceModel(nn.OutputRecurrentCell(0, 4, 5, hidden_recurrence=True), loss=nn.mse)
loss, _ = model.loss(nn.Forced(None, ys), ys)
pictures = {"fig_10_08_states.svg": draw.graphical_model(loss, hidden=True, window=5)}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
