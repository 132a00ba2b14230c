"""The automatic differentiation: nodes, tensors, primitives, and the walk over the graph."""
