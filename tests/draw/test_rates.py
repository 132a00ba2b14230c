"""Recurrences at different rates, and inside each other: their circuits and their columns."""

from fractions import Fraction
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

import tinyseq as ts
from draw.runs import H, I, N
from tinyseq import draw, nn, ops
from tinyseq.draw import contract, extract, fold
from tinyseq.errors import FoldError
from tinyseq.recurrence import unroll

EVERY = 4


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def cells(back: bool = False) -> tuple[nn.ElmanCell, nn.ElmanCell]:
    return nn.ElmanCell(I + H * back, H, seed=0), nn.ElmanCell(H, H, seed=1)


def hierarchy(steps: int = 12, stamps: bool = False, back: bool = True):
    """A slow s that reads every fourth h, in steps 1, 2, 3 or 4, 8, 12; h may read the last s."""
    fast, slow = cells(back)
    h, s, found = np.zeros((N, H)), np.zeros((N, H)), []
    for t in range(1, steps + 1):
        with ts.scope("step", t):
            x = ts.label(numbers(N, I), "x")
            h = ts.label(fast(ops.concatenate([x, s], -1) if back else x, h)[0], "h")
        if t % EVERY == 0:
            with ts.scope("slow", t if stamps else t // EVERY):
                s = ts.label(slow(h, s)[0], "s")
                found.append(s)
    return found


def pyramid(steps: int = 8):
    """A layer that reads pairs of states of the one below."""
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), numbers(steps, N, I), as_list=True)
    pairs = [ops.concatenate(pair, -1) for pair in zip(hs[::2], hs[1::2], strict=True)]
    upper = nn.ElmanCell(2 * H, H, seed=1)
    return unroll(upper, pairs, names={"h": "g", "x": "p"}, as_list=True)[0]


