"""One step of a cell, traced: what it computes, what it reads, and whether it stays the same."""
