"""Every operation of ``tinyseq.ops``: how it is called, what torch calls it, what it refuses.

An entry is one line or a few; ``test_contract.py`` asks the same of all of them. To add an
operation, add an entry: a test fails as long as a public function has none.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyseq import ops
from tinyseq.autograd.tensor import Tensor
from tinyseq.backend import namespace
from tinyseq.errors import DTypeError, ShapeError, TinyseqError

Shape = tuple[int, ...]
Domain = Callable[[np.random.Generator, Shape], np.ndarray]


class _Lazy:
    """torch, imported when it is first used: only the tests marked ``oracle`` need it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("torch"), name)


torch: Any = _Lazy()


@dataclass(frozen=True)
class Use:
    """One way to call an operation, with the shapes to call it on.

    ``call`` is a function of arrays or Tensors; ``torch`` computes the same of torch's tensors.
    """

    call: Callable[..., Any]
    torch: Callable[..., Any]
    shapes: tuple[tuple[Shape, ...], ...]  # for each case, the shape of every input
    label: str = ""
    domain: Domain | tuple[Domain, ...] | None = None
    keeps_dtype: bool = True
    promotes: bool = True  # of mixed dtypes, the result has the one that NumPy's rules give
    waits: frozenset[str] = frozenset()  # what makes the host wait for a GPU, and must


@dataclass(frozen=True)
class Bad:
    """A call that is refused; ``call`` is given the function that makes its inputs of arrays."""

    call: Callable[[Callable[[Any], Any]], Any]
    error: type[TinyseqError]


@dataclass(frozen=True)
class Entry:
    name: str
    uses: tuple[Use, ...]
    bad: tuple[Bad, ...]


@dataclass(frozen=True)
class Case:
    """A use on inputs of certain shapes."""

    name: str
    use: Use
    shapes: tuple[Shape, ...]
    id: str = field(default="")

    def arrays(self, dtype: Any = np.float64) -> list[np.ndarray]:
        """The inputs, the same in every call; from a tuple of domains, one for each input."""
        rng = np.random.default_rng(sum(map(ord, self.id)))
        given = self.use.domain or real
        domains = given if isinstance(given, tuple) else (given,) * len(self.shapes)
        return [
            np.asarray(domain(rng, shape)).astype(dtype)
            for domain, shape in zip(domains, self.shapes, strict=True)
        ]


REGISTRY: dict[str, Entry] = {}


def entry(name: str, *uses: Use, bad: tuple[Bad, ...]) -> None:
    REGISTRY[name] = Entry(name, uses, bad)


def cases() -> list[Case]:
    """All uses on all their shapes."""
    found = []
    for known in REGISTRY.values():
        for use in known.uses:
            for shapes in use.shapes:
                text = ",".join("x".join(map(str, shape)) or "()" for shape in shapes)
                label = f"-{use.label}" if use.label else ""
                found.append(Case(known.name, use, shapes, f"{known.name}{label}-{text}"))
    return found


# -- inputs ---------------------------------------------------------------------------------------


