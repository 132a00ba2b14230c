"""Every error that tinyseq raises on purpose.

Each derives from :class:`TinyseqError` and from the built-in class that a Python user would expect,
so ``except ValueError`` keeps working. A message says what was wrong, where, and what to do.
"""


class TinyseqError(Exception):
    """The base of all errors that tinyseq raises on purpose."""


class ShapeError(TinyseqError, ValueError):
    """Arrays whose shapes do not fit together."""


class DTypeError(TinyseqError, TypeError):
    """A value of the wrong type: integers where a gradient is asked for, a list for an array."""


class BackendError(TinyseqError, RuntimeError):
    """Arrays of two libraries in one operation, or a GPU that is not there."""


class GraphError(TinyseqError, RuntimeError):
    """A graph used in a way that cannot give a right number: stale, freed, or never recorded."""


class StructureError(TinyseqError, TypeError):
    """A nested state or input whose structure is not the one expected."""


class FoldError(TinyseqError, ValueError):
    """Time steps that differ, so that no circuit describes them all."""


class DrawError(TinyseqError, RuntimeError):
    """A picture that cannot be made: no Graphviz, too many nodes, an unknown format."""


class CompileError(TinyseqError, ValueError):
    """A step that cannot be compiled."""


class CheckpointError(TinyseqError, ValueError):
    """A checkpoint that is damaged, or that belongs to another model."""


class DataError(TinyseqError, ValueError):
    """Input data that cannot be used: an unknown character, an empty text, bad lengths, ..."""


class ConfigError(TinyseqError, ValueError):
    """An argument outside its range, or an unknown name of a variant."""


class NonFiniteError(TinyseqError, FloatingPointError):
    """A NaN or an infinity in a loss or a gradient, or found by ``detect_nonfinite``."""


class GradientError(TinyseqError, AssertionError):
    """A derivative that disagrees with central differences."""
