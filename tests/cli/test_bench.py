"""tinyseq bench: what is timed computes the same, and what does not run is named."""

import numpy as np
import pytest

from tinyseq.bench import CELLS, Workload, compete, ours, peers, short
from tinyseq.bench.race import Race, check_same, take_turns
from tinyseq.bench.steps import STEPS

SMALL = [Workload(cell, 3, 2, 4) for cell in CELLS]


def test_the_verb_prints_a_line_for_every_contender(run, monkeypatch):
    monkeypatch.setattr(short, "WORKLOADS", SMALL[:1] + SMALL[-1:])
    code, out, err = run("bench", "--seconds", 0.01)
    assert (code, err) == (0, [])
    titles = [line for line in out if line in map(str, SMALL)]
    assert titles == [str(SMALL[0]), str(SMALL[-1])]
    for name in (*short.OWN, short.LOOP, short.SCAN):
        assert sum(line.startswith(f"  {name:28}") for line in out) == 2, name
    assert sum(line.startswith(f"  {short.VENDOR:28}") for line in out) == 1
    compiled = [line.split() for line in out if line.startswith(f"  {short.COMPILED:28}")]
    assert all(float(words[2]) > 0 for words in compiled)


@pytest.mark.parametrize("workload", SMALL, ids=str)
def test_compiled_and_unrolled_give_the_same_gradients(workload):
    race = compete(workload, {"unrolled": ours.unrolled(), "compiled": ours.compiled()}, 0.01)
    assert race.missing == {} and set(race.seconds) == {"unrolled", "compiled"}


@pytest.mark.oracle("torch")
@pytest.mark.parametrize("workload", SMALL, ids=str)
def test_the_steps_of_the_other_libraries_are_the_cells(workload):
    contenders = {"tinyseq": ours.unrolled(), "loop": peers.torch_loop()}
    contenders["hoisted"] = peers.torch_loop(hoisted=True)
    if workload.cell in peers.LAYERS:
        contenders["layer"] = peers.torch_nn
    race = compete(workload, contenders, 0.01)
    assert race.missing == {} and list(race.seconds) == list(contenders)
    assert STEPS.keys() == CELLS.keys()


@pytest.mark.oracle("jax")
@pytest.mark.parametrize("workload", SMALL, ids=str)
def test_a_scan_over_the_steps_is_the_cell(workload):
    contenders = {"tinyseq": ours.unrolled(), "scan": peers.jax_scan()}
    contenders["hoisted"] = peers.jax_scan(hoisted=True)
    race = compete(workload, contenders, 0.01)
    assert race.missing == {} and list(race.seconds) == list(contenders)


def gives(**gradients):
    return lambda workload: lambda: {name: np.array(g) for name, g in gradients.items()}


def test_what_computes_something_else_is_not_timed():
    with pytest.raises(AssertionError, match="b, other: the gradient by W is off by 1.0e-01"):
        compete("b", {"one": gives(W=[1.0, 10.0]), "other": gives(W=[2.0, 10.0])}, 0.01)
    with pytest.raises(AssertionError, match="other: gradients by V"):
        compete("b", {"one": gives(W=[1.0]), "other": gives(V=[1.0])}, 0.01)
    with pytest.raises(AssertionError):  # a NaN agrees with nothing
        check_same("b", {"W": np.array([np.nan])}, {"W": np.array([1.0])})


def test_what_cannot_run_is_named_with_its_reason():
    def absent(workload):
        import no_such_library  # noqa: F401

    def broken(workload):
        raise RuntimeError("no compiler\nlong explanation")

    race = compete("b", {"absent": absent, "broken": broken, "runs": gives(W=[1.0])}, 0.01)
    assert race.missing == {
        "absent": "not installed: no_such_library",
        "broken": "RuntimeError: no compiler",
    }
    assert race.ratio("runs", "absent") is None and race.ratio("runs", "runs") == 1
    lines = short.short_table(race).splitlines()
    assert lines[0] == "b" and any("broken" in line and "no compiler" in line for line in lines)


def test_contenders_take_turns_and_slow_ones_fewer(monkeypatch):
    clock, order = [0.0], []
    monkeypatch.setattr("tinyseq.bench.race.perf_counter", lambda: clock[0])

    def takes(name, seconds):
        def run():
            order.append(name)
            clock[0] += seconds

        return run

    times = take_turns({"quick": takes("quick", 0.05), "slow": takes("slow", 1.0)}, 2.0)
    assert order[:6] == ["quick", "slow"] * 3  # to see how long they take, and two rounds
    assert len(times["slow"]) == 3 and 19 <= len(times["quick"]) <= 22
    assert times["quick"] == pytest.approx([0.05] * len(times["quick"]))


def test_medians_and_quartiles():
    race = Race("b", {"one": [0.004, 0.001, 0.002, 0.003, 0.1], "other": [0.006]})
    assert race.median("one") == 0.003 and race.ratio("one", "other") == 0.5
    assert race.spread("one") == "3 (2 to 4)"
