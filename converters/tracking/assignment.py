"""The optimal assignment of rows to columns: every row has at most one column, and the sum of costs is smallest."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

UNMATCHED = 1.0
"""Cost of a row without a column. Pairs that cost as much, or more, are not assigned."""

_STEPS = 1 << 20
"""Costs are rounded to this fraction, and ties are broken by as many numbers below it.

Then the sums are integers below 2**53: exact in float64, whichever solver adds them, in whichever order."""


def assign(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Assign rows to columns [A, B] of costs from 0; the pairs (row, column) in the order of the rows.

    The sum over all rows, of the cost of their pair or ``UNMATCHED``, is smallest, after costs are rounded to
    2**-20. Of several such assignments, one is chosen by the positions alone. NaN is no candidate.

    Rows and columns that no chain of candidates joins are solved apart: most are a single pair.
    """
    candidates = cost < UNMATCHED
    pairs: list[tuple[int, int]] = []
    for rows, columns in _components(candidates):
        if len(rows) == len(columns) == 1:
            pairs.append((rows[0], columns[0]))
        elif len(rows) == 1 or len(columns) == 1:
            pairs.append(_cheapest(cost, rows, columns))
        else:
            pairs += _solved(cost, candidates, rows, columns)
    return sorted(pairs)


def _components(candidates: NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Rows and columns of each connected part of the graph of candidates [A, B]; single ones are left out."""
    columns_of = [np.flatnonzero(row).tolist() for row in candidates]
    rows_of = [np.flatnonzero(column).tolist() for column in candidates.T]
    done_rows, done_columns = [False] * len(columns_of), [False] * len(rows_of)
    components = []
    for first, its in enumerate(columns_of):
        if done_rows[first] or not its:
            continue
        rows, columns, left = [], [], [first]
        done_rows[first] = True
        while left:
            row = left.pop()
            rows.append(row)
            for column in columns_of[row]:
                if not done_columns[column]:
                    done_columns[column] = True
                    columns.append(column)
                    for other in rows_of[column]:
                        if not done_rows[other]:
                            done_rows[other] = True
                            left.append(other)
        components.append((sorted(rows), sorted(columns)))
    return components


def _cheapest(cost: NDArray[np.float64], rows: list[int], columns: list[int]) -> tuple[int, int]:
    """The pair of the smallest cost of one row, or of one column; all are candidates."""
    part = _whole(cost[np.ix_(rows, columns)], rows, columns)
    best = int(part.argmin())
    return (rows[0], columns[best]) if len(rows) == 1 else (rows[best], columns[0])


def _solved(
    cost: NDArray[np.float64], candidates: NDArray[np.bool_], rows: list[int], columns: list[int]
) -> list[tuple[int, int]]:
    at = np.ix_(rows, columns)
    part = np.where(candidates[at], _whole(cost[at], rows, columns), float(_STEPS * _STEPS))
    turned = len(rows) > len(columns)
    chosen = enumerate(find_solver()(part.T if turned else part))
    pairs = ((rows[b], columns[a]) if turned else (rows[a], columns[b]) for a, b in chosen)
    return [pair for pair in pairs if candidates[pair]]


def _whole(cost: NDArray[np.float64], rows: list[int], columns: list[int]) -> NDArray[np.float64]:
    """Costs as whole numbers that make the optimum unique, but for one case in about a million."""
    mixed = np.add.outer(np.array(rows, np.uint64) * np.uint64(0x9E3779B97F4A7C15), np.array(columns, np.uint64))
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    with np.errstate(invalid="ignore"):
        rounded = np.rint(cost * _STEPS)
    whole: NDArray[np.float64] = rounded * _STEPS + (mixed >> np.uint64(45)).astype(np.float64)
    return whole


@cache
def find_solver() -> Callable[[NDArray[np.float64]], list[int]]:
    """SciPy's solver if SciPy can be imported, which is faster in crowds, else the own one: they agree."""
    try:
        from scipy.optimize import linear_sum_assignment
    except Exception:  # one built for another NumPy raises more than ImportError
        return solve
    return lambda cost: list(linear_sum_assignment(cost)[1].tolist())


def solve(cost: NDArray[np.float64]) -> list[int]:
    """The column of each row of costs [A, B] with A at most B such that the sum is smallest.

    Successive shortest augmenting paths (Jonker and Volgenant, Computing 38, 1987; the rectangular form is that of
    Crouse, IEEE Transactions on Aerospace and Electronic Systems 52, 2016): A² B steps at most.
    """
    count, width = cost.shape
    row_price, column_price = np.zeros(count), np.zeros(width)
    row_of = np.full(width, -1)
    column_of = np.full(count, -1)
    for start in range(count):
        shortest = np.full(width, np.inf)
        before = np.full(width, -1)
        left = np.ones(width, np.bool_)
        seen_rows = [start]
        row, reached = start, 0.0
        while True:
            length = reached + cost[row] - row_price[row] - column_price
            nearer = left & (length < shortest)
            shortest[nearer], before[nearer] = length[nearer], row
            column = int(np.where(left, shortest, np.inf).argmin())
            reached = float(shortest[column])
            left[column] = False
            if row_of[column] < 0:
                break
            row = int(row_of[column])
            seen_rows.append(row)
        row_price[start] += reached
        for row in seen_rows[1:]:
            row_price[row] += reached - shortest[column_of[row]]
        done = ~left
        column_price[done] -= reached - shortest[done]
        while True:
            row = int(before[column])
            row_of[column] = row
            column_of[row], column = column, int(column_of[row])
            if row == start:
                break
    return [int(column) for column in column_of]
