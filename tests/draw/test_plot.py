"""Curves: what is plotted is what was given, and what a gradient is."""

import sys
from math import isnan

import numpy as np
import pytest

import tinyseq as ts
from draw.runs import H, I, N, bidirectional, by_hand, data, one_output, with_cell
from tinyseq import draw, nn, ops
from tinyseq.errors import DrawError
from tinyseq.recurrence import unroll


def lines(figure) -> dict[str, tuple[list, list]]:
    (axes,) = figure.axes
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines
    }


def test_loss_curve_plots_its_values_and_baselines():
    figure = draw.loss_curve({"training": [3.0, 2.0, 1.5], "held out": {2: 2.5}}, {"trigram": 2.2})
    found = lines(figure)
    assert found["training"] == ([1, 2, 3], [3.0, 2.0, 1.5])
    assert found["held out"] == ([2], [2.5])
    assert [2.2, 2.2] in [list(y) for _, y in found.values()]
    assert "trigram" in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("losses", [{}, {"training": []}, {"a": [1.0], "b": {}}])
def test_a_curve_without_values_is_refused(losses):
    with pytest.raises(DrawError, match="values"):
        draw.loss_curve(losses)


def test_gradient_flow_plots_the_norms_of_the_gradients():
    loss = one_output(12)
    found = lines(draw.gradient_flow(loss))
    drawn = draw.unrolled(loss, window="all", gradients=True).graph
    norms = [v.grad for v in drawn.vertices if v.label == "h"]
    assert found == {"h": (list(range(1, 13)), norms)}
    assert norms[0] < norms[-1] / 10  # it vanishes on the way back


def test_gradient_flow_shows_every_state_with_a_line_of_its_own():
    figure = draw.gradient_flow(with_cell(nn.LSTMCell)(6))
    assert list(lines(figure)) == ["h", "c"]
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len({colour for colour, _ in looks}) == len({style for _, style in looks}) == 2
    assert figure.axes[0].get_yscale() == "log"
    assert list(lines(draw.gradient_flow(bidirectional(6)))) == ["h", "g"]
    assert list(lines(draw.gradient_flow(by_hand(6), ["o", "h"]))) == ["o", "h"]


def test_gradient_flow_compares_runs():
    runs = {"Elman": with_cell(nn.ElmanCell)(6), "LSTM": with_cell(nn.LSTMCell)(6)}
    figure = draw.gradient_flow(runs)
    for run, loss in runs.items():
        alone = lines(draw.gradient_flow(loss))
        assert {f"{name}, {run}": line for name, line in alone.items()}.items() <= lines(
            figure
        ).items()
    look = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(look) == ["h, Elman", "h, LSTM", "c, LSTM"]
    assert look["h, Elman"].get_color() == look["h, LSTM"].get_color()
    assert look["h, Elman"].get_linestyle() != look["h, LSTM"].get_linestyle()


def test_few_points_are_marked():
    figure = draw.loss_curve({"a": [1.0], "b": [1.0] * 100})
    few, many = figure.axes[0].lines
    assert (few.get_marker(), many.get_marker()) == ("o", "None")


def test_a_gradient_of_zero_is_a_gap():
    hs, _ = unroll(nn.ElmanCell(I, H, seed=0), data(4)[0], as_list=True)
    early = ops.sum(hs[1]) + ops.sum(hs[3] * 0.0)
    _, norms = lines(draw.gradient_flow(early))["h"]
    assert [isnan(norm) for norm in norms] == [False, False, True, True]


def test_gradient_flow_names_what_there_is():
    with pytest.raises(DrawError, match="q.*h, o, L|q.*gradients by"):
        draw.gradient_flow(by_hand(3), ["q"])
    x = ts.label(ts.tensor(np.ones(N), requires_grad=True), "x")
    with pytest.raises(DrawError, match="any state"):
        draw.gradient_flow(ops.sum(x))


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_figures_are_saved_without_a_window(tmp_path, suffix):
    path = tmp_path / f"loss.{suffix}"
    draw.loss_curve({"training": [2.0, 1.0]}).savefig(path)
    assert path.stat().st_size > 1000
    assert "matplotlib.pyplot" not in sys.modules
