"""From one step, written literally, to a loop as fast as one tuned by hand."""

from tinyseq.compile.compiled import Compiled, compile

__all__ = ["Compiled", "compile"]
