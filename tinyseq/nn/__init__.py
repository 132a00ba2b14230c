"""Modules: parameters, layers, losses, cells, and the layers built on the cells."""

from tinyseq.nn import init
from tinyseq.nn.cell import Cell
from tinyseq.nn.linear import Dropout, Embedding, Linear
from tinyseq.nn.loss import binary_cross_entropy_with_logits, cross_entropy, gaussian_nll, mse
from tinyseq.nn.module import Module
from tinyseq.nn.parameter import Parameter
