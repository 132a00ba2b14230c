"""Figure 10.16: the LSTM cell, every operation of a step.

The book calls the inner state s and squashes what enters it by a sigmoid; here the state is c, and
what enters it goes through tanh, as is usual.
"""

from pathlib import Path

import numpy as np

import tinyseq as ts
from tinyseq import draw, nn

rng = np.random.default_rng(0)
cell = nn.LSTMCell(3, 4)
hs, _ = ts.unroll(cell, rng.normal(size=(3, 1, 3)))
pictures = {"fig_10_16_lstm.svg": draw.circuit(hs, detail="ops")}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
