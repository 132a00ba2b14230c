"""What ``emit_numpy`` is made of: places for values, and the lines that fill them."""
