# %% [markdown]
# # 2. Unfolding a recurrence
#
# **What is the derivative by a parameter that is used at every step?**
#
# A recurrent network is one small step, applied again and again with the same parameters. Section
# 10.1 of *Deep Learning* (Goodfellow, Bengio and Courville; "the book" from here on) draws it in
# two ways, as a circuit and as an unrolled graph. Here both are drawn from one run, and then we go
# back through time by hand, with the book's equations 10.17 to 10.28, and compare.
#
# Run it with `python tutorials/02_unfolding.py`; the pictures go to `tutorials/out/`.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import tinyseq as ts
from tinyseq import draw, nn, ops

out = Path(os.environ.get("TUTORIAL_OUT") or Path(globals().get("__file__", ".")).parent / "out")
out.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## One step, written once
#
# $$a^{(t)} = b + W h^{(t-1)} + U x^{(t)}, \quad h^{(t)} = \tanh a^{(t)}, \quad
# o^{(t)} = c + V h^{(t)}, \quad \hat y^{(t)} = \mathrm{softmax}\, o^{(t)}$$
#
# These are equations 10.8 to 10.11. The first two are the cell. The third is a linear layer, and
# the loss $L^{(t)} = -\log \hat y^{(t)}_{y}$ of the right class $y^{(t)}$ contains the fourth.


# %%
class Recurrent(nn.Cell):
    def __init__(self, inputs, hidden, rng):
        self.hidden_size = hidden
        self.U = nn.Parameter(nn.init.xavier((hidden, inputs), seed=rng), "U")
        self.W = nn.Parameter(nn.init.xavier((hidden, hidden), gain=1.5, seed=rng), "W")
        self.b = nn.Parameter(nn.init.normal((hidden,), 0.1, seed=rng), "b")

    def __call__(self, x, h):
        h = ops.tanh(ops.linear(x, self.U, self.b) + ops.linear(h, self.W))
        return h, h


rng = np.random.default_rng(1)
steps, inputs, hidden, classes = 6, 3, 5, 4
cell = Recurrent(inputs, hidden, rng)
model = nn.SequenceModel(cell, nn.Linear(hidden, classes, seed=rng), nn.cross_entropy)
model.to("float64")  # enough digits to compare equations

x = rng.normal(size=(steps, 1, inputs))  # one sequence: time, batch, features
y = rng.integers(classes, size=(steps, 1))
h0 = ts.tensor(rng.normal(size=(1, hidden)), requires_grad=True)

loss, _ = model.loss(x, y, h0)
print(f"L = {loss.item():.6f}, the sum of the losses of {steps} steps")

# %% [markdown]
# ## Two pictures of one run
#
# The **circuit** has a node for every variable. The black square is a delay of one step: what goes
# in at $t$ comes out at $t + 1$.

# %%
circuit = draw.circuit(loss)
circuit.save(out / "02_circuit.svg")
circuit

# %% [markdown]
# The **unrolled** graph has a node for every variable *at every time*. Nothing is delayed here,
# time simply goes to the right, and there are no cycles. Only of such a graph do we know how to
# differentiate it: it is what the tape of the first tutorial recorded.

# %%
unrolled = draw.unrolled(loss)
unrolled.save(out / "02_unrolled.svg")
unrolled

# %% [markdown]
# The circuit does not grow with the number of steps. The unrolled graph does, and so do the memory
# and the time that the walk back takes.

# %%
for count in (2, 4, 8, 12):
    longer, _ = model.loss(np.zeros((count, 1, inputs)), np.zeros((count, 1), int))
    sizes = [len(d(longer).graph.vertices) for d in (draw.circuit, draw.unrolled)]
    print(f"{count:2} steps: circuit {sizes[0]} nodes, unrolled {sizes[1]}")

# %% [markdown]
# ## Shared parameters
#
# There is one $W$, and the unrolled graph uses it six times. Suppose for a moment that every step
# had a copy of its own, $W^{(1)}, \dots, W^{(6)}$, all with the same values. Moving the shared $W$
# moves all copies at once, so its gradient is the sum of theirs.

# %%
copies = [ts.tensor(cell.W.data, requires_grad=True) for _ in range(steps)]
h, unshared = h0, 0.0
for t in range(steps):
    h = ops.tanh(ops.linear(x[t], cell.U, cell.b) + ops.linear(h, copies[t]))
    unshared = unshared + nn.cross_entropy(model.readout(h), y[t])
by_copy = ts.grad(unshared, copies)
by_shared = ts.grad(loss, cell.W, retain_graph=True)
difference = np.abs(sum(by_copy) - by_shared).max()
print("norms of the copies' gradients:", *(f"{np.linalg.norm(g):.3f}" for g in by_copy))
print(f"their sum - gradient of the shared W: {difference:.1e}")
assert difference < 1e-12

