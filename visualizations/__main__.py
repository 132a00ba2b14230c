"""Draw the figures again: ``python -m visualizations``, or ``python -m visualizations 10_03``."""

import runpy
import sys
from pathlib import Path

wanted = sys.argv[1:] or [""]
scripts = sorted(Path(__file__).parent.glob("fig_*.py"))
chosen = [script for script in scripts if any(part in script.name for part in wanted)]
if not chosen:
    sys.exit(
        f"no figure has {' or '.join(wanted)} in its name: {', '.join(s.stem for s in scripts)}"
    )
for script in chosen:
    print(script.name)
    runpy.run_path(str(script), run_name="__main__")
