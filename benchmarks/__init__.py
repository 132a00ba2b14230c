"""Speed and memory against other libraries: ``python -m benchmarks -o benchmarks/RESULTS.md``.

Each theme has a file, and runs in a process of its own:

    chain.py     the tape itself
    lstm.py      LSTMs of four sizes, one thread
    cells.py     other cells, with and without a vendor's kernel
    threads.py   two threads
    growth.py    longer, wider, more
    memory.py    a long sequence, each contender in a fresh process

How a contender runs a workload is written in ``tinyseq/bench/`` (tinyseq, PyTorch, JAX) and in
others.py (HIPS autograd, DeZero); how a race is run, in ``tinyseq/bench/race.py``.
"""
