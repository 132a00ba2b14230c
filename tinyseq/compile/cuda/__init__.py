"""What ``emit_cupy`` is made of: elementwise values of a step as kernels in CUDA C."""
