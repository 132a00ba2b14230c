"""tinyseq: sequence models, learned, seen and run. The public names, nothing else."""

from tinyseq import data, draw, errors, io, models, nn, ops, optim, train
from tinyseq.autograd.check import check_grads
from tinyseq.autograd.engine import backward, grad, push_forward
from tinyseq.autograd.functional import (
    gauss_newton_product,
    hessian,
    hvp,
    jacobian,
    jvp,
    vjp,
)
from tinyseq.autograd.node import scope
from tinyseq.autograd.primitive import detect_nonfinite, no_grad
from tinyseq.autograd.tensor import Tensor, label, tensor
from tinyseq.backend import to_cupy, to_numpy
from tinyseq.compile import compile
from tinyseq.random import manual_seed
from tinyseq.recurrence import detach, truncated_bptt, unroll, unroll_grid, unroll_tree

__version__ = "0.1.0"
__all__ = [
    "Tensor",
    "backward",
    "check_grads",
    "compile",
    "data",
    "detach",
    "detect_nonfinite",
    "draw",
    "errors",
    "gauss_newton_product",
    "grad",
    "hessian",
    "hvp",
    "io",
    "jacobian",
    "jvp",
    "label",
    "manual_seed",
    "models",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "push_forward",
    "scope",
    "tensor",
    "to_cupy",
    "to_numpy",
    "train",
    "truncated_bptt",
    "unroll",
    "unroll_grid",
    "unroll_tree",
    "vjp",
]
