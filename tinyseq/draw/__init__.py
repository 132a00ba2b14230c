"""Pictures of what ran: circuit, unrolled graph, graphical model, how gradients flow.

    from tinyseq import draw
    draw.circuit(loss).save("circuit.svg")
    draw.unrolled(loss, gradients=True).save("unrolled.svg")
    draw.circuit(loss, detail="ops").save("gates.svg")      # or "modules", opened to a depth=
    draw.graphical_model(loss).save("model.svg")

A picture passes through plain records, each stage a function that can be called alone:
``extract`` (from a loss to a run), ``fold`` (to a circuit), ``contract`` (to the variables), then
layout, overlays, and Graphviz.
"""

from tinyseq.draw.contract import contract
from tinyseq.draw.extract import extract
from tinyseq.draw.fold import fold
from tinyseq.draw.graph import Edge, Graph, Vertex
from tinyseq.draw.graphical import graphical_model
from tinyseq.draw.picture import Picture, circuit, unrolled
from tinyseq.draw.plot import gradient_flow, loss_curve

__all__ = [
    "Edge",
    "Graph",
    "Picture",
    "Vertex",
    "circuit",
    "contract",
    "extract",
    "fold",
    "gradient_flow",
    "graphical_model",
    "loss_curve",
    "unrolled",
]