# %% [markdown]
# This is the answer to the question at the top, and all of back-propagation through time (BPTT) is
# in it. A tape needs no special rule for it: a value that is used six times gets six
# contributions.
#
# ## BPTT by hand
#
# The book derives the same gradients as formulas. First we need every $h^{(t)}$ and $o^{(t)}$. The
# loop below is what `model.loss` did above; we keep the tensors so that we can ask for the
# gradient by each $h^{(t)}$, too.

# %%
states, outputs, total = [], [], 0.0
h = h0
for t in range(steps):
    h, _ = cell(x[t], h)
    states.append(h)
    outputs.append(model.readout(h))
    total = total + nn.cross_entropy(outputs[t], y[t])
assert abs(total.item() - loss.item()) < 1e-12

names = ["W", "U", "b", "V", "c", "h(0)"]
wanted = [cell.W, cell.U, cell.b, model.readout.weight, model.readout.bias, h0]
autograd = dict(zip(names, ts.grad(total, wanted, retain_graph=True), strict=True))
autograd |= {f"h({t + 1})": g for t, g in enumerate(ts.grad(total, states))}

# %% [markdown]
# Now by hand, with column vectors as in the book. Going back, $\nabla_{h^{(t)}} L$ has two parts:
# one from the step's own output, and one from the next state, which `through_time` computes.
#
# | equation | |
# |---|---|
# | 10.18 | $(\nabla_{o^{(t)}} L)_i = \hat y^{(t)}_i - \mathbf 1_{i = y^{(t)}}$ |
# | 10.19 | $\nabla_{h^{(\tau)}} L = V^\top \nabla_{o^{(\tau)}} L$ at the last step $\tau$ |
# | 10.21 | $\nabla_{h^{(t)}} L = W^\top \mathrm{diag}(1 - (h^{(t+1)})^2)\, \nabla_{h^{(t+1)}} L + V^\top \nabla_{o^{(t)}} L$ |
# | 10.22 | $\nabla_c L = \sum_t \nabla_{o^{(t)}} L$ |
# | 10.23 | $\nabla_b L = \sum_t \mathrm{diag}(1 - (h^{(t)})^2)\, \nabla_{h^{(t)}} L$ |
# | 10.24 | $\nabla_V L = \sum_t (\nabla_{o^{(t)}} L)\, h^{(t)\top}$ |
# | 10.26 | $\nabla_W L = \sum_t \mathrm{diag}(1 - (h^{(t)})^2)\, (\nabla_{h^{(t)}} L)\, h^{(t-1)\top}$ |
# | 10.28 | $\nabla_U L = \sum_t \mathrm{diag}(1 - (h^{(t)})^2)\, (\nabla_{h^{(t)}} L)\, x^{(t)\top}$ |

# %%
W, V = cell.W.data, model.readout.weight.data
# Columns by their time: column_h[0] is h(0), column_h[t] is h(t).
column_h = [value.data.T for value in [h0, *states]]
column_o = [None, *(value.data.T for value in outputs)]
column_x = [None, *(value.T for value in x)]


def bptt(through_time):
    """Equations 10.18 to 10.28; `through_time(g, h)` carries the gradient g by h(t+1) to h(t)."""
    found = dict.fromkeys(names[:-1], 0.0)
    g_h = None  # the gradient by h(t+1)
    for t in range(steps, 0, -1):
        h, o = column_h[t], column_o[t]
        g_o = np.exp(o) / np.exp(o).sum()
        g_o[y[t - 1, 0]] -= 1
        later = 0.0 if g_h is None else through_time(g_h, column_h[t + 1])
        found[f"h({t})"] = g_h = later + V.T @ g_o
        g_a = (1 - h**2) * g_h
        found["c"] += g_o
        found["b"] += g_a
        found["V"] += g_o @ h.T
        found["W"] += g_a @ column_h[t - 1].T
        found["U"] += g_a @ column_x[t].T
    found["h(0)"] = through_time(g_h, column_h[1])
    return found


def right(g, h):
    return W.T @ ((1 - h**2) * g)


def error(by_hand, name):
    """The relative difference to autograd's gradient; a column here is a row there."""
    reference = autograd[name].reshape(by_hand[name].shape if by_hand[name].ndim == 2 else -1)
    return np.linalg.norm(by_hand[name] - reference) / np.linalg.norm(reference)


by_hand = bptt(right)
for name in autograd:
    print(f"{name:5} by hand - autograd, relative: {error(by_hand, name):.1e}")
    assert error(by_hand, name) < 1e-10

