"""Linear, Embedding and Dropout."""

from __future__ import annotations

from typing import Any

from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import namespace
from tinyseq.errors import ConfigError
from tinyseq.nn import init
from tinyseq.nn.module import Module
from tinyseq.nn.parameter import Parameter
from tinyseq.ops import linear, take
from tinyseq.random import Seed, generator


class Linear(Module):
    """y = x W^T + b, over the last axis.

    Shapes: x (..., I), weight (O, I), bias (O,), returns (..., O).

    Args:
        in_features: I.
        out_features: O.
        bias: whether there is one.
        symbol, bias_symbol: the letters in the pictures; V and c are the book's for the output.
        seed: for the initial values, uniform in +-1/sqrt(I) as in PyTorch.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        symbol: str = "V",
        bias_symbol: str = "c",
        seed: Seed = None,
    ) -> None:
        if in_features < 1 or out_features < 1:
            raise ConfigError(f"Linear: sizes are positive, not {in_features}, {out_features}")
        rng, bound = generator(seed), in_features**-0.5
        self.weight = Parameter(init.uniform((out_features, in_features), bound, rng), symbol)
        self.bias = None
        if bias:
            self.bias = Parameter(init.uniform((out_features,), bound, rng), bias_symbol)

    def __call__(self, x: Any) -> Any:
        return linear(x, self.weight, self.bias)


class Embedding(Module):
    """A vector for every token: row x of the weight, which is the product of a one-hot with it.

    Shapes: ids (...) integers in [0, K), weight (K, D), returns (..., D).
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, symbol: str = "E", seed: Seed = None
    ) -> None:
        if num_embeddings < 1 or embedding_dim < 1:
            raise ConfigError(
                f"Embedding: sizes are positive, not {num_embeddings}, {embedding_dim}"
            )
        self.weight = Parameter(init.normal((num_embeddings, embedding_dim), 1.0, seed), symbol)

    def __call__(self, ids: Any) -> Any:
        return take(self.weight, ids)


class Dropout(Module):
    """In training, each element is zero with probability p and divided by 1 - p otherwise.

    In evaluation nothing happens (Srivastava et al. 2014, in the inverted form).
    """

    def __init__(self, p: float = 0.5, seed: Seed = None) -> None:
        if not 0 <= p < 1:
            raise ConfigError(f"Dropout: p lies in [0, 1), not {p}")
        self.p = p
        self.rng = generator(seed)

    def __call__(self, x: Any) -> Any:
        if not self.training or not self.p:
            return x
        array = x.data if isinstance(x, Tensor) else x
        keep = (self.rng.random(array.shape) >= self.p) / (1 - self.p)
        return x * namespace(array).asarray(keep.astype(array.dtype))
