"""The tour: train a small language model, draw it, and leave a page that shows all of it."""

from tinyseq.tour.take import take_tour

__all__ = ["take_tour"]
