"""The ratios of reading that skelstore aims at, side by side for all data sets."""

from __future__ import annotations

from collections.abc import Sequence

from converters.bench import reading
from converters.bench.results import Result


def gather(results: Sequence[Result]) -> Result:
    """One table of the ratios that have a wanted figure for any data set, from the results of the benchmark reading.

    Each ratio is of two sides that were timed in the same turns.
    """
    gathered = Result("ratios", "reading: medians, by name, warm, random order, sides in turn")
    rows = dict.fromkeys(claim.what for result in results for claim in result.claims if claim.wanted is not None)
    for row in rows:
        for result in results:
            for claim in result.claims:
                if claim.what == row:
                    gathered.measurements.setdefault(row, {})[reading.heading(result)] = claim.measured
                    if claim.wanted is not None:
                        gathered.claim(f"{row}: {reading.heading(result)}", claim.measured, claim.unit, claim.wanted)
    return gathered
