"""The log of a run: a line of JSON for every record.

    for record in read_log("run/log.jsonl"):
        print(record["step"], record["loss"])

Records of kind "train" are means over the steps since the last one; those of kind "held_out" are
evaluations. ``loss`` is the mean of a prediction in nats and ``bits`` the same in bits; ``seconds``
is the time that the run has taken so far, interruptions not counted.
"""

from __future__ import annotations

import json
import os
from math import isfinite
from pathlib import Path
from typing import Any

from tinyseq.errors import DataError


class Log:
    """Records in memory, and in a file if a path is given.

    Every record is in the file, whole, when ``write`` returns.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.records: list[dict[str, Any]] = []

    def write(self, record: dict[str, Any]) -> None:
        """Add a record; a number that is not finite, which JSON does not have, becomes null."""
        record = {key: _plain(value) for key, value in record.items()}
        self.records.append(record)
        if self.path is not None:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    def rewind(self, step: int) -> None:
        """Keep what was written up to this step: what comes after it will happen again."""
        if self.path is None:
            self.records = [record for record in self.records if record["step"] <= step]
            return
        known = read_log(self.path) if self.path.exists() else []
        self.records = [record for record in known if record["step"] <= step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        lines = [json.dumps(record) + "\n" for record in self.records]
        temporary.write_text("".join(lines), encoding="utf-8")
        os.replace(temporary, self.path)


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The records of a log; a last line that was cut off when a run was killed is left out.

    Raises:
        DataError: there is no such file, or another line is no record.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise DataError(f"cannot read the log {path}: {error.strerror}") from None
    records = []
    for number, line in enumerate(lines[:-1], 1):  # what follows the last newline is cut off
        try:
            record = json.loads(line)
            record["step"] + 0
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{path}, line {number}, is no record: {line[:80]!r}") from None
        records.append(record)
    return records


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value
