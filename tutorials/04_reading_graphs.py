# %% [markdown]
# # 4. Reading recurrent graphs
#
# **What does the picture of a recurrent network tell, and what does it keep to itself?**
#
# A network is drawn to be checked: is it wired as I think it is, and does the loss reach what is
# to be learned? Here every picture is read off a run of the network, so it shows what happened and
# not what was meant. We go from one run to its circuit, its unrolled graph, its gradients and its
# graphical model, and use them to tell, before any training, which of two networks can learn.
#
# Run it with `python tutorials/04_reading_graphs.py`; the pictures go to `tutorials/out/`.

# %%
import os
from pathlib import Path

import numpy as np

import tinyseq as ts
from tinyseq import data, draw, models, nn, optim
from tinyseq.errors import FoldError

out = Path(os.environ.get("TUTORIAL_OUT") or Path(globals().get("__file__", ".")).parent / "out")
out.mkdir(parents=True, exist_ok=True)

corpus = data.load_text()
vocabulary = data.Vocabulary.from_text(corpus.text)
piece = "the name "
ids = vocabulary.encode(piece)[:, None]  # time first, a batch of one

model = models.LanguageModel(len(vocabulary), hidden_size=16, cell="lstm", seed=0)
loss, _ = model.loss(ids[:-1], ids[1:])

# %% [markdown]
# ## The circuit: what is the same in all steps
#
# A circle is a variable, an arrow says that one is computed from the other, and a letter is the
# parameter on the way. A black square is a delay: what comes out of it is one step old. The picture
# is made by folding the run: what corresponds in all steps becomes one circle.

# %%
circuit = draw.circuit(loss)
circuit.save(out / "04_circuit.svg")
circuit

# %% [markdown]
# What to look at, in this order. *Is there a loop?* Without a square there is no memory. *What goes
# round?* Here two things, $h$ and $c$; the loop of $c$ has no letter on it, so it passes no matrix
# on its way from step to step. *Does all of it reach the loss?* What does not is not in the
# picture, because it was not on the way to the loss. The graph is also plain data, and a test can
# ask it:

# %%
print(circuit.graph)
loops = {str(edge) for edge in circuit.graph.edges if edge.source == edge.target}
assert loops == {"c -> c (delay 1)", "h -W-> h (delay 1)"}

# %% [markdown]
# `detail="ops"` opens the step: every operation, with the gates of the LSTM.

# %%
operations = draw.circuit(loss, detail="ops")
operations.save(out / "04_operations.svg")
operations

# %% [markdown]
# ## The unrolled graph: what happened when
#
# The same run, a column a step, with the characters that were read and asked for. Now the ways can
# be followed. From $x^{(1)}$ to the last loss there are very many: at each step the past goes on
# through $h$, or through $c$, or changes from one to the other.

# %%
read, asked_for = piece[:-1], piece[1:]
unrolled = draw.unrolled(
    loss, text={"x": read, "y": asked_for}, highlight=("x(1)", f"L({len(read)})")
)
unrolled.save(out / "04_ways.svg")
unrolled

# %% [markdown]
# The gradient of $L^{(8)}$ by $x^{(1)}$ is a sum over these ways (the chain rule says so), and each
# way contributes the product of what its arrows do. Some of them pass seven matrices $W$ and seven
# tanh; one of them goes through $c$ alone and is multiplied with forget gates only. Whether
# something arrives is decided by the best way, and that cannot be seen from the wiring. We need
# numbers.
#
# ## The gradient, step by step
#
# A harder case: a sequence of 100 numbers, and the network has to say at the end whether the first
# one was +1 or -1; all the others are noise. There is one loss, at the last step (the book's figure
# 10.5). Two networks, not trained:

# %%
STEPS, HIDDEN = 100, 24


def sequences(rng, count):
    xs = np.zeros((STEPS, count, 2), np.float32)
    first = rng.integers(2, size=count)
    xs[0, :, 0] = 2 * first - 1
    xs[1:, :, 1] = rng.normal(size=(STEPS - 1, count))
    return xs, first


def loss_at_the_end(cell, readout, xs, first):
    hs, _ = ts.unroll(cell, xs, as_list=True)
    return ts.label(nn.cross_entropy(ts.label(readout(hs[-1]), "o"), ts.label(first, "y")), "L")


networks = {
    "Elman": (nn.ElmanCell(2, HIDDEN, seed=0), nn.Linear(HIDDEN, 2, seed=1)),
    "LSTM": (
        nn.LSTMCell(2, HIDDEN, forget_bias="chrono", longest=STEPS, seed=0),
        nn.Linear(HIDDEN, 2, seed=1),
    ),
}
xs, first = sequences(np.random.default_rng(0), 1)
losses = {name: loss_at_the_end(*parts, xs, first) for name, parts in networks.items()}

elman = draw.unrolled(losses["Elman"], gradients=True)
elman.save(out / "04_elman_gradient.svg")
elman

# %% [markdown]
# The circles are coloured by the norm of the gradient, on a logarithmic scale; the number stands
# beside each, and the arrows below the states go where the gradient goes, back in time. 95 steps
# are left out above, but not in the strip below, which shows the norm at every one of them.
#
# This is what a *vanishing gradient* looks like: a straight line. Every step back multiplies with
# about the same number below one, so a hundred steps multiply with its hundredth power.

# %%
by_step = {v.time: v.grad for v in draw.unrolled(losses["Elman"], window="all", gradients=True)
           .graph.vertices if v.label == "h"}  # fmt: skip
factor = (by_step[1] / by_step[STEPS]) ** (1 / (STEPS - 1))
print(f"at step {STEPS}: {by_step[STEPS]:.2g}; at step 1: {by_step[1]:.2g}")
print(f"every step back multiplies by {factor:.3f}, on average")
assert by_step[1] < 1e-15

