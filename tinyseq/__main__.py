"""``python -m tinyseq`` is the command ``tinyseq``."""

import sys

from tinyseq.cli import main

if __name__ == "__main__":
    sys.exit(main())
