"""``import tinyseq`` needs NumPy alone, and is quick."""

import json
import os
import subprocess
import sys
from pathlib import Path

import tinyseq

# Run in a fresh interpreter: refuse every package but the allowed ones, note what was asked for,
# and time the import of tinyseq beyond NumPy's own.
IMPORT = """
import importlib.abc, json, sys, time

class Refuse(importlib.abc.MetaPathFinder):
    refused = []

    def find_spec(self, name, path=None, target=None):
        package = name.partition(".")[0]
        known = {"numpy", "tinyseq", "org"}  # the standard library's copy asks for Jython's org
        if package not in sys.stdlib_module_names and package not in known:
            self.refused.append(name)
            raise ModuleNotFoundError(f"{name} is not for `import tinyseq`", name=name)

import numpy, numpy.random
before = set(sys.modules)
sys.meta_path.insert(0, Refuse())
start = time.perf_counter()
import tinyseq
seconds = time.perf_counter() - start
new = {name.partition(".")[0] for name in set(sys.modules) - before}
others = sorted(new - set(sys.stdlib_module_names) - {"numpy", "tinyseq"})
print(json.dumps({"refused": Refuse.refused, "others": others, "seconds": seconds}))
"""


def import_in_a_fresh_interpreter() -> dict:
    path = str(Path(tinyseq.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_needs_numpy_alone(record_property):
    runs = [import_in_a_fresh_interpreter() for _ in range(5)]
    best = min(run["seconds"] for run in runs)
    record_property("import_seconds", best)
    print(f"import tinyseq: {best:.3f} s beyond NumPy's own import (best of {len(runs)})")
    for run in runs:
        assert run["refused"] == []
        assert run["others"] == []
