"""A small language model on a small text, and a trainer for it."""

import numpy as np
import pytest

from tinyseq.data import TextBatches
from tinyseq.models import LanguageModel
from tinyseq.optim import Adam
from tinyseq.train import Trainer

TEXT = np.array([2, 0, 1, 3, 1, 0, 4] * 40)


@pytest.fixture
def make_trainer(tmp_path):
    """A trainer of a model with 5 symbols; an epoch has 14 batches of at most 5 steps."""

    def make(folder="run", model=None, text=TEXT, lr=0.01, **arguments):
        model = model or LanguageModel(5, 6, seed=0)
        return Trainer(
            model,
            Adam(model.parameters(), lr),
            arguments.pop("batches", None) or TextBatches(text, 4, 5),
            folder=folder and tmp_path / folder,
            **arguments,
        )

    return make


@pytest.fixture
def held_out():
    """Text for evaluations."""
    return TextBatches(TEXT[:100], 3, 10)
