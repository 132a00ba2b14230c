"""Figure 10.5: a whole sequence is read, and one output summarises it."""

from pathlib import Path

import numpy as np

import tinyseq as ts
from tinyseq import draw, nn

rng = np.random.default_rng(0)
xs, y = rng.normal(size=(20, 1, 3)), ts.label(rng.integers(5, size=1), "y")

_, h = ts.unroll(nn.ElmanCell(3, 4), xs)
o = ts.label(nn.Linear(4, 5)(h), "o")
L = ts.label(nn.cross_entropy(o, y), "L")
pictures = {"fig_10_05_unrolled.svg": draw.unrolled(L, window=(2, 1))}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
