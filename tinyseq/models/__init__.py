"""Models: what the cells are put together to."""

from tinyseq.models.language_model import LanguageModel

__all__ = ["LanguageModel"]
