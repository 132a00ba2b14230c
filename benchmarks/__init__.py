"""Speed, as a ratio to a named peer in the same run: ``python -m benchmarks``."""

import os

# Before NumPy is imported: on small products a second thread gains nothing, and where a neighbour
# uses the core it costs a hundredfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
