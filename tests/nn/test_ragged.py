"""Every cell over padded batches: what the padding, its length, and other sequences change."""

from typing import Any

import numpy as np
import pytest

from nn.checks import arrays, assert_close, assert_same, every_cell, gradients, of_floats, raw, run
from nn.registry import Case, Entry, case, each

LENGTHS = [4, 1, 0, 3, 2]


def part(c: Case, n: int, length: int) -> Case:
    """One sequence alone, without its padding."""
    inputs = None if c.inputs is None else each(lambda a: raw(a)[:length, n : n + 1], c.inputs)
    state = each(lambda a: raw(a)[n : n + 1], c.state)
    return Case(c.cell, inputs, state, length)


def spoil(c: Case, lengths: list[int], by: Any) -> None:
    """Put something else into the padding."""

    def spoiled(a: Any) -> Any:
        a = a.copy()
        for n, length in enumerate(lengths):
            a[length:, n] = by if a.dtype.kind == "f" else -1000
        return a

    c.inputs = None if c.inputs is None else each(spoiled, c.inputs)


@every_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_a_sequence_in_a_padded_batch_is_the_sequence_alone(entry: Entry, reverse: bool):
    """Up to rounding: BLAS adds up one row in another order than several. In the recurrence itself
    nothing differs, see ``test_without_blas_a_sequence_alone_is_the_same_to_the_bit``.
    """
    c = case(entry, steps=4, batch=5)
    ys, state = run(c, lengths=LENGTHS, reverse=reverse)
    for n, length in enumerate(LENGTHS):
        alone = part(c, n, length)
        y, last = run(alone, reverse=reverse)
        assert_close(
            [a[n : n + 1] for a in arrays(state)] + [a[:length, n : n + 1] for a in arrays(ys)],
            arrays(last) + arrays(y),
            within=1e-14,
        )
        assert not any(a[length:, n].any() for a in arrays(ys))


@every_cell
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("padding", [7.0, 1e300, np.inf, np.nan])
def test_what_is_in_the_padding_changes_no_bit(entry: Entry, reverse: bool, padding: float):
    plain, other = case(entry, 4, 5), case(entry, 4, 5)
    spoil(plain, LENGTHS, 0.0)
    spoil(other, LENGTHS, padding)
    results = []
    for c in (plain, other):
        of_floats(c)
        ys, state = run(c, lengths=LENGTHS, reverse=reverse)
        results.append([*arrays(ys, state), *gradients(c, ys, state)])
    assert_same(*results)


@every_cell
def test_the_other_sequences_of_a_batch_change_no_bit(entry: Entry):
    c, other = case(entry, 4, 5), case(entry, 4, 5, seed=1)
    other.cell = c.cell

    def mixed(theirs: Any, mine: Any, axis: int) -> Any:
        theirs = theirs.copy()
        row = (slice(None),) * axis + (3,)
        theirs[row] = mine[row]
        return theirs

    if c.inputs is not None:
        other.inputs = each(lambda a, b: mixed(a, b, axis=1), other.inputs, c.inputs)
    other.state = each(lambda a, b: mixed(a, b, axis=0), other.state, c.state)
    results = []
    for one, lengths in ((c, [4, 1, 0, 3, 2]), (other, [1, 2, 3, 3, 4])):
        ys, state = run(one, lengths=lengths)
        results.append([a[:, 3] for a in arrays(ys)] + [a[3] for a in arrays(state)])
    assert_same(*results)


@every_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_how_long_the_padding_is_changes_no_output(entry: Entry, reverse: bool):
    long = case(entry, 9, 5)
    short = Case(long.cell, long.inputs, long.state, 4)
    short.inputs = None if long.inputs is None else each(lambda a: a[:4], long.inputs)
    results = []
    for c in (short, long):
        of_floats(c)
        ys, state = run(c, lengths=LENGTHS, reverse=reverse)
        ys = each(lambda a: a[:4], ys)
        results.append((arrays(ys, state), gradients(c, ys, state)[: len(c.cell.parameters())]))
    assert_same(results[0][0], results[1][0])
    # The gradient of a weight is one product over all rows, whose order of summation depends on
    # their number.
    if results[0][1]:
        assert_close(results[0][1], results[1][1], within=1e-13)


@every_cell
def test_full_lengths_change_nothing(entry: Entry):
    c = case(entry, steps=3, batch=2)
    assert_same(arrays(*run(c, lengths=[3, 3])), arrays(*run(c)))
