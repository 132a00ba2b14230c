"""Loops at work: kept by shapes, cut by segments and by batch, each a node of the tape."""
