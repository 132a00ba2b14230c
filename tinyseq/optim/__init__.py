"""Optimizers, clipping, and schedules for learning rate and momentum."""

from tinyseq.optim.adam import Adam, AdamW
from tinyseq.optim.clip import clip_grad_norm, clip_grad_norm_each, clip_grad_value, grad_norm
from tinyseq.optim.optimizer import Optimizer
from tinyseq.optim.rmsprop import RMSprop
from tinyseq.optim.schedule import (
    Schedule,
    constant,
    cosine,
    exponential,
    linear_to_zero,
    staircase,
    sutskever_momentum,
)
from tinyseq.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "clip_grad_norm",
    "clip_grad_norm_each",
    "clip_grad_value",
    "constant",
    "cosine",
    "exponential",
    "grad_norm",
    "linear_to_zero",
    "staircase",
    "sutskever_momentum",
]
