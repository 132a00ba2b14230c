"""Figure 10.7: every y(t) may depend on all before it; the hidden units are summed out."""

from pathlib import Path

import numpy as np

from tinyseq import draw, nn

rng = np.random.default_rng(0)
ys = rng.normal(size=(6, 1, 5))

model = nn.SequenceModel(nn.OutputRecurrentCell(0, 4, 5, hidden_recurrence=True), loss=nn.mse)
loss, _ = model.loss(nn.Forced(None, ys), ys)
pictures = {"fig_10_07_complete_graph.svg": draw.graphical_model(loss, window=5)}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
