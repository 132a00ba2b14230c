"""The tour: train a small language model, draw it, and leave a page that shows all of it."""

from tinyseq.tour.pictures import save_loss
from tinyseq.tour.take import ORDERS, take_tour

__all__ = ["ORDERS", "save_loss", "take_tour"]