def real(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.normal(size=shape)


def positive(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.uniform(0.3, 3, size=shape)


def off_zero(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Both signs, and no kink at 0 in the reach of a difference quotient."""
    return rng.uniform(0.3, 2, size=shape) * rng.choice([-1, 1], size=shape)


def apart(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """No two elements near each other, and none near a multiple of 1/2."""
    size = int(np.prod(shape))
    return (rng.permutation(size) - size // 2 + 0.25).reshape(shape) / 2


def with_zeros(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return off_zero(rng, shape) * (rng.random(shape) < 0.6)


def tiny(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return rng.normal(size=shape) * 1e-9


def like(a: Any, host: Any) -> Any:
    """The host's array where ``a`` is: in NumPy, CuPy or torch."""
    if type(a).__module__.partition(".")[0] == "torch":
        return torch.as_tensor(np.asarray(host))
    return namespace(a.data if isinstance(a, Tensor) else a).asarray(host)


ones = np.ones
SINGLE = (((),), ((2, 3),), ((0, 3),))
PAIRS = (
    ((), ()),
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((2, 1), (1, 3)),
    ((3,), ()),
    ((1,), (0,)),
)
ROWS = (((3, 4),), ((2, 3, 4),))

# -- elementwise ----------------------------------------------------------------------------------


def unary(name: str, in_torch: Callable[..., Any], domain: Domain = real) -> None:
    op = getattr(ops, name)
    entry(
        name,
        Use(op, in_torch, SINGLE, domain=domain),
        bad=(
            Bad(lambda t: op("one"), DTypeError),
            Bad(lambda t: op([[1.0], [2.0, 3.0]]), ShapeError),
        ),
    )


unary("neg", lambda a: -a)
unary("exp", lambda a: a.exp())
unary("expm1", lambda a: a.expm1())
unary("log", lambda a: a.log(), positive)
unary("log1p", lambda a: a.log1p(), positive)
unary("sqrt", lambda a: a.sqrt(), positive)
unary("abs", lambda a: a.abs(), off_zero)
unary("sin", lambda a: a.sin())
unary("cos", lambda a: a.cos())
unary("tanh", lambda a: a.tanh())
unary("sigmoid", lambda a: a.sigmoid())
unary("softplus", lambda a: torch.nn.functional.softplus(a))
unary("relu", lambda a: a.relu(), off_zero)
unary("identity", lambda a: a * 1)


def binary(
    name: str,
    in_torch: Callable[..., Any],
    domain: Domain | tuple[Domain, ...] = real,
    *more: Use,
) -> None:
    op = getattr(ops, name)
    entry(
        name,
        Use(op, in_torch, PAIRS, domain=domain),
        Use(
            lambda a: op(a, 2.0),
            lambda a: in_torch(a, torch.tensor(2.0)),
            SINGLE,
            "scalar",
            positive,
        ),
        Use(lambda b: op(3, b), lambda b: in_torch(torch.tensor(3), b), SINGLE, "number", positive),
        *more,
        bad=(
            Bad(lambda t: op(t(ones((2, 3))), t(ones(4))), ShapeError),
            Bad(lambda t: op(t(ones(2)), "one"), DTypeError),
            Bad(lambda t: op(None, t(ones(2))), DTypeError),
        ),
    )


binary("add", lambda a, b: a + b)
binary("sub", lambda a, b: a - b)
binary("mul", lambda a, b: a * b)
binary("div", lambda a, b: a / b, (real, off_zero))
binary(
    "pow",
    lambda a, b: a**b,
    positive,
    Use(lambda a: ops.pow(a, 2), lambda a: a**2, SINGLE, "square", with_zeros),
    Use(lambda a: ops.pow(a, -1), lambda a: a**-1, SINGLE, "inverse", off_zero),
    Use(lambda a: ops.pow(a, 0), lambda a: a**0, (((3,),),), "zeroth", with_zeros),
)
binary("maximum", lambda a, b: torch.maximum(*torch.broadcast_tensors(a, b)))
binary("minimum", lambda a, b: torch.minimum(*torch.broadcast_tensors(a, b)))

entry(
    "clip",
    Use(lambda a: ops.clip(a, -0.5, 1), lambda a: a.clip(-0.5, 1), (((2, 5),), ((0,),)), "", apart),
    Use(lambda a: ops.clip(a, high=0), lambda a: a.clip(max=0), (((5,),),), "high", apart),
    Use(
        lambda a, low: ops.clip(a, low),
        lambda a, low: a.clip(min=low),
        (((2, 3), (3,)), ((3,), ())),
        "array",
    ),
    bad=(
        Bad(lambda t: ops.clip(t(ones(3)), t(ones(2))), ShapeError),
        Bad(lambda t: ops.clip(t(ones(3)), "low"), DTypeError),
    ),
)


def _mask(shape: Shape) -> np.ndarray:
    return np.arange(int(np.prod(shape))).reshape(shape) % 3 != 1


entry(
    "where",
    Use(
        lambda a, b: ops.where(like(a, _mask((2, 3))), a, b),
        lambda a, b: torch.where(like(a, _mask((2, 3))), a, b),
        (((2, 3), (2, 3)), ((3,), (2, 1)), ((), (2, 3))),
    ),
    Use(
        lambda a: ops.where(like(a, _mask((2, 1))), a, 0.0),
        lambda a: torch.where(like(a, _mask((2, 1))), a, 0.0),
        (((2, 3),), ((3,),), ((0,),)),
        "scalar",
    ),
    bad=(
        Bad(lambda t: ops.where(_mask((2,)), t(ones(3)), 0.0), ShapeError),
        Bad(lambda t: ops.where(_mask((3,)), t(ones(3)), "zero"), DTypeError),
    ),
)

# -- products -------------------------------------------------------------------------------------

entry(
    "matmul",
    Use(
        ops.matmul,
        lambda a, b: a @ b,
        (
            ((3,), (3,)),
            ((2, 3), (3,)),
            ((3,), (3, 4)),
            ((2, 3), (3, 4)),
            ((5, 2, 3), (3, 4)),
            ((2, 3), (5, 3, 4)),
            ((5, 2, 3), (5, 3, 4)),
            ((2, 1, 2, 3), (3, 3, 1)),
            ((3,), (5, 3, 4)),
            ((5, 2, 3), (3,)),
            ((0, 3), (3, 4)),
            ((2, 0), (0, 3)),
            ((4, 0, 3), (3, 2)),
        ),
    ),
    bad=(
        Bad(lambda t: ops.matmul(t(ones((2, 3))), t(ones((2, 3)))), ShapeError),
        Bad(lambda t: ops.matmul(t(ones((2, 3))), 2.0), ShapeError),
        Bad(lambda t: ops.matmul(t(ones((2, 3))), "two"), DTypeError),
    ),
)
entry(
    "linear",
    Use(
        ops.linear,
        lambda *a: torch.nn.functional.linear(*a),
        (
            ((2, 3), (4, 3)),
            ((2, 3), (4, 3), (4,)),
            ((3,), (4, 3), (4,)),
            ((5, 2, 3), (4, 3), (4,)),
            ((0, 3), (4, 3), (4,)),
            ((5, 2, 3), (0, 3), (0,)),
        ),
    ),
    bad=(
        Bad(lambda t: ops.linear(t(ones((2, 3))), t(ones((3, 4)))), ShapeError),
        Bad(lambda t: ops.linear(t(ones((2, 3))), t(ones(3))), ShapeError),
        Bad(lambda t: ops.linear(t(ones((2, 3))), t(ones((4, 3))), t(ones(3))), ShapeError),
        Bad(lambda t: ops.linear(t(ones((2, 3))), t(ones((4, 3))), t(ones((1, 4)))), ShapeError),
    ),
)
entry(
    "outer",
    Use(
        ops.outer,
        lambda a, b: a.unsqueeze(-1) * b.unsqueeze(-2),
        (((3,), (2,)), ((4, 3), (4, 2)), ((3,), (4, 2)), ((0,), (2,))),
    ),
    bad=(
        Bad(lambda t: ops.outer(t(ones((2, 3))), t(ones((4, 3)))), ShapeError),
        Bad(lambda t: ops.outer(t(ones(())), t(ones(3))), ShapeError),
    ),
)


def _einsum(subscripts: str, *shapes: tuple[Shape, ...]) -> Use:
    return Use(
        lambda *a: ops.einsum(subscripts, *a),
        lambda *a: torch.einsum(subscripts, *a),
        shapes,
        subscripts.replace(",", "_"),
    )


entry(
    "einsum",
    _einsum("ij,jk->ik", ((2, 3), (3, 4)), ((2, 0), (0, 4))),
    _einsum("ij,jk", ((2, 3), (3, 4))),
    _einsum("nij,nj->ni", ((5, 2, 3), (5, 3))),
    _einsum("i,ijk,k->j", ((2,), (2, 3, 4), (4,))),
    _einsum("ij->j", ((2, 3),), ((0, 3),)),
    _einsum("ij->", ((2, 3),)),
    _einsum("ij->ji", ((2, 3),)),
    _einsum("i,i->", ((3,), (3,))),
    _einsum("ij,k->k", ((2, 3), (4,))),
    _einsum("...i,...i->...", ((4, 2, 3), (2, 3)), ((3,), (3,))),
    _einsum("n...i,ij->n...j", ((5, 2, 3), (3, 4))),
    bad=(
        Bad(lambda t: ops.einsum("ij,jk->ik", t(ones((2, 3))), t(ones((4, 3)))), ShapeError),
        Bad(lambda t: ops.einsum("ij,jk->ik", t(ones((2, 1))), t(ones((4, 3)))), ShapeError),
        Bad(lambda t: ops.einsum("ij,jk->ik", t(ones((2, 3)))), ShapeError),
        Bad(lambda t: ops.einsum("ii->i", t(ones((2, 2)))), ShapeError),
        Bad(lambda t: ops.einsum("ij->i", t(ones(3))), ShapeError),
        Bad(lambda t: ops.einsum("ij->ik", t(ones((2, 3)))), ShapeError),
    ),
)

# -- reductions -----------------------------------------------------------------------------------

NO_AXIS: tuple[tuple[Shape, ...], ...] = (((),), ((3, 4),), ((2, 3, 2),))


def reduction(
    name: str,
    in_torch: Callable[..., Any],
    domain: Domain = real,
    *more: Use,
    nothing: Any = None,
    several: bool = True,
    scalar: bool = True,
) -> None:
    """``in_torch(a, axes, keepdims)``, with the axes as a tuple; ``nothing`` says if it has a value
    for no elements."""
    op = getattr(ops, name)
    empty: tuple[tuple[Shape, ...], ...] = () if nothing is None else (((0, 3),),)
    uses = [
        Use(
            op,
            lambda a: in_torch(a, tuple(range(a.ndim)), False),
            (NO_AXIS if scalar else NO_AXIS[1:]) + empty,
            "all",
            domain,
        ),
        Use(lambda a: op(a, 0), lambda a: in_torch(a, (0,), False), ROWS + empty, "axis", domain),
        Use(
            lambda a: op(a, axis=-1, keepdims=True),
            lambda a: in_torch(a, (-1,), True),
            ROWS + (((0, 3),),),
            "keepdims",
            domain,
        ),
    ]
    if several:
        axes = (0, -1)
        uses.append(
            Use(
                lambda a: op(a, axes),
                lambda a: in_torch(a, axes, False),
                (((2, 3, 4),),),
                "axes",
                domain,
            )
        )
    bad = [
        Bad(lambda t: op(t(ones((2, 3))), 2), ShapeError),
        Bad(lambda t: op(t(ones((2, 3))), (0, 0)), ShapeError),
        Bad(lambda t: op("three"), DTypeError),
    ]
    if nothing is None:
        bad.append(Bad(lambda t: op(t(ones((0, 3)))), ShapeError))
    entry(name, *uses, *more, bad=tuple(bad))


def _over_axes(a: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """torch's prod takes one axis."""
    for axis in sorted((k % max(a.ndim, 1) for k in axes), reverse=True) if a.ndim else ():
        a = a.prod(axis, keepdim=keepdims)
    return a * 1


reduction("sum", lambda a, k, keep: a.sum(k, keepdim=keep) if k else a * 1, nothing=0)
reduction("mean", lambda a, k, keep: a.mean(k, keepdim=keep) if k else a * 1)
reduction("max", lambda a, k, keep: a.amax(k, keepdim=keep), apart)
reduction("min", lambda a, k, keep: a.amin(k, keepdim=keep), apart)
reduction(
    "prod",
    _over_axes,
    off_zero,
    Use(ops.prod, lambda a: a.prod(), (((3,),), ((5,),)), "zeros", with_zeros),
    Use(lambda a: ops.prod(a, 1), lambda a: a.prod(1), (((4, 5),),), "zeros_axis", with_zeros),
    nothing=1,
)
reduction("logsumexp", lambda a, k, keep: a.logsumexp(k, keepdim=keep) if k else a * 1)
reduction(
    "var",
    lambda a, k, keep: a.var(k, keepdim=keep),
    real,
    Use(
        lambda a: ops.var(a, 0, correction=0),
        lambda a: a.var(0, correction=0),
        (((3, 4),), ((1, 4),)),
        "population",
    ),
    scalar=False,
)
reduction("std", lambda a, k, keep: a.std(k, keepdim=keep), real, scalar=False)


def running(name: str, in_torch: Callable[..., Any], *more: Use) -> None:
    op = getattr(ops, name)
    entry(
        name,
        Use(op, lambda a: in_torch(a, 0), (((5,),), ((3, 4),), ((0, 2),), ((1,),))),
        Use(lambda a: op(a, axis=-1), lambda a: in_torch(a, -1), (((2, 3, 5),),), "last"),
        *more,
        bad=(
            Bad(lambda t: op(t(ones((2, 3))), 2), ShapeError),
            Bad(lambda t: op(t(ones(()))), ShapeError),
        ),
    )


running("cumsum", lambda a, k: a.cumsum(k))
running(
    "cumprod",
    lambda a, k: a.cumprod(k),
    Use(ops.cumprod, lambda a: a.cumprod(0), (((6,),), ((5, 2),)), "zeros", with_zeros),
    # torch's second derivative divides by the elements, which is not exact
    Use(
        ops.cumprod,
        lambda a: torch.stack([a[0], a[0] * a[1], a[0] * a[1] * a[2]]),
        (((3,),),),
        "tiny",
        tiny,
    ),
)

# -- shapes ---------------------------------------------------------------------------------------

entry(
    "reshape",
    Use(lambda a: ops.reshape(a, (3, -1)), lambda a: a.reshape(3, -1), (((2, 3),), ((3, 2, 2),))),
    Use(lambda a: ops.reshape(a, 2, 3), lambda a: a.reshape(2, 3), (((6,),),), "numbers"),
    Use(lambda a: ops.reshape(a, ()), lambda a: a.reshape(()), (((1, 1),),), "to_scalar"),
    Use(lambda a: ops.reshape(a, (1, 0)), lambda a: a.reshape(1, 0), (((0,),),), "empty"),
    bad=(
        Bad(lambda t: ops.reshape(t(ones((2, 3))), (4, 2)), ShapeError),
        Bad(lambda t: ops.reshape(t(ones((2, 3))), (-1, 4)), ShapeError),
        Bad(lambda t: ops.reshape(t(ones((2, 3))), "six"), DTypeError),
    ),
)
entry(
    "transpose",
    Use(
        ops.transpose,
        lambda a: a.permute(tuple(range(a.ndim)[::-1])),
        (((),), ((2, 3, 4),), ((0, 2),)),
    ),
    Use(
        lambda a: ops.transpose(a, (1, 2, 0)), lambda a: a.permute(1, 2, 0), (((2, 3, 4),),), "axes"
    ),
    bad=(
        Bad(lambda t: ops.transpose(t(ones((2, 3))), (0, 0)), ShapeError),
        Bad(lambda t: ops.transpose(t(ones((2, 3))), (0, 2)), ShapeError),
        Bad(lambda t: ops.transpose(t(ones((2, 3))), (0,)), ShapeError),
    ),
)
entry(
    "swapaxes",
    Use(lambda a: ops.swapaxes(a, 0, -1), lambda a: a.swapaxes(0, -1), (((2, 3, 4),), ((0, 2),))),
    bad=(Bad(lambda t: ops.swapaxes(t(ones((2, 3))), 0, 2), ShapeError),),
)
entry(
    "moveaxis",
    Use(lambda a: ops.moveaxis(a, 0, -1), lambda a: a.moveaxis(0, -1), (((2, 3, 4),), ((3,),))),
    Use(lambda a: ops.moveaxis(a, 2, 1), lambda a: a.moveaxis(2, 1), (((2, 0, 4),),), "inner"),
    bad=(Bad(lambda t: ops.moveaxis(t(ones((2, 3))), 2, 0), ShapeError),),
)
entry(
    "squeeze",
    Use(lambda a: ops.squeeze(a, 1), lambda a: a.squeeze(1), (((2, 1, 3),), ((0, 1),))),
    Use(lambda a: ops.squeeze(a, -1), lambda a: a.squeeze(-1), (((1,),),), "last"),
    bad=(
        Bad(lambda t: ops.squeeze(t(ones((2, 3))), 0), ShapeError),
        Bad(lambda t: ops.squeeze(t(ones((2, 3))), 2), ShapeError),
    ),
)
entry(
    "expand_dims",
    Use(lambda a: ops.expand_dims(a, 0), lambda a: a.unsqueeze(0), SINGLE),
    Use(lambda a: ops.expand_dims(a, -1), lambda a: a.unsqueeze(-1), SINGLE, "last"),
    bad=(Bad(lambda t: ops.expand_dims(t(ones((2, 3))), 3), ShapeError),),
)
entry(
    "broadcast_to",
    Use(
        lambda a: ops.broadcast_to(a, (2, 3, 4)),
        lambda a: a.broadcast_to(2, 3, 4),
        (((),), ((4,),), ((3, 1),), ((2, 3, 4),)),
    ),
    Use(lambda a: ops.broadcast_to(a, (0, 3)), lambda a: a.broadcast_to(0, 3), (((3,),),), "empty"),
    bad=(Bad(lambda t: ops.broadcast_to(t(ones((2, 3))), (2, 4)), ShapeError),),
)
entry(
    "expand",
    Use(lambda a: ops.expand(a, 4, -1, 3), lambda a: a.expand(4, -1, 3), (((2, 1),), ((1, 2, 3),))),
    Use(lambda a: ops.expand(a, (2, 3)), lambda a: a.expand(2, 3), (((3,),), ((),)), "shape"),
    bad=(
        Bad(lambda t: ops.expand(t(ones((2, 3))), 3, 3), ShapeError),
        Bad(lambda t: ops.expand(t(ones(3)), -1, 3), ShapeError),
        Bad(lambda t: ops.expand(t(ones((2, 3))), 3), ShapeError),
    ),
)
entry(
    "tile",
    Use(lambda a: ops.tile(a, (2, 3)), lambda a: a.tile(2, 3), (((2, 2),), ((3,),), ((2, 1, 2),))),
    Use(lambda a: ops.tile(a, (2,)), lambda a: a.tile(2), (((),), ((2, 3),), ((0, 2),)), "last"),
    bad=(
        Bad(lambda t: ops.tile(t(ones((2, 3))), (2, -1)), ShapeError),
        Bad(lambda t: ops.tile(t(ones((2, 3))), (2, "x")), DTypeError),
    ),
)
entry(
    "astype",
    Use(
        lambda a: ops.astype(a, np.float64),
        lambda a: a.to(torch.float64),
        SINGLE,
        keeps_dtype=False,
    ),
    bad=(Bad(lambda t: ops.astype(t(ones(3)), "floating"), DTypeError),),
)
entry(
    "flip",
    Use(lambda a: ops.flip(a, 0), lambda a: a.flip(0), (((3,),), ((2, 3),), ((0, 3),))),
    Use(lambda a: ops.flip(a, (0, -1)), lambda a: a.flip(0, -1), (((2, 3, 2),),), "axes"),
    bad=(Bad(lambda t: ops.flip(t(ones((2, 3))), 2), ShapeError),),
)
entry(
    "roll",
    Use(lambda a: ops.roll(a, 2, 0), lambda a: a.roll(2, 0), (((5,),), ((1, 3),), ((0, 3),))),
    Use(lambda a: ops.roll(a, -1, axis=-1), lambda a: a.roll(-1, -1), (((2, 3),),), "back"),
    bad=(
        Bad(lambda t: ops.roll(t(ones((2, 3))), 1, 2), ShapeError),
        Bad(lambda t: ops.roll(t(ones((2, 3))), "one", 0), DTypeError),
    ),
)
entry(
    "pad",
    Use(
        lambda a: ops.pad(a, [(1, 2), (0, 3)]),
        lambda a: torch.nn.functional.pad(a, (0, 3, 1, 2)),
        (((2, 3),), ((0, 3),)),
    ),
    Use(
        lambda a: ops.pad(a, [(2, 0)]),
        lambda a: torch.nn.functional.pad(a, (2, 0)),
        (((3,),),),
        "1d",
    ),
    Use(lambda a: ops.pad(a, []), lambda a: a * 1, (((),),), "0d"),
    bad=(
        Bad(lambda t: ops.pad(t(ones((2, 3))), [(1, 1)]), ShapeError),
        Bad(lambda t: ops.pad(t(ones(3)), [(1, -1)]), ShapeError),
        Bad(lambda t: ops.pad(t(ones(3)), [1]), DTypeError),
    ),
)
entry(
    "concatenate",
    Use(
        lambda *a: ops.concatenate(a),
        lambda *a: torch.cat(a),
        (((2, 3), (4, 3)), ((2,), (0,), (3,)), ((2, 3),)),
    ),
    Use(
        lambda *a: ops.concatenate(a, -1),
        lambda *a: torch.cat(a, -1),
        (((2, 3), (2, 1), (2, 2)), ((0, 3), (0, 1))),
        "last",
    ),
    bad=(
        Bad(lambda t: ops.concatenate([]), ShapeError),
        Bad(lambda t: ops.concatenate([t(ones((2, 3))), t(ones((2, 4)))]), ShapeError),
        Bad(lambda t: ops.concatenate([t(ones((2, 3))), t(ones(3))]), ShapeError),
        Bad(lambda t: ops.concatenate([t(ones((2, 3)))], 2), ShapeError),
        Bad(lambda t: ops.concatenate([t(ones(()))]), ShapeError),
    ),
)
entry(
    "stack",
    Use(
        lambda *a: ops.stack(a), lambda *a: torch.stack(a), (((), ()), ((2, 3),) * 3, ((0, 2),) * 2)
    ),
    Use(lambda *a: ops.stack(a, -1), lambda *a: torch.stack(a, -1), (((2, 3),) * 2,), "last"),
    bad=(
        Bad(lambda t: ops.stack([]), ShapeError),
        Bad(lambda t: ops.stack([t(ones((2, 3))), t(ones((2, 4)))]), ShapeError),
        Bad(lambda t: ops.stack([t(ones((2, 3)))], 3), ShapeError),
    ),
)
entry(
    "split",
    Use(lambda a: ops.split(a, 2), lambda a: a.chunk(2), (((4,),), ((2, 3),))),
    Use(
        lambda a: ops.split(a, (2, 0, 3), -1),
        lambda a: a.split((2, 0, 3), -1),
        (((5,),), ((2, 5),), ((0, 5),)),
        "sizes",
    ),
    Use(
        lambda a: ops.split(a, (1, 2), 1)[1],
        lambda a: a.split((1, 2), 1)[1],
        (((2, 3),),),
        "one_unused",
    ),
    bad=(
        Bad(lambda t: ops.split(t(ones(5)), 2), ShapeError),
        Bad(lambda t: ops.split(t(ones(5)), 0), ShapeError),
        Bad(lambda t: ops.split(t(ones(5)), (2, 2)), ShapeError),
        Bad(lambda t: ops.split(t(ones(5)), (6, -1)), ShapeError),
        Bad(lambda t: ops.split(t(ones(5)), 5, 1), ShapeError),
    ),
)
entry(
    "unbind",
    Use(ops.unbind, lambda a: a.unbind(), (((3,),), ((2, 3),), ((2, 0),))),
    Use(lambda a: ops.unbind(a, -1), lambda a: a.unbind(-1), (((2, 3),),), "last"),
    Use(lambda a: ops.unbind(a)[1], lambda a: a.unbind()[1], (((3, 2),),), "one_used"),
    bad=(
        Bad(lambda t: ops.unbind(t(ones(()))), ShapeError),
        Bad(lambda t: ops.unbind(t(ones((2, 3))), 2), ShapeError),
    ),
)

# -- indexing -------------------------------------------------------------------------------------


def indexed(label: str, index: Any, *shapes: Shape, waits: frozenset[str] = frozenset()) -> Use:
    """Index arrays are made anew where the array is."""

    def at(a: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        moved = tuple(like(a, p) if isinstance(p, np.ndarray) else p for p in parts)
        return moved if isinstance(index, tuple) else moved[0]

    return Use(
        lambda a: ops.getitem(a, at(a)),
        lambda a: a[at(a)] * 1,
        tuple((shape,) for shape in shapes),
        label,
        waits=waits,
    )


# CuPy wraps indices that are out of range, so they are fetched and checked on the host.
CHECKED = frozenset({"get"})
MASKED = frozenset({"boolean mask"})

entry(
    "getitem",
    indexed("int", 1, (3,), (2, 3)),
    indexed("last", -1, (3,), (2, 0)),
    indexed("slice", slice(1, None), (4,), (3, 2), (1, 2)),
    indexed("step", (slice(None), slice(None, None, 2)), (2, 5)),
    indexed("new_axis", (None, Ellipsis, 0), (2, 3)),
    indexed("dots", ..., (2, 3), ()),
    indexed("array", np.array([2, 0, 2, -1]), (3,), (3, 2), waits=CHECKED),
    indexed("matrix", np.array([[0, 1], [1, 1]]), (2, 3), waits=CHECKED),
    indexed("many", np.arange(80) % 7, (7, 2), (7,), waits=CHECKED),
    indexed("pairs", (np.array([0, 1, 1]), np.array([2, 0, 0])), (2, 3), waits=CHECKED),
    indexed("inner", (slice(None), np.array([1, 1])), (2, 3), waits=CHECKED),
    indexed("outer", (..., np.array([1, 1])), (2, 2, 3), waits=CHECKED),
    indexed("none_of_them", np.array([], int), (3, 2), waits=CHECKED),
    indexed("mask", np.array([True, False, True]), (3,), (3, 2), waits=MASKED),
    indexed("mask2", np.array([[True, False, True], [False, False, True]]), (2, 3), waits=MASKED),
    bad=(
        Bad(lambda t: ops.getitem(t(ones((2, 3))), 2), ShapeError),
        Bad(lambda t: ops.getitem(t(ones((2, 3))), (0, 0, 0)), ShapeError),
        Bad(lambda t: ops.getitem(t(ones((2, 3))), [0, 2]), ShapeError),
        Bad(lambda t: ops.getitem(t(ones((2, 3))), np.array([True, False, True])), ShapeError),
        Bad(lambda t: ops.getitem(t(ones((2, 3))), 0.5), DTypeError),
        Bad(lambda t: ops.getitem(t(ones((2, 3))), np.array([0.0])), DTypeError),
        Bad(lambda t: ops.getitem(t(ones((2, 3))), True), DTypeError),
        Bad(lambda t: ops.getitem(t(ones((2, 3))), "key"), DTypeError),
    ),
)

IDS = np.array([[1, 0, -1], [1, 1, 2]])
entry(
    "take",
    Use(
        lambda a: ops.take(a, like(a, IDS)),
        lambda a: a[like(a, IDS)],
        (((3,),), ((3, 2),)),
        waits=CHECKED,
    ),
    Use(
        lambda a: ops.take(a, like(a, np.array(1)), axis=-1),
        lambda a: a[..., 1],
        (((2, 3),),),
        "one",
        waits=CHECKED,
    ),
    bad=(
        Bad(lambda t: ops.take(t(ones((2, 3))), np.array([0, 2])), ShapeError),
        Bad(lambda t: ops.take(t(ones((2, 3))), np.array([0, -3])), ShapeError),
        Bad(lambda t: ops.take(t(ones((2, 3))), np.array([0.0])), DTypeError),
        Bad(lambda t: ops.take(t(ones((2, 3))), [0], axis=2), ShapeError),
    ),
)

PLACES = np.array([[2, 0], [1, 1]])
entry(
    "take_along_axis",
    Use(
        lambda a: ops.take_along_axis(a, like(a, PLACES)),
        lambda a: a.take_along_dim(like(a, PLACES), -1),
        (((2, 3),),),
        waits=CHECKED,
    ),
    Use(
        lambda a: ops.take_along_axis(a, like(a, PLACES), 0),
        lambda a: a.take_along_dim(like(a, PLACES), 0),
        (((4, 2),),),
        "first",
        waits=CHECKED,
    ),
    bad=(
        Bad(lambda t: ops.take_along_axis(t(ones((2, 3))), np.array([[0], [3]])), ShapeError),
        Bad(lambda t: ops.take_along_axis(t(ones((2, 3))), np.array([[0]])), ShapeError),
        Bad(lambda t: ops.take_along_axis(t(ones((2, 3))), np.array([0, 1])), ShapeError),
        Bad(lambda t: ops.take_along_axis(t(ones((2, 3))), np.array([[0.0], [1.0]])), DTypeError),
        Bad(lambda t: ops.take_along_axis(t(ones((2, 3))), np.array([[0], [0]]), 5), ShapeError),
        Bad(lambda t: ops.take_along_axis(t(ones(())), np.array(0)), ShapeError),
    ),
)


def _added(index: np.ndarray) -> Use:
    return Use(
        lambda a, v: ops.scatter_add(a, like(a, index), v),
        lambda a, v: a.index_put((like(a, index),), v, accumulate=True),
        (((3,), index.shape), ((3, 2), (*index.shape, 2))),
        f"{index.size}",
        waits=CHECKED,
        promotes=False,  # it is a copy of the first input, with something added
    )


entry(
    "scatter_add",
    _added(np.array([2, 0, 2, -1])),
    _added(np.arange(40) % 3),
    Use(
        lambda a, v: ops.scatter_add(a, (slice(1, 3), 0), v),
        lambda a, v: a + torch.nn.functional.pad(v.unsqueeze(1), (0, 1, 1, 0)),
        (((3, 2), (2,)),),
        "slice",
        promotes=False,
    ),
    bad=(
        Bad(lambda t: ops.scatter_add(t(ones(3)), [0, 3], t(ones(2))), ShapeError),
        Bad(lambda t: ops.scatter_add(t(ones(3)), [0, 1], t(ones(3))), ShapeError),
        Bad(lambda t: ops.scatter_add(t(ones(3)), [0, 1], 1.0), ShapeError),
        Bad(lambda t: ops.scatter_add(np.arange(3), [0, 1], t(ones(2))), DTypeError),
    ),
)

# -- softmax --------------------------------------------------------------------------------------


def normalised(name: str) -> None:
    op = getattr(ops, name)
    entry(
        name,
        Use(op, lambda a: getattr(a, name)(-1), (((3,),), ((2, 3),), ((2, 3, 4),), ((0, 3),))),
        Use(lambda a: op(a, axis=0), lambda a: getattr(a, name)(0), (((3, 2),),), "first"),
        bad=(
            Bad(lambda t: op(t(ones((2, 3))), 2), ShapeError),
            Bad(lambda t: op(t(ones((2, 0)))), ShapeError),
            Bad(lambda t: op(t(ones(()))), ShapeError),
            Bad(lambda t: op("three"), DTypeError),
        ),
    )


normalised("softmax")
normalised("log_softmax")
