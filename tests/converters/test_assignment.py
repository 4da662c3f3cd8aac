"""Optimal assignment, against all assignments one by one, and against SciPy."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from converters.tracking import assignment
from converters.tracking.assignment import assign, solve

COSTS = st.one_of(st.sampled_from([0.0, 0.5, 1.0, np.inf, np.nan, 3.0]), st.floats(0, 1.2))
STEP = 2.0**-20


@st.composite
def cost_matrices(draw: st.DrawFn, most: int = 5) -> NDArray[np.float64]:
    shape = draw(st.tuples(st.integers(0, most), st.integers(0, most)))
    return np.array(draw(st.lists(COSTS, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))).reshape(shape)


def smallest_sum(cost: NDArray[np.float64]) -> float:
    """The smallest sum of the costs of all rows, each that of its pair or 1, over all assignments."""
    bounded = np.where(cost < 1, cost, 1)
    padded = np.ones((len(cost), cost.shape[1] + len(cost)))
    padded[:, : cost.shape[1]] = bounded
    columns = permutations(range(padded.shape[1]), len(cost))
    return min(sum(padded[row, column] for row, column in enumerate(chosen)) for chosen in columns)


@given(cost_matrices(4))
@settings(max_examples=60)
def test_the_sum_is_the_smallest_of_all_assignments(cost: NDArray[np.float64]) -> None:
    pairs = assign(cost)
    rows, columns = [row for row, _ in pairs], [column for _, column in pairs]
    assert rows == sorted(set(rows))
    assert len(set(columns)) == len(columns)
    assert all(cost[pair] < 1 for pair in pairs)
    total = sum(cost[pair] for pair in pairs) + len(cost) - len(pairs)
    assert abs(total - smallest_sum(cost)) <= len(cost) * STEP


@pytest.mark.parametrize("shape", [(3, 3), (5, 9), (9, 5), (40, 40), (30, 70)])
@pytest.mark.parametrize("kind", ["any", "ties", "sparse"])
def test_the_own_solver_finds_the_pairs_of_scipy(
    shape: tuple[int, int], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="SciPy is not installed: pip install 'skelstore[track]'")
    random = np.random.default_rng([*shape, len(kind)])
    for _ in range(5):
        cost = random.random(shape)
        if kind == "ties":
            cost = np.round(cost * 4) / 8
        elif kind == "sparse":
            cost[random.random(shape) < 0.8] = np.inf
        monkeypatch.setattr(
            assignment, "find_solver", lambda: lambda c: list(optimize.linear_sum_assignment(c)[1].tolist())
        )
        theirs = assign(cost)
        monkeypatch.setattr(assignment, "find_solver", lambda: solve)
        assert assign(cost) == theirs
        assert theirs or kind == "sparse"


def test_the_own_solver_alone() -> None:
    cost = np.array([[4.0, 1, 3, 9], [2, 0, 5, 9], [3, 2, 2, 9]])
    assert solve(cost) == [1, 0, 2]
    assert solve(np.zeros((0, 3))) == []
