"""What a theme gives back: races, what was to be reached in them, and how to show them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from tinyseq.bench import Race
from tinyseq.bench.race import NOT_INSTALLED


@dataclass(frozen=True)
class Limit:
    """At most ``most`` times the peer, in the race of a workload; ``aim`` is what would be fine.

    There may be an aim alone.
    """

    workload: str
    contender: str
    peer: str
    most: float | None
    aim: float | None = None


@dataclass
class Section:
    """A theme's results.

    Attributes:
        title, text: what was measured, and how.
        races: the times.
        peer: whose time the ratios in the table are of.
        limits: what was to be reached.
        lines: Markdown in place of the usual table.
    """

    title: str
    text: str
    races: list[Race] = field(default_factory=list)
    peer: str = ""
    limits: list[Limit] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """For the process that puts the sections together."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Section:
        """The section of ``to_json``."""
        fields = json.loads(text)
        fields["races"] = [Race(**race) for race in fields["races"]]
        fields["limits"] = [Limit(**limit) for limit in fields["limits"]]
        return cls(**fields)

    def ratio(self, limit: Limit) -> float | None:
        """What was measured of a limit; None if a contender is missing."""
        found = [race for race in self.races if race.workload == limit.workload]
        return found[0].ratio(limit.contender, limit.peer) if found else None

    def table(self) -> list[str]:
        """A row for each contender, a column for each race."""
        names = list(dict.fromkeys(n for r in self.races for n in (*r.seconds, *r.missing)))
        lines = ["| | " + " | ".join(race.workload for race in self.races) + " |"]
        lines.append("|---" * (len(self.races) + 1) + "|")
        for name in names:
            cells = [self._cell(race, name) for race in self.races]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return lines

    def _cell(self, race: Race, name: str) -> str:
        if name not in race.seconds:
            return "missing (see below)" if name in race.missing else "-"
        ratio = race.ratio(name, self.peer)
        return race.spread(name) + ("" if ratio is None else f" **{ratio:.2f}**")

    def missing(self) -> list[str]:
        """Who did not run, why, and where."""
        where: dict[str, list[str]] = {}
        for race in self.races:
            for name, why in race.missing.items():
                where.setdefault(f"{name}: {why}", []).append(race.workload)
        return [f"- {what} ({'; '.join(races)})" for what, races in where.items()]

    def broken(self) -> bool:
        """Whether tinyseq itself did not run somewhere, though what it needs is installed."""
        return any(
            name.startswith("tinyseq") and not why.startswith(NOT_INSTALLED)
            for race in self.races
            for name, why in race.missing.items()
        )