# %% [markdown]
# The other network, in the same picture. Its forget gates begin near one, with a bias made for
# spans up to 100 steps, and the way through $c$ stays open.

# %%
lstm = draw.unrolled(losses["LSTM"], gradients=True)
lstm.save(out / "04_lstm_gradient.svg")
lstm

# %% [markdown]
# Both as curves:

# %%
draw.gradient_flow(losses).savefig(out / "04_flow.svg")

# %% [markdown]
# ## Does the picture tell who will learn?
#
# Train both in the same way for 200 updates. Guessing costs one bit.

# %%
curves = {}
for name, (cell, readout) in networks.items():
    parameters = cell.parameters() + readout.parameters()
    optimizer, rng = optim.Adam(parameters, lr=5e-3), np.random.default_rng(0)
    curves[name] = []
    for _ in range(200):
        xs, first = sequences(rng, 32)
        total = loss_at_the_end(cell, readout, xs, first)
        optimizer.zero_grad()
        (total / 32).backward()
        optim.clip_grad_norm(parameters, 1.0)
        optimizer.step()
        curves[name].append(total.item() / 32 / np.log(2))
    print(f"{name}: {np.mean(curves[name][-20:]):.3f} bits in the last 20 updates")
draw.loss_curve(curves, {"guessing": 1.0}, y_label="bits").savefig(out / "04_training.svg")
assert np.mean(curves["LSTM"][-20:]) < 0.1 < 0.9 < np.mean(curves["Elman"][-20:])

# %% [markdown]
# ## The graphical model: what may depend on what
#
# So far the arrows said what is computed from what. A graphical model says which *random* variables
# depend on which. The loss of a step is $-\log P(y^{(t)} \mid \ldots)$, and the dots are whatever
# the run leads from to this loss. The states are no random variables: they are functions, and
# vanish. (The target $y^{(t)}$ is the input $x^{(t+1)}$, the very same numbers in memory, so both
# are one circle.)

# %%
short, _ = model.loss(ids[:5], ids[1:6])
complete = draw.graphical_model(short)
complete.save(out / "04_complete.svg")
complete

# %% [markdown]
# Every character may depend on all before it: the complete graph of the book's figure 10.7. As a
# table, $P(y^{(t)} \mid \ldots)$ would have a row for each possible past. With the states shown
# (figure 10.8) one sees why the network needs no table: every step is like the one before it, and
# has the same parameters.

# %%
through_states = draw.graphical_model(short, hidden=True)
through_states.save(out / "04_states.svg")
through_states

# %%
rows, weights = len(vocabulary) ** 5, sum(p.size for p in model.parameters())
print(f"a table for the sixth character: {rows:,} rows; the network: {weights:,} numbers")
arrows = {len(draw.graphical_model(model.loss(ids[:n], ids[1 : n + 1])[0]).graph.edges): n
          for n in (2, 4, 8)}  # fmt: skip
print("arrows without the states:", ", ".join(f"{n} steps {k}" for k, n in arrows.items()))
assert set(arrows) == {3, 10, 36}

# %% [markdown]
# ## What fails, and why
#
# **An arrow is a possibility, not an effect.** In the graphical model of the Elman network an arrow
# leads from $x^{(1)}$ to $y$, a hundred steps later. It is right: the one can influence the other.
# But by how much? Turn the first input around and compare the two predictions.

# %%
cell, readout = nn.ElmanCell(2, HIDDEN, seed=0), nn.Linear(HIDDEN, 2, seed=1)
xs, first = sequences(np.random.default_rng(0), 1)
dependent = draw.graphical_model(loss_at_the_end(cell, readout, xs, first))
assert "x(1) -> y" in [str(edge) for edge in dependent.graph.edges]
turned = xs.copy()
turned[0] = -turned[0]
with ts.no_grad():
    change = [readout(ts.unroll(cell, inputs)[0][-1]).data for inputs in (xs, turned)]
print("the largest change of a prediction:", np.abs(change[0] - change[1]).max())
assert np.abs(change[0] - change[1]).max() < 1e-6

# %% [markdown]
# **A gradient that is there need not be the right one.** The norm says how strongly the loss pulls,
# not where to. With noise in the inputs most of the pull is noise. And the curve is that of one
# moment: the first update changes it.
#
# **The gradient by $W$ does not vanish.** $W$ is used at every step, and its gradient is a sum over
# them. The last steps contribute, the first ones do not: the network learns, but only what is
# near. So look at the states, step by step, and not at the norm of the parameters' gradient.

# %%
loss = loss_at_the_end(cell, readout, xs, first)
(by_W,) = ts.grad(loss, [cell.weight_hh])
print(f"the norm of the gradient by W: {np.linalg.norm(by_W):.2g}")
assert np.linalg.norm(by_W) > 1e-3

# %% [markdown]
# **Not every run has a circuit.** A step that decides with `if` what to do is not the same in all
# steps. The error shows the first difference, and the unrolled graph can still be drawn.


# %%
def moody(x, h):
    h = ts.ops.tanh(x + h) if x.data.sum() > 0 else ts.ops.sigmoid(x - h)
    return h, h


states, _ = ts.unroll(moody, np.array([[[1.0]], [[-1.0]], [[1.0]]]), np.zeros((1, 1)))
try:
    draw.circuit(states)
except FoldError as error:
    print(error)
else:
    raise AssertionError("these steps differ")
draw.unrolled(states).save(out / "04_moody.svg")

# %% [markdown]
# `tinyseq draw FILE.py:NAME --input T,N,I` draws a model of your own in each of these ways, and a
# picture that is saved as `.html` can be folded, unfolded and asked for its numbers.
#
# Next: [05_compiling.py](05_compiling.py), where the same step becomes a fast loop.
