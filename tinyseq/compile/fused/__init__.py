"""What ``emit_numba`` is made of: operations of a step joined into loops of machine code."""
