"""The progress bar."""

from __future__ import annotations

from math import log
from typing import Any

from tinyseq.train.batches import Batches


def progress_bar(
    batches: Batches, done: int, steps: int | None, epochs: int | None, shown: bool | None
) -> Any:
    """A tqdm bar of steps, with its end where one is known; by default only in a terminal."""
    from tqdm import tqdm

    length = getattr(batches, "__len__", None)
    ends = [] if steps is None else [steps]
    ends += [epochs * length()] if epochs is not None and length is not None else []
    return tqdm(
        total=min(ends, default=None),
        initial=done,
        unit="step",
        disable=None if shown is None else not shown,
    )


def loss_text(loss: float, in_bits: bool) -> str:
    """A mean loss in nats, for the bar."""
    return f"{loss / log(2):.3f} bits" if in_bits else f"loss {loss:.4g}"
