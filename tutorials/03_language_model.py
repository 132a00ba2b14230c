# %% [markdown]
# # 3. A character language model on real text
#
# **How much of the next character do the last few give away, and what does a recurrence add?**
#
# A language model gives every possible next character a probability. It is judged by the
# probability of a text that it has never seen, in bits a character: $-\log_2 p$, on average. One
# bit less means that the right character was twice as probable.
#
# Run it with `python tutorials/03_language_model.py`. It trains for less than a minute on the text
# of Python's own language reference, which every Python brings along.

# %%
import os
import re
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import tinyseq as ts
from tinyseq import data, draw, models, nn, optim

out = Path(os.environ.get("TUTORIAL_OUT") or Path(globals().get("__file__", ".")).parent / "out")
out.mkdir(parents=True, exist_ok=True)

corpus = data.load_text()
vocabulary = data.Vocabulary.from_text(corpus.text)
train, held_out = data.split(vocabulary.encode(corpus.text), (0.9, 0.1))
print(corpus)

# %% [markdown]
# ## Counting
#
# The oldest language model counts. A model of order $n$ looks up how often each character followed
# the last $n - 1$ ones in the training text. Contexts that were never seen are the difficulty;
# Witten and Bell's smoothing mixes the counts with those of the next shorter context.

# %%
orders = (1, 2, 3, 4, 5, 6, 8)
table = data.ngram_table(train, held_out, orders, len(vocabulary))
for row in table:
    print(f"order {row.order}: {row.bits:.3f} bits a character, {row.ngrams:,} different n-grams")
best = min(table, key=lambda row: row.bits)

# %% [markdown]
# More context helps for a while, and then it hurts: long contexts are rare, and a table learns
# nothing about a context from one that only looks similar.
#
# ## A recurrence instead of a table
#
# An LSTM reads one character at a time and keeps what it has read in its state. It is trained by
# truncated back-propagation: 32 streams of text, in pieces of 64 steps, with the state carried
# from piece to piece.

# %%
epochs, learning_rate = 8, 5e-3
model = models.LanguageModel(len(vocabulary), hidden_size=128, cell="lstm", seed=0)
optimizer = optim.Adam(model.parameters())
batches = data.TextBatches(train, batch_size=32, chunk_length=64)
schedule = optim.linear_to_zero(learning_rate, epochs * len(batches))

curve, started = [], time.perf_counter()
for epoch in range(epochs):
    state = model.init_state(batches.batch_size)
    for x, y in batches:
        loss, state = model.loss(x, y, state, literal=False)
        state = nn.LSTMState(state.h.detach(), state.c.detach())
        optimizer.zero_grad()
        (loss / y.size).backward()
        optim.clip_grad_norm(model.parameters(), 1.0)
        optimizer.lr = schedule(len(curve))
        optimizer.step()
        curve.append(loss.item() / y.size / np.log(2))
    seconds = time.perf_counter() - started
    print(f"epoch {epoch + 1}: {np.mean(curve[-len(batches) :]):.3f} bits, {seconds:.0f} s")


# %% [markdown]
# On the held-out text, every character's own bits, for the two models:


# %%
def bits_of_lstm(ids):
    """-log2 p of every character but the first."""
    with ts.no_grad():
        logits, _ = model(ids[:-1, None])
        return nn.cross_entropy(logits, ids[1:, None], reduction="none").data[:, 0] / np.log(2)


ngram = data.WittenBell(best.order).fit(train, len(vocabulary))
bits = {
    f"n-gram of order {best.order}": -np.log2(ngram.probabilities(held_out))[1:],
    "LSTM": bits_of_lstm(held_out),
}
by_count, by_lstm = bits.values()
for name, each in bits.items():
    print(f"{name}: {each.mean():.3f} bits a character")
assert by_lstm.mean() < table[2].bits, "the LSTM should beat the trigram"

figure, axis = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
smooth = np.convolve(curve, np.ones(50) / 50, "valid")
axis.plot(np.arange(len(smooth)) + 50, smooth, color="#1f5fa8", label="LSTM, training text")
axis.axhline(by_lstm.mean(), color="#1f5fa8", linestyle="--", label="LSTM, held-out text")
for row in (table[2], best):
    axis.axhline(row.bits, color="0.6", linewidth=1)
    axis.text(0, row.bits + 0.02, f"n-gram of order {row.order}", color="0.35", fontsize=9)
axis.set(xlabel="updates", ylabel="bits a character", ylim=(1.4, 3.6))
axis.legend(frameon=False)
axis.spines[["top", "right"]].set_visible(False)
figure.savefig(out / "03_loss.svg")

# %% [markdown]
# ## The model that was trained
#
# Both pictures come from a run of it over eight characters of the held-out text. $E$ is the table
# of embeddings, $U$ and $W$ are the weights of all four gates, and $c$ is the cell state.

# %%
text = vocabulary.decode(held_out)
start = text.index(" the ") + 1
piece = held_out[start : start + 9]
loss, _ = model.loss(piece[:-1, None], piece[1:, None])
circuit = draw.circuit(loss)
circuit.save(out / "03_circuit.svg")
circuit

# %%
characters = vocabulary.decode(piece)
unrolled = draw.unrolled(loss, text={"x": characters[:-1], "y": characters[1:]})
unrolled.save(out / "03_unrolled.svg")
unrolled

# %% [markdown]
# ## What does it know that the table does not?
#
# Let both models predict the same 2000 characters, but show the LSTM only the last $k$ characters
# before each. The table of order $n$ sees $n - 1$.

