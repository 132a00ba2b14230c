"""tinyseq: sequence models, learned, seen and run. The public names, nothing else."""

from tinyseq import ops
from tinyseq.autograd.engine import backward, grad, push_forward
from tinyseq.autograd.node import scope
from tinyseq.autograd.primitive import detect_nonfinite, no_grad
from tinyseq.autograd.tensor import Tensor, label, tensor
