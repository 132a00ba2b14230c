"""fused_products: the product of two matrices, inside a compiled loop.

    tiles = packed(b)                   # once, before the loop
    product(a, tiles, out)              # out = a b, in every step

A BLAS arranges both matrices anew in every call, which for the small products of a recurrent step
takes as long as the product, and it cannot be called without leaving the loop. Here the matrix that
stays the same, the weights, is arranged once: in tiles as wide as two vector registers, one behind
the other. A tile times a few rows is a sum over k of

    out[row, tile] += a[row, k] b[k, tile]

held in registers from the first k to the last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from tinyseq.compile.fused.fused_math import HOW, kept

_LONG = bool(binding.get_host_cpu_features().get("avx512f"))
REGISTER = 64 if _LONG else 32  # bytes that one instruction works on
REGISTERS = 2  # across a tile
BLOCK = 64  # rows that are multiplied with all tiles before the next ones, to stay in the cache
ROWS = 8 if _LONG else 4  # down a tile: with the above, what is summed up fits into the registers


def packed(matrix: np.ndarray) -> np.ndarray:
    """A matrix (K, J) as tiles (J / width, K, width), the last one filled up with zeros."""
    matrix = _readable(matrix)
    width = REGISTERS * REGISTER // matrix.itemsize
    tiles = np.empty((-(-matrix.shape[1] // width), matrix.shape[0], width), matrix.dtype)
    _pack(matrix, tiles)
    return tiles


def dot(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """The product of two arrays, as ``np.dot`` has it, for all steps at once."""
    kinds = {a.dtype, b.dtype} if out is None else {a.dtype, b.dtype, out.dtype}
    if a.ndim != 2 or b.ndim != 2 or len(kinds) > 1 or a.dtype not in (np.float32, np.float64):
        return np.dot(a, b, out)
    if out is None:
        out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    product(_readable(a), packed(b), out)
    return out


def _readable(matrix: np.ndarray) -> np.ndarray:
    """The matrix in one of the two forms for which a product is compiled, read-only."""
    if not (matrix.flags.c_contiguous or matrix.flags.f_contiguous):
        matrix = np.ascontiguousarray(matrix)
    matrix = matrix.view()
    matrix.flags.writeable = False
    return matrix


@kept
def _pack(matrix: Any, tiles: Any) -> None:
    width, columns = tiles.shape[2], matrix.shape[1]
    for tile in range(tiles.shape[0]):
        start = tile * width
        for k in range(matrix.shape[0]):
            for j in range(min(width, columns - start)):
                tiles[tile, k, j] = matrix[k, start + j]
            for j in range(columns - start, width):
                tiles[tile, k, j] = 0


@kept
def product(a: Any, tiles: Any, out: Any) -> None:
    """out = a b, with b as tiles: a (N, K), tiles (J / width, K, width), out (N, J)."""
    columns, width = out.shape[1], tiles.shape[2]
    whole = columns // width
    for start in range(0, a.shape[0], BLOCK):
        end = min(start + BLOCK, a.shape[0])
        for tile in range(whole):
            _times_tile(a, start, end, tiles, tile, out, tile * width)
    if whole < tiles.shape[0]:  # the last tile is wider than what is left of out
        edge = np.empty((a.shape[0], width), out.dtype)
        _times_tile(a, 0, a.shape[0], tiles, whole, edge, 0)
        out[:, whole * width :] = edge[:, : columns - whole * width]


@njit(**HOW)
def _times_tile(a: Any, row: int, end: int, tiles: Any, tile: int, out: Any, column: int) -> None:
    """A tile's width of columns of out, from ``column`` on, in the rows from ``row`` to ``end``."""
    while row + ROWS <= end:
        _rows(a, row, tiles, tile, out, column)
        row += ROWS
    while row + 2 <= end:
        _two_rows(a, row, tiles, tile, out, column)
        row += 2
    if row < end:
        _one_row(a, row, tiles, tile, out, column)


def _kernel(rows: int) -> Any:
    """out[row : row + rows, column : column + width] = a[row : row + rows] times one tile."""

    @intrinsic
    def kernel(typing: Any, a: Any, row: Any, tiles: Any, tile: Any, out: Any, column: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            left, right, result = (
                context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 2, 4)
            )
            number = context.get_data_type(tiles.dtype)
            size = tiles.dtype.bitwidth // 8
            vector = ir.VectorType(number, REGISTER // size)
            width = REGISTERS * REGISTER // size
            steps = builder.extract_value(right.shape, 1)

            def at(array: Any, *places: tuple[Any, Any]) -> Any:
                """The address of an element, from pairs (index, stride in bytes)."""
                offset = _whole(0)
                for index, stride in places:
                    offset = builder.add(offset, builder.mul(index, stride))
                base = builder.bitcast(array.data, ir.IntType(8).as_pointer())
                return builder.gep(base, [offset])

            def stride(array: Any, axis: int) -> Any:
                return builder.extract_value(array.strides, axis)

            zero = ir.Constant(vector, None)
            sums = [
                [cgutils.alloca_once_value(builder, zero) for _ in range(REGISTERS)]
                for _ in range(rows)
            ]
            with cgutils.for_range(builder, steps) as each:
                line = at(right, (args[3], stride(right, 0)), (each.index, _whole(width * size)))
                b = [_load(builder, line, vector, k * REGISTER, size) for k in range(REGISTERS)]
                for r in range(rows):
                    here = builder.add(args[1], _whole(r))
                    place = at(left, (here, stride(left, 0)), (each.index, stride(left, 1)))
                    factor = _spread(builder, _load(builder, place, number, 0, size), vector)
                    for k in range(REGISTERS):
                        term = builder.fmul(factor, b[k], flags=("contract",))
                        total = builder.fadd(builder.load(sums[r][k]), term, flags=("contract",))
                        builder.store(total, sums[r][k])
            for r in range(rows):
                here = builder.add(args[1], _whole(r))
                line = at(result, (here, stride(result, 0)), (args[5], _whole(size)))
                for k in range(REGISTERS):
                    place = builder.gep(line, [_whole(k * REGISTER)])
                    place = builder.bitcast(place, vector.as_pointer())
                    builder.store(builder.load(sums[r][k]), place, align=size)
            return context.get_dummy_value()

        whole = types.intp
        return types.void(a, whole, tiles, whole, out, whole), codegen

    return kernel


def _whole(number: int) -> Any:
    return ir.Constant(ir.IntType(64), number)


def _load(builder: Any, address: Any, what: Any, offset: int, align: int) -> Any:
    place = builder.bitcast(builder.gep(address, [_whole(offset)]), what.as_pointer())
    return builder.load(place, align=align)


def _spread(builder: Any, number: Any, vector: Any) -> Any:
    """A vector of one number."""
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    same = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(first, nothing, same)


_rows, _two_rows, _one_row = _kernel(ROWS), _kernel(2), _kernel(1)
