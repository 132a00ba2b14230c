"""The circuit of every cell, all operations of a step: ``python visualizations/cells/draw.py``.

Each cell is made, run for some steps, and drawn; the pictures are saved beside this script, and
README.md shows them.
"""

from pathlib import Path

import numpy as np

import tinyseq as ts
from tinyseq import draw, nn

X, H, O = 3, 4, 2  # noqa: E741
VARIANTS = ("NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR")

CELLS = {
    "elman": nn.ElmanCell(X, H),
    "output_recurrent": nn.OutputRecurrentCell(X, H, O),
    "lstm": nn.LSTMCell(X, H),
    "original_lstm": nn.OriginalLSTMCell(X, H),
    "peephole_lstm": nn.PeepholeLSTMCell(X, H),
    "coupled_lstm": nn.CoupledLSTMCell(X, H),
    "depth_gated_lstm": nn.DepthGatedLSTMCell(X, H, 2),
    **{f"odyssey_{name.lower()}": nn.OdysseyLSTMCell(X, H, name) for name in VARIANTS},
    "gru_reset_after": nn.GRUCell(X, H),
    "gru_reset_before": nn.GRUCell(X, H, reset="before"),
    "mgu": nn.MGUCell(X, H),
    "mut1": nn.MUT1Cell(X, H),
    "mut2": nn.MUT2Cell(X, H),
    "mut3": nn.MUT3Cell(X, H),
    "scrn": nn.SCRNCell(X, H, 5),
    "leaky": nn.LeakyCell(X, H, 0.25),
    "leaky_learned": nn.LeakyCell(X, H, 0.25, learned=True),
    "leaky_integrator": nn.LeakyIntegratorCell(X, H),
    "time_skip": nn.TimeSkipCell(X, H, (1, 3)),
    "clockwork": nn.ClockworkCell(X, H, (1, 2)),
    "deep_transition": nn.DeepTransitionCell(X, H, 2, skip=True),
    "deep_output": nn.DeepOutputCell(nn.ElmanCell(X, H), nn.MLP((H, 5, O))),
    "multiplicative": nn.MultiplicativeCell(X, H),
}


def circuit(cell: nn.Cell) -> draw.Picture:
    """The cell as it runs over eight steps, folded."""
    outputs, _ = ts.unroll(cell, np.zeros((8, 1, X), np.float32))
    return draw.circuit(outputs, detail="ops")


pictures = {f"{name}.svg": circuit(cell) for name, cell in CELLS.items()}

if __name__ == "__main__":
    for name, picture in pictures.items():
        picture.save(Path(__file__).with_name(name))
