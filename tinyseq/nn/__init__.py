"""Modules: parameters, layers, losses, cells, and the layers built on the cells."""

from tinyseq.nn import cells, init
from tinyseq.nn.cell import Cell
from tinyseq.nn.cells import (
    ElmanCell,
    Forced,
    GRUCell,
    LSTMCell,
    LSTMState,
    OutputRecurrentCell,
    OutputState,
    one_hot,
)
from tinyseq.nn.compose import Clamped, LearnedInitialState, Stacked
from tinyseq.nn.layers import GRU, LSTM, RNN, Recurrent
from tinyseq.nn.linear import Dropout, Embedding, Linear
from tinyseq.nn.loss import binary_cross_entropy_with_logits, cross_entropy, gaussian_nll, mse
from tinyseq.nn.module import Module
from tinyseq.nn.parameter import Parameter
from tinyseq.nn.sequence import SequenceModel, mixed_loss

__all__ = [
    "Cell",
    "Clamped",
    "Dropout",
    "ElmanCell",
    "Embedding",
    "Forced",
    "GRU",
    "GRUCell",
    "LSTM",
    "LSTMCell",
    "LSTMState",
    "LearnedInitialState",
    "Linear",
    "Module",
    "OutputRecurrentCell",
    "OutputState",
    "Parameter",
    "RNN",
    "Recurrent",
    "SequenceModel",
    "Stacked",
    "binary_cross_entropy_with_logits",
    "cells",
    "cross_entropy",
    "gaussian_nll",
    "init",
    "mixed_loss",
    "mse",
    "one_hot",
]
