"""From one step, written literally, to a loop as fast as one tuned by hand.

The way of a step: ``step`` traces it, as a ``program``; ``simplify``, ``rewrite``, ``spread`` and
``columns`` make less of it, with the same numbers; ``schedule`` says what is done once, before, in
and after the loop; an ``emit_*`` writes that down, for NumPy (``writing``), Numba (``fused``) or a
GPU (``cuda``); and ``run`` keeps the loops and runs them. ``compiled`` is what the user holds.
"""

from tinyseq.compile.compiled import Compiled, compile

__all__ = ["Compiled", "compile"]
