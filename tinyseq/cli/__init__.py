"""The command line: ``tinyseq tour``, ``train``, ``sample``, ``draw`` and ``bench``."""

from tinyseq.cli.main import main

__all__ = ["main"]