# %%
rng = np.random.default_rng(0)
places = rng.integers(200, len(held_out), 2000)
contexts = (1, 2, 3, 4, 5, 7, 10, 15, 25, 50, 100, 200)
by_context = []
for k in contexts:
    windows = held_out[places[None, :] + np.arange(-k, 0)[:, None]]  # (k, 2000), time first
    with ts.no_grad():
        logits, _ = model(windows)
    by_context.append(nn.cross_entropy(logits[-1], held_out[places], "mean").item() / np.log(2))

counts = data.WittenBell(max(orders)).fit(train, len(vocabulary))
by_order = [-np.log2(counts.probabilities(held_out, n)[places]).mean() for n in orders[1:]]

figure, axis = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
axis.semilogx([n - 1 for n in orders[1:]], by_order, "o-", color="0.5", label="n-gram table")
axis.semilogx(contexts, by_context, "o-", color="#1f5fa8", label="LSTM")
axis.set(xlabel="characters of context", ylabel="bits a character")
axis.set_xticks([1, 2, 5, 10, 20, 50, 100, 200], ["1", "2", "5", "10", "20", "50", "100", "200"])
axis.minorticks_off()
axis.legend(frameon=False)
axis.spines[["top", "right"]].set_visible(False)
figure.savefig(out / "03_context.svg")
for k, b in zip(contexts, by_context, strict=True):
    print(f"LSTM with {k:3} characters of context: {b:.3f} bits")

# %% [markdown]
# With a few characters the table is much better: that is what a table is made for, while the LSTM
# was never trained to start in the middle of a word. With four, the table has given all it has. The
# LSTM goes on, in smaller and smaller gains, to about fifty: it can tell from there whether this is
# a list, an example of code, or a sentence about exceptions.
#
# Where in the text does it gain?

# %%
kinds = {
    "first letter of a word": r"\b[a-zA-Z]",
    "other letters": r"\B[a-zA-Z]",
    "blanks": r" ",
    "ends of lines": r"\n",
    "punctuation": r"[^\w\s]",
}
figure, axis = plt.subplots(figsize=(6.4, 3.0), layout="constrained")
for row, (kind, pattern) in enumerate(kinds.items()):
    chosen = np.array([m.start() - 1 for m in re.finditer(pattern, text) if m.start()])
    pair = by_count[chosen].mean(), by_lstm[chosen].mean()
    axis.plot(pair, (row, row), color="0.75", zorder=1)
    axis.scatter(*pair[:1], row, color="0.5", label="" if row else "n-gram table")
    axis.scatter(*pair[1:], row, color="#1f5fa8", label="" if row else "LSTM")
    print(f"{kind:22} {len(chosen):6,} times: n-gram {pair[0]:.2f} bits, LSTM {pair[1]:.2f}")
axis.set_yticks(range(len(kinds)), kinds)
axis.invert_yaxis()
axis.set(xlabel="bits a character", xlim=(0, None))
axis.legend(frameon=False, loc="lower right")
axis.spines[["top", "right"]].set_visible(False)
figure.savefig(out / "03_kinds.svg")

# %% [markdown]
# Inside a word, where only spelling counts, the table is still better. The LSTM gains where words
# begin and end, at punctuation, and at the ends of lines: there a wider view is needed.


# %% [markdown]
# ## Writing
#
# Draw a character from the model's distribution, feed it back, and so on. A temperature below 1
# makes probable characters more probable still.


# %%
def write(length, temperature, prompt="The "):
    ids = model.generate(vocabulary.encode(prompt), length, temperature, seed=0)
    return prompt + vocabulary.decode(ids)


for temperature in (0.5, 1.0):
    print(f"\n--- temperature {temperature}\n{write(400, temperature)}")

# %% [markdown]
# ## What fails, and why
#
# **It invents words.** The model knows letters and nothing else. The hotter it draws, the more
# often it writes what no page of the training text has.

# %%
known = set(re.findall(r"[a-z]+", vocabulary.decode(train).lower()))
for temperature in (0.5, 0.8, 1.0, 1.3):
    words = re.findall(r"[a-z]+", write(3000, temperature).lower())[1:-1]
    unknown = np.mean([word not in known for word in words])
    print(f"temperature {temperature}: {unknown:.0%} of the words are in no training text")

# %% [markdown]
# **The most probable text is not a typical text.** Always taking the most probable character ends
# in a circle. Nobody writes so, although every single choice is the best one.

# %%
print(write(300, 0))

# %% [markdown]
# **Its memory is soft.** The table knows rare phrases letter by letter; the LSTM has only an
# impression of them. So each has something that the other lacks, and the average of their two
# probabilities is better than either.

# %%
mixture = -np.log2((2**-by_count + 2**-by_lstm) / 2).mean()
print(f"n-gram {by_count.mean():.3f}, LSTM {by_lstm.mean():.3f}, half of each {mixture:.3f} bits")
assert mixture < min(by_count.mean(), by_lstm.mean())

# %% [markdown]
# **It means nothing.** Brackets are closed after a few words but not after a few lines, sentences
# have no subject to stay with. The gradient that trained it was cut after 64 steps, and long
# before that it had become too small to teach anything: [02_unfolding.py](02_unfolding.py) shows
# why.
#
# `tinyseq tour` does all of this in one command and leaves a page to look at;
# `tinyseq train --text FILE` trains on a text of your own.
#
# Next: [04_reading_graphs.py](04_reading_graphs.py), what the pictures tell about a network.
