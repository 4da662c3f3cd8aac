"""The result of a benchmark: claims (a measured figure beside the wanted one) and the measurements behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple


class Wanted(NamedTuple):
    """A figure to reach: at least or at most ``bound``."""

    bound: float
    at_least: bool = True

    def reached_by(self, measured: float) -> bool:
        return measured >= self.bound if self.at_least else measured <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"


@dataclass(frozen=True)
class Claim:
    """One figure: what it is, the measured value, its unit, and the wanted value, if there is one."""

    what: str
    measured: float
    unit: str
    wanted: Wanted | None = None

    def to_json(self) -> dict[str, Any]:
        """The claim as it is in the JSON file."""
        wanted = None if self.wanted is None else str(self.wanted)
        reached = None if self.wanted is None else self.wanted.reached_by(self.measured)
        return {"what": self.what, "measured": self.measured, "unit": self.unit, "wanted": wanted, "reached": reached}


@dataclass
class Result:
    """The outcome of one benchmark.

    ``conditions`` describe the data and the runs, ``measurements`` hold the absolute figures of each side, and
    ``skipped`` the sides that were left out, each with the reason.
    """

    name: str
    title: str
    conditions: dict[str, Any] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    measurements: dict[str, dict[str, float]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def claim(self, what: str, measured: float, unit: str, wanted: Wanted | None = None) -> None:
        self.claims.append(Claim(what, measured, unit, wanted))

    def claim_speed(self, side: str, other: str, wanted: Mapping[tuple[str, str], Wanted], of: str = "us p50") -> None:
        """Claim how many times as fast as another a side is, if both were measured."""
        if side in self.measurements and other in self.measurements:
            ratio = self.measurements[other][of] / self.measurements[side][of]
            self.claim(f"{side} against {other}", ratio, "x as fast", wanted.get((side, other)))

    def to_json(self) -> dict[str, Any]:
        """The result as it is in the JSON file."""
        return asdict(self) | {"claims": [claim.to_json() for claim in self.claims]}