def held(steps: int = 9, every: int = 3):
    """A layer that reads every state of the slow one below for some steps."""
    zs = numbers(steps // every, N, I)
    ss, _ = unroll(nn.ElmanCell(I, H, seed=0), zs, names={"h": "s", "x": "z"}, as_list=True)
    read = [ss[t // every] for t in range(steps)]
    return unroll(nn.ElmanCell(H, H, seed=1), read, as_list=True)[0]


def nested(rounds: int = 3, steps: int = EVERY, carry: bool = True):
    """A recurrence inside the steps of a slow one, which begins anew or goes on each time."""
    fast, slow = cells()
    s, h, found = np.zeros((N, H)), None, []
    for k in range(1, rounds + 1):
        with ts.scope("step", k):
            _, h = unroll(fast, numbers(steps, N, I), h if carry else None)
            s = ts.label(slow(h, s)[0], "s")
            found.append(s)
    return found


def two_lengths(short: int = 4, long: int = 7):
    a, _ = unroll(nn.ElmanCell(I, H, seed=0), numbers(short, N, I))
    names = {"h": "s", "x": "z"}
    b, _ = unroll(nn.ElmanCell(I, H, seed=1), numbers(long, N, I), names=names)
    return ts.label(ops.tanh(a[-1] + b[-1]), "o")


FAST = {("x", "U_h", "h", 0, 1), ("h", "W_h", "h", 1, 1)}
SLOW = {("h", "U_s", "s", 0, EVERY), ("s", "W_s", "s", 1, 1)}
CIRCUITS = {
    "hierarchy": (hierarchy, FAST | SLOW | {("s", "U_h", "h", 1, Fraction(1, EVERY))}),
    "by the time of the fast one": (
        lambda: hierarchy(stamps=True),
        FAST | SLOW | {("s", "U_h", "h", 1, Fraction(1, EVERY))},
    ),
    "upwards": (lambda: hierarchy(back=False), FAST | SLOW),
    "an unfinished round": (lambda: hierarchy(15, back=False), FAST | SLOW),
    "nested": (nested, FAST | SLOW),
    "nested, anew": (lambda: nested(carry=False), FAST | SLOW),
    "pyramid": (
        pyramid,
        {("x", "U_h", "h", 0, 1), ("h", "W_h", "h", 1, 1), ("h", "", "p", 0, 2)}
        | {("p", "U_g", "g", 0, 1), ("g", "W_g", "g", 1, 1)},
    ),
    "held": (
        held,
        {("z", "U_s", "s", 0, 1), ("s", "W_s", "s", 1, 1), ("h", "W_h", "h", 1, 1)}
        | {("s", "U_h", "h", 0, Fraction(1, 3))},
    ),
    "two lengths": (
        two_lengths,
        {("x", "U_h", "h", 0, 1), ("h", "W_h", "h", 1, 1), ("z", "U_s", "s", 0, 1)}
        | {("s", "W_s", "s", 1, 1), ("h", "", "o", None, 1), ("s", "", "o", None, 1)},
    ),
}


@pytest.mark.parametrize("name", CIRCUITS)
def test_every_loop_has_its_delay_in_its_own_steps(name):
    run, expected = CIRCUITS[name]
    graph = contract(fold(extract(run())))
    assert {(e.source, ",".join(e.parameters), e.target, e.delay, e.rate) for e in graph.edges} == (
        expected
    )


@pytest.mark.parametrize("name", CIRCUITS)
def test_every_circle_of_a_circuit_passes_a_delay(name):
    graph = contract(fold(extract(CIRCUITS[name][0]())))
    at_once = nx.DiGraph((e.source, e.target) for e in graph.edges if e.delay == 0)
    assert nx.is_directed_acyclic_graph(at_once)


@pytest.mark.parametrize("rounds", [2, 3, 5])
def test_circuits_do_not_depend_on_how_long_the_run_was(rounds):
    runs = (lambda n: hierarchy(EVERY * n), nested, lambda n: held(3 * n), lambda n: pyramid(2 * n))
    for run in runs:
        one, other = (contract(fold(extract(run(n)))) for n in (rounds, 4))
        assert set(one.edges) == set(other.edges)


def columns(picture) -> dict[str, float]:
    return {disc.vertex.id: disc.x for disc in picture.scene.discs}


@pytest.mark.parametrize("stamps", [False, True])
def test_a_slow_step_stands_above_the_fast_one_that_it_waits_for(stamps):
    x = columns(draw.unrolled(hierarchy(stamps=stamps)))
    for k in (1, 2, 3):
        assert x[f"s({EVERY * k if stamps else k})"] == x[f"h({EVERY * k})"]
    fast = [x[f"h({t})"] for t in range(1, 13)]
    assert fast == sorted(fast) and len({round(b - a, 6) for a, b in pairwise(fast)}) == 1


def test_a_state_that_is_held_stands_where_it_is_first_read():
    x = columns(draw.unrolled(held()))
    assert [x[f"s({k})"] for k in (1, 2, 3)] == [x[f"h({t})"] for t in (1, 4, 7)]


@pytest.mark.parametrize("carry", [False, True])
def test_inner_steps_stand_in_the_order_of_running(carry):
    picture = draw.unrolled(nested(carry=carry))
    x = columns(picture)
    inner = [x[f"h({k},{t})"] for k in (1, 2, 3) for t in range(1, EVERY + 1)]
    assert inner == sorted(inner) and len(set(inner)) == len(inner)
    assert [x[f"s({k})"] for k in (1, 2, 3)] == [x[f"h({k},{EVERY})"] for k in (1, 2, 3)]
    ends = {(e.source, e.target) for e in picture.graph.edges}
    assert ((f"h(1,{EVERY})", "h(2,1)") in ends) == carry


def test_pairs_stand_with_what_reads_them():
    x = columns(draw.unrolled(pyramid()))
    for k in (1, 2, 3, 4):
        assert x[f"p({k})"] == x[f"g({k})"] == x[f"h({2 * k})"]


def test_recurrences_that_do_not_read_each_other_share_their_columns():
    picture = draw.unrolled(two_lengths())
    x, y = columns(picture), {disc.vertex.label: disc.y for disc in picture.scene.discs}
    assert all(x[f"h({t})"] == x[f"s({t})"] for t in (1, 2, 3, 4))
    assert y["x"] < y["h"] < y["z"] < y["s"] < y["o"]  # every input below its own state


@pytest.mark.parametrize("name", CIRCUITS)
@pytest.mark.parametrize("view", [draw.circuit, draw.unrolled])
@pytest.mark.parametrize("detail", ["variables", "modules", "ops"])
def test_they_are_drawn_at_every_level(name, view, detail):
    picture = view(CIRCUITS[name][0](), detail=detail)
    assert len({(d.x, d.y) for d in picture.scene.discs}) == len(picture.scene.discs) > 2


def test_the_rate_is_written_on_the_edge():
    wires = draw.circuit(hierarchy()).scene.wires
    written = {w.edge.source + w.edge.target: w.label.text.plain for w in wires if w.label}
    assert written["hs"] == "U_s ↓4".replace("_", "") and written["sh"] == "Uh ↑4"
    assert "↓" not in written["hh"] and "↑" not in written["ss"]


def test_a_slow_step_that_reads_another_one_now_and_then_is_refused():
    """In the third round it reads one h too early: no rate describes that."""
    fast, slow = cells()
    hs, _ = unroll(fast, numbers(16, N, I), as_list=True)
    read = [hs[t - 1] for t in (4, 8, 11, 16)]
    ss, _ = unroll(slow, read, names={"h": "s"}, as_list=True)
    with pytest.raises(FoldError, match="the steps are not alike"):
        draw.circuit(ss)
    assert draw.unrolled(ss).graph.vertices
