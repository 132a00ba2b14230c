"""The threads of a launch, in step: what ``cuda_c.py`` makes of the parts of a kernel's text.

A value is an array with an element for each thread that is there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TYPES = {"bool": np.bool_, "int": np.int32, "unsigned": np.uint32, "long long": np.int64,
         "float": np.float32, "double": np.float64}  # fmt: skip
RANKS = [np.dtype(t) for t in TYPES.values()]
INT, FLOAT, DOUBLE = np.dtype(np.int32), np.dtype(np.float32), np.dtype(np.float64)
FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "fabs": np.abs, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p,
    "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "pow": np.power,
}  # fmt: skip


class RaceError(AssertionError):
    """Threads of one launch get into each other's way."""


@dataclass
class Threads:
    """Those threads of a launch that are where the text is, by number, and what all know."""

    launch: "Launch"
    active: np.ndarray
    names: dict[str, np.ndarray]

    def read(self, name: str) -> np.ndarray:
        return self.names[name][self.active]

    def only(self, chosen: np.ndarray) -> "Threads":
        return Threads(self.launch, self.active[chosen], self.names)


Expression = Callable[[Threads], np.ndarray]
Statement = Callable[[Threads], None]


@dataclass
class Launch:
    """One launch: its arrays, and who has read and written what."""

    arrays: dict[str, np.ndarray]
    constant: set[str]
    reads: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    writes: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def place(self, name: str, index: np.ndarray, threads: np.ndarray, log: Any) -> np.ndarray:
        array = self.arrays[name]
        if index.dtype.kind not in "iu":
            raise TypeError(f"{name} is indexed by {index.dtype}")
        if index.size and not 0 <= int(index.min()) <= int(index.max()) < array.size:
            raise IndexError(f"{name}[{index.min()} to {index.max()}] of {array.size} elements")
        log.append((array.ctypes.data + index.astype(np.int64) * array.itemsize, threads))
        return index

    def check_races(self) -> None:
        if not self.writes:
            return
        where, who = (np.concatenate(parts) for parts in zip(*self.writes, strict=True))
        order = np.argsort(where, kind="stable")
        where, who = where[order], who[order]
        if (where[1:] == where[:-1]).any():
            raise RaceError("an element is written twice")
        for read, reader in self.reads:
            found = np.minimum(np.searchsorted(where, read), where.size - 1)
            if ((where[found] == read) & (who[found] != reader)).any():
                raise RaceError("a thread reads what another one writes")


