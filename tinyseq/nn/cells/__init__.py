"""The cells: one step each, its equations and nothing else."""

from tinyseq.nn.cells.elman import ElmanCell, Forced, OutputRecurrentCell, OutputState, one_hot
from tinyseq.nn.cells.gru import GRUCell
from tinyseq.nn.cells.lstm import LSTMCell, LSTMState

__all__ = [
    "ElmanCell",
    "Forced",
    "GRUCell",
    "LSTMCell",
    "LSTMState",
    "OutputRecurrentCell",
    "OutputState",
    "one_hot",
]
