"""Nested states: leaves, names, map, and how they are told apart."""

from collections import namedtuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyseq import structure
from tinyseq.errors import StructureError

LSTM = namedtuple("LSTM", "h c")

structures = st.recursive(
    st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
        | st.tuples(inner, inner).map(lambda pair: LSTM(*pair))
    ),
    max_leaves=8,
)


@given(structures)
def test_map_keeps_the_structure_and_the_order(value: Any):
    found: list[Any] = []

    def visit(a: Any) -> Any:
        found.append(a)
        return a

    assert structure.map(visit, value) == value
    assert type(structure.map(visit, value)) is type(value)
    assert found[: len(found) // 2] == structure.leaves(value)


@given(structures)
def test_there_is_a_name_for_every_leaf(value: Any):
    names = structure.names(value, "h")
    assert len(names) == len(structure.leaves(value))
    assert all(isinstance(name, str) and name for name in names)


@given(structures, structures)
def test_alike_is_to_have_the_same_skeleton(a: Any, b: Any):
    assert structure.alike(a, a)
    assert structure.alike(a, b) == (structure.skeleton(a) == structure.skeleton(b))


@pytest.mark.parametrize(
    "value, names",
    [
        (0, ["h"]),
        (LSTM(0, 0), ["h", "c"]),
        ((LSTM(0, 0), LSTM(0, 0)), ["h1", "c1", "h2", "c2"]),
        ((0, 0), ["h1", "h2"]),
        ([0, (0, 0)], ["h1", "h21", "h22"]),
        ({"a": 0, "b": (0, 0)}, ["a", "b1", "b2"]),
        ((), []),
    ],
)
def test_names(value: Any, names: list[str]):
    assert structure.names(value, "h") == names


def test_map_goes_over_several_structures_of_one_kind():
    assert structure.map(lambda a, b: a + b, LSTM(1, (2,)), LSTM(3, (4,))) == LSTM(4, (6,))
    with pytest.raises(StructureError, match=r"state: LSTM\(h=·, c=·\) here, but \(·, ·\) there"):
        structure.map(lambda a, b: a, LSTM(1, 2), (1, 2), what="state")


@pytest.mark.parametrize(
    "value, text",
    [
        (1, "·"),
        (None, "None"),
        (LSTM(1, None), "LSTM(h=·, c=None)"),
        ({"a": [1, (2,)]}, "{a: [·, (·)]}"),
    ],
)
def test_a_skeleton_is_readable(value: Any, text: str):
    assert structure.skeleton(value) == text