@dataclass
class Function:
    """A kernel: its parameters as (type, is an array, is constant, name), and its statements."""

    name: str
    parameters: list[tuple[str, bool, bool, str]]
    body: list[Statement]

    def launch(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
        """Run all threads; arrays are given as flat NumPy arrays, numbers as Python's."""
        threads = grid[0] * block[0]
        names = {
            "blockIdx": np.repeat(np.arange(grid[0], dtype=np.uint32), block[0]),
            "blockDim": np.full(threads, block[0], np.uint32),
            "threadIdx": np.tile(np.arange(block[0], dtype=np.uint32), grid[0]),
        }
        arrays, constant = {}, set()
        for (kind, is_array, is_constant, name), value in zip(self.parameters, args, strict=True):
            if is_array:
                arrays[name] = value
                constant |= {name} if is_constant else set()
            else:
                names[name] = np.full(threads, value, TYPES[kind])
        launch = Launch(arrays, constant)
        whole = Threads(launch, np.arange(threads), names)
        try:
            with np.errstate(all="ignore"):
                for statement in self.body:
                    statement(whole)
            launch.check_races()
        except Exception as error:
            error.add_note(f"in the kernel {self.name}")
            raise


def literal(kind: str, text: str) -> Expression:
    if kind == "real":
        value: Any = np.float32(text[:-1]) if text.endswith("f") else np.float64(text)
    elif kind in ("whole", "hex"):
        number = int(text.removesuffix("LL"), 0)
        value = np.int64(number) if text.endswith("LL") else np.int32(number)
    else:
        raise SyntaxError(f"{text!r} where a value is expected")
    return lambda threads: np.full(threads.active.size, value)


def negative(operand: Expression) -> Expression:
    return lambda threads: -_signed(operand(threads))


def _signed(a: np.ndarray) -> np.ndarray:
    return a.astype(INT) if a.dtype.kind == "b" else a


def _common(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two operands of one type, by the rules of C; not if one would turn from int to float."""
    a, b = _signed(a), _signed(b)
    if (a.dtype.kind == "f") != (b.dtype.kind == "f") or (
        a.dtype.kind == "f" and a.dtype != b.dtype
    ):
        raise TypeError(f"{a.dtype} and {b.dtype} in one operation")
    dtype = max(a.dtype, b.dtype, key=RANKS.index)
    return a.astype(dtype), b.astype(dtype)


def _whole(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Arithmetic of integers, which must fit."""
    p, q = a.astype(object), b.astype(object)
    if name in "/%":
        if (q == 0).any():
            raise ZeroDivisionError("an integer is divided by zero")
        quotient = np.abs(p) // np.abs(q) * np.where((p < 0) == (q < 0), 1, -1)
        result = quotient if name == "/" else p - quotient * q
    else:
        result = {"+": p + q, "-": p - q, "*": p * q}[name]
    limits = np.iinfo(a.dtype)
    if result.size and not limits.min <= min(result) <= max(result) <= limits.max:
        raise OverflowError(f"{name} leaves {a.dtype}")
    return result.astype(a.dtype)


REAL = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
COMPARE = {"<": np.less, ">": np.greater, "<=": np.less_equal, ">=": np.greater_equal,
           "==": np.equal, "!=": np.not_equal}  # fmt: skip


def binary(name: str, left: Expression, right: Expression) -> Expression:
    def logical(threads: Threads) -> np.ndarray:
        result = _truth(left(threads)).copy()
        rest = result if name == "&&" else ~result  # only where the left side does not decide
        result[rest] = _truth(right(threads.only(rest)))
        return result

    def arithmetic(threads: Threads) -> np.ndarray:
        a, b = _common(left(threads), right(threads))
        if name in COMPARE:
            return COMPARE[name](a, b)
        return REAL[name](a, b) if a.dtype.kind == "f" else _whole(name, a, b)

    return logical if name in ("||", "&&") else arithmetic


def _truth(a: np.ndarray) -> np.ndarray:
    if a.dtype.kind != "b":
        raise TypeError(f"a condition of {a.dtype}")
    return a


def choice(condition: Expression, first: Expression, second: Expression) -> Expression:
    def choose(threads: Threads) -> np.ndarray:
        chosen = _truth(condition(threads))
        a, b = first(threads.only(chosen)), second(threads.only(~chosen))
        if a.dtype != b.dtype:
            raise TypeError(f"a choice between {a.dtype} and {b.dtype}")
        result = np.empty(chosen.size, a.dtype)
        result[chosen], result[~chosen] = a, b
        return result

    return choose


def call(name: str, operands: list[Expression]) -> Expression:
    views = {"__int_as_float": (INT, FLOAT), "__longlong_as_double": (RANKS[3], DOUBLE)}

    def call(threads: Threads) -> np.ndarray:
        values = [operand(threads) for operand in operands]
        if name in views:
            given, result = views[name]
            assert values[0].dtype == given
            return values[0].view(result)
        wanted = FLOAT if name.endswith("f") else DOUBLE
        if any(v.dtype != wanted for v in values):
            raise TypeError(f"{name} of {[str(v.dtype) for v in values]}")
        return FUNCTIONS[name.removesuffix("f")](*values)

    return call


def load(name: str, index: Expression) -> Expression:
    def load(threads: Threads) -> np.ndarray:
        launch = threads.launch
        return launch.arrays[name][launch.place(name, index(threads), threads.active, launch.reads)]

    return load


def store(name: str, index: Expression, value: Expression) -> Statement:
    def store(threads: Threads) -> None:
        launch, values = threads.launch, value(threads)
        if name in launch.constant:
            raise TypeError(f"{name} is const")
        if values.dtype != launch.arrays[name].dtype:
            raise TypeError(f"{values.dtype} is stored in {name} of {launch.arrays[name].dtype}")
        at = launch.place(name, index(threads), threads.active, launch.writes)
        launch.arrays[name][at] = values

    return store


def declaration(name: str, dtype: np.dtype, value: Expression) -> Statement:
    def declare(threads: Threads) -> None:
        values = value(threads)
        if values.dtype != dtype:
            if "f" in (values.dtype.kind, dtype.kind) or dtype.kind == "b":
                raise TypeError(f"{name} of {dtype} is made from {values.dtype}")
            limits = np.iinfo(dtype)
            if (
                values.size
                and not limits.min <= int(values.min()) <= int(values.max()) <= limits.max
            ):
                raise OverflowError(f"{name} leaves {dtype}")
        everywhere = np.zeros(threads.names["blockIdx"].size, dtype)
        everywhere[threads.active] = values
        threads.names[name] = everywhere

    return declare


def branch(condition: Expression, body: list[Statement]) -> Statement:
    def branch(threads: Threads) -> None:
        inside = threads.only(_truth(condition(threads)))
        inside.names = dict(threads.names)  # what is declared inside ends there
        for statement in body:
            statement(inside)

    return branch
