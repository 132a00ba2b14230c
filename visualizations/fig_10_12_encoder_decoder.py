"""Figure 10.12: an encoder reads x into the context C, from which a decoder writes y."""

from pathlib import Path

import numpy as np

import tinyseq as ts
from tinyseq import draw, nn, ops

rng = np.random.default_rng(0)
encoder, decoder = nn.ElmanCell(3, 4), nn.OutputRecurrentCell(4, 4, 5, hidden_recurrence=True)

with ts.scope("encoder"):
    _, h = ts.unroll(encoder, rng.normal(size=(4, 1, 3)))
C = ts.label(ops.identity(h), "C")
with ts.scope("decoder"):
    ys, _ = ts.unroll(
        lambda nothing, s: decoder(C, s),
        None,
        decoder.init_state(1),
        length=3,
        names={"h": "s", "o": "y"},
    )
pictures = {"fig_10_12_unrolled.svg": draw.unrolled(ys), "fig_10_12_circuit.svg": draw.circuit(ys)}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
