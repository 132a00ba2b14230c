"""plot: curves beside the graphs: how a loss falls, and how a gradient vanishes through time.

    draw.loss_curve({"training": losses}, baselines={"trigram": 2.5}).savefig("loss.svg")
    draw.gradient_flow(loss, ["h", "c"]).savefig("flow.png")
    draw.gradient_flow({"Elman": loss, "LSTM": other}).savefig("two.png")

They give a matplotlib Figure; no window is opened and no global state is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import Any

from tinyseq.draw.extract import extract
from tinyseq.draw.flow import flow
from tinyseq.draw.style import GREY, STATE_LINES
from tinyseq.errors import DrawError

# Lines differ in colour and in kind, for those who do not see the colour.
_KINDS = ("-", "--", "-.", ":")
_MARKED = 30  # of a curve of so few points, each is marked


def loss_curve(
    losses: Mapping[str, Sequence[float] | Mapping[int, float]],
    baselines: Mapping[str, float] | None = None,
    x_label: str = "updates",
    y_label: str = "loss",
) -> Any:
    """Loss against training time, with what other models reach as horizontal lines.

    Args:
        losses: for every curve its name, and values for updates 1, 2, 3 ..., or by update.
        baselines: the names and values of the horizontal lines.
        x_label, y_label: what the axes show.

    Raises:
        DrawError: no curves, or one without values.
    """
    if not losses or not all(len(values) for values in losses.values()):
        raise DrawError("loss_curve: a curve without values")
    figure, axes = _figure()
    for k, (name, values) in enumerate(losses.items()):
        pairs = values.items() if isinstance(values, Mapping) else enumerate(values, 1)
        marker = "o" if len(values) <= _MARKED else None
        points = zip(*pairs, strict=True)
        axes.plot(*points, label=name, marker=marker, markersize=3.5, **_look(k))
    for name, value in (baselines or {}).items():
        axes.axhline(value, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axes.annotate(name, (1, value), xytext=(4, 0), va="center", color=GREY, size=9, **place)
    axes.set(xlabel=x_label, ylabel=y_label)
    if len(losses) > 1:
        axes.legend(frameon=False)
    return figure


def gradient_flow(outputs: Any, variables: Iterable[str] | None = None) -> Any:
    """The norm of the loss's gradient by each state, against time, on a logarithmic scale.

    A gradient that vanishes on its way back falls to the left. Where the norm is zero (or was too
    small for the numbers used) the line stops.

    Args:
        outputs: the loss, a Tensor of one element, or several by name to compare:
            ``{"before": loss, "after": later_loss}``. Graphs and every ``.grad`` stay as they are.
        variables: which ones, by the names in the pictures; by default the states, those that a
            later step reads.

    Raises:
        DrawError: none of the variables has a gradient.
        GraphError: the graph was freed, or nothing was recorded.
    """
    runs = outputs if isinstance(outputs, Mapping) else {"": outputs}
    chosen = None if variables is None else list(variables)
    flows = {run: flow(extract(loss, gradients=True), chosen) for run, loss in runs.items()}
    figure, axes = _figure()
    for r, (run, norms) in enumerate(flows.items()):
        for k, (name, by_step) in enumerate(norms.items()):
            look = _look(k) if len(runs) == 1 else _look(k, r)
            points = list(by_step), [norm or nan for norm in by_step.values()]
            axes.plot(*points, label=f"{name}, {run}" if run else name, **look)
    axes.set(xlabel="step $t$", ylabel="norm of the gradient", yscale="log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    if len(axes.lines) > 1:
        axes.legend(frameon=False)
    return figure


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _look(colour: int, kind: int | None = None) -> dict[str, Any]:
    kind = colour if kind is None else kind
    return {
        "color": STATE_LINES[colour % len(STATE_LINES)],
        "linestyle": _KINDS[kind % len(_KINDS)],
        "linewidth": 1.5,
    }