# %% [markdown]
# ## Two wrong versions
#
# **A misprint.** In the book, the first term of equation 10.21 is printed as $W^\top
# (\nabla_{h^{(t+1)}} L)\, \mathrm{diag}(1 - (h^{(t+1)})^2)$. That is a column times a square
# matrix: the shapes do not fit. It is tempting to repair it into a product element by element.
# That runs, and is wrong: the derivative of $\tanh$ belongs to the *later* state, so it comes
# before $W^\top$ on the way back.
#
# **A misreading.** The gradient that is carried is the one of the *whole* loss. Some texts write
# $\partial L_t / \partial h_t$, the loss of step $t$ alone; if we believe it, nothing is carried
# from later steps, and the network learns only from its last step of memory.


# %%
def as_printed(g, h):
    return W.T @ g @ np.diag((1 - h**2).ravel())


def as_repaired(g, h):
    return (W.T @ g) * (1 - h**2)


def own_loss_only(g, h):
    return np.zeros_like(g)


try:
    bptt(as_printed)
    raise AssertionError("the printed equation has shapes that fit")
except ValueError as complaint:
    print("as printed:", complaint)
for wrong in (as_repaired, own_loss_only):
    errors = {name: error(bptt(wrong), name) for name in ("W", "U", "V")}
    print(f"{wrong.__name__:14} relative error", *(f"{n}: {e:.3f}" for n, e in errors.items()))
    assert min(errors["W"], errors["U"]) > 1e-3

# %% [markdown]
# $V$ comes out right even in the wrong versions, since it is used after the recurrence. One
# gradient that agrees is no proof for the others.
#
# ## How far back does it reach?
#
# Now put the loss on the last step only, and watch the gradient on its way back. Every step
# applies $W^\top \mathrm{diag}(1 - h^2)$ once more.

# %%
states, _ = ts.unroll(cell, x, h0, as_list=True)
o = ts.label(model.readout(states[-1]), "o")
at_the_end = ts.label(nn.cross_entropy(o, ts.label(y[-1], "y")), "L")
flow = draw.unrolled(at_the_end, gradients=True)
flow.save(out / "02_gradient.svg")
flow

# %% [markdown]
# Each step has a factor of its own, which depends on $h$, so the gradient can shrink here and grow
# there. Over many steps the size of $W$ decides.


# %%
def gradient_norms(radius, steps=60, hidden=64):
    """The norm of the gradient by h(1) ... h(T) of a loss at T, for a W of this spectral radius."""
    rng = np.random.default_rng(0)
    cell = Recurrent(4, hidden, rng).to("float64")
    values = rng.normal(size=(hidden, hidden))
    cell.W.assign(radius * values / np.abs(np.linalg.eigvals(values)).max())
    cell.b.assign(np.zeros(hidden))
    h, hs = np.zeros((1, hidden)), []
    for x in 1e-4 * rng.normal(size=(steps, 1, 4)):
        h, _ = cell(x, h)
        hs.append(h)
    return [np.linalg.norm(g) for g in ts.grad(ops.sum(h), hs)]


figure, axis = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for radius, colour in ((0.7, "#9ecae1"), (0.9, "#4292c6"), (1.1, "#fe9929"), (1.3, "#993404")):
    norms = gradient_norms(radius)
    axis.semilogy(range(1, len(norms) + 1), norms, color=colour, label=f"{radius}")
axis.set(xlabel="$t$", ylabel=r"norm of $\nabla_{h^{(t)}} L$", title="loss at step 60 only")
axis.legend(title="spectral radius of $W$", frameon=False)
axis.spines[["top", "right"]].set_visible(False)
figure.savefig(out / "02_vanishing.svg")

# %% [markdown]
# ## What fails, and why
#
# **Long memory.** With a small $W$ the gradient has lost nine orders of magnitude over sixty
# steps: the loss cannot tell the early inputs what to do. With a large one it grows instead, and
# then one update throws the parameters far away. The saturation of tanh works against that, but
# between the two there is no value of one number that keeps the gradient level. The LSTM's answer,
# in the next tutorial, is a state that is carried on by *addition*.
#
# **Long texts.** The unrolled graph of a text of 400,000 characters fits into no memory. We can
# cut the way back after every $k$ steps and still carry the state forward (truncated BPTT). The
# value of the loss stays the same. The gradient does not: it is blind to whatever takes longer
# than $k$ steps.

# %%
whole = by_shared.ravel()
for k in (1, 2, 4, 6):
    truncated, _ = model.loss(x, y, h0, detach_every=k)
    g = ts.grad(truncated, cell.W).ravel()
    cosine = g @ whole / np.linalg.norm(g) / np.linalg.norm(whole)
    print(f"cut every {k} steps: L = {truncated.item():.4f}, cosine with the gradient {cosine:.4f}")
assert np.allclose(g, whole)

# %% [markdown]
# Next: [03_language_model.py](03_language_model.py), a recurrence that reads English.
