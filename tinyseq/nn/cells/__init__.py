"""The cells: one step each, its equations and nothing else."""

from tinyseq.nn.cells.clockwork import ClockworkCell, ClockworkState
from tinyseq.nn.cells.deep_transition import DeepOutputCell, DeepTransitionCell
from tinyseq.nn.cells.depth_gated import DepthGatedLSTMCell
from tinyseq.nn.cells.elman import ElmanCell, Forced, OutputRecurrentCell, OutputState, one_hot
from tinyseq.nn.cells.gru import GRUCell
from tinyseq.nn.cells.gru_variants import MGUCell
from tinyseq.nn.cells.leaky import LeakyCell, LeakyIntegratorCell
from tinyseq.nn.cells.lstm import LSTMCell, LSTMState
from tinyseq.nn.cells.lstm_variants import CoupledLSTMCell, OriginalLSTMCell, PeepholeLSTMCell
from tinyseq.nn.cells.multidimensional import MDLSTMCell, MDRNNCell
from tinyseq.nn.cells.multiplicative import MultiplicativeCell
from tinyseq.nn.cells.mut import MUT1Cell, MUT2Cell, MUT3Cell
from tinyseq.nn.cells.odyssey import FullGateState, OdysseyLSTMCell
from tinyseq.nn.cells.recursive import RecursiveCell
from tinyseq.nn.cells.scrn import SCRNCell, SCRNState
from tinyseq.nn.cells.time_skip import TimeSkipCell, TimeSkipState

__all__ = [
    "ClockworkCell",
    "ClockworkState",
    "CoupledLSTMCell",
    "DeepOutputCell",
    "DeepTransitionCell",
    "DepthGatedLSTMCell",
    "ElmanCell",
    "Forced",
    "FullGateState",
    "GRUCell",
    "LSTMCell",
    "LSTMState",
    "LeakyCell",
    "LeakyIntegratorCell",
    "MDLSTMCell",
    "MDRNNCell",
    "MGUCell",
    "MUT1Cell",
    "MUT2Cell",
    "MUT3Cell",
    "MultiplicativeCell",
    "OdysseyLSTMCell",
    "OriginalLSTMCell",
    "OutputRecurrentCell",
    "OutputState",
    "PeepholeLSTMCell",
    "RecursiveCell",
    "SCRNCell",
    "SCRNState",
    "TimeSkipCell",
    "TimeSkipState",
    "one_hot",
]
