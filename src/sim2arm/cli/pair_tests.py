"""Exact tests of paired outcomes, and how many pairs a difference needs; without SciPy."""

from collections.abc import Sequence
from functools import cache
from math import comb

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
"""Chance of calling two equal policies different."""
POWER = 0.8
"""Chance of finding a difference that is there."""
MOST_PAIRS = 1000
_LOG_FACTORIAL = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, MOST_PAIRS + 1)))])


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided p-value that two policies are equally good, from pairs that differ.

    Pairs with the same outcome say nothing; of the others each policy wins half if they are equal,
    so this is the sign test: twice the smaller tail of a fair coin, at most 1.

    Args:
        only_a: pairs in which only the first policy succeeded.
        only_b: pairs in which only the second one did.

    Source: McNemar, Psychometrika 12, 1947, in its exact form (binomial).
    """
    if only_a < 0 or only_b < 0:
        raise ValueError(f"expected counts of 0 or more, got {only_a} and {only_b}")
    n, fewer = only_a + only_b, min(only_a, only_b)
    # Whole numbers: exact for any n.
    return min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that hold together: some equal pair is called different as seldom as one.

    Source: Holm, Scandinavian Journal of Statistics 6(2), 1979.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def power(pairs: int, difference: float, differing: float, level: float = LEVEL) -> float:
    """Return the chance that `mcnemar` finds a difference.

    Args:
        pairs: that are run.
        difference: between the success rates of the two policies, 0 to 1.
        differing: share of pairs whose outcomes differ, `difference` to 1.
        level: of the test.
    """
    if not 0.0 <= difference <= differing <= 1.0:
        raise ValueError(
            f"expected 0 <= difference <= differing <= 1, got {difference}, {differing}"
        )
    if not 1 <= pairs <= MOST_PAIRS:
        raise ValueError(f"expected 1 to {MOST_PAIRS} pairs, got {pairs}")
    wins = 0.5 * (1.0 + difference / differing) if differing else 0.5
    found = np.array([_found(n, round(wins, 12), level) for n in range(pairs + 1)])
    return float(_binomial(pairs, differing) @ found)


def pairs_needed(difference: float, differing: float, level: float = LEVEL) -> int | None:
    """Return the fewest pairs with which a difference is found with `POWER`; None: over 1000.

    Exact tests do not gain with every pair: with all larger numbers up to ten more, too, as far as
    these are 1000 or fewer.

    Args:
        difference: between the success rates, above 0.
        differing: share of pairs whose outcomes differ.
        level: of the test.
    """
    low, high = 1, MOST_PAIRS
    if power(high, difference, differing, level) < POWER:
        return None
    while low < high:
        middle = (low + high) // 2
        if power(middle, difference, differing, level) >= POWER:
            high = middle
        else:
            low = middle + 1
    low = max(1, low - 20)
    while any(
        power(n, difference, differing, level) < POWER
        for n in range(low, min(low + 10, MOST_PAIRS) + 1)
    ):
        low += 1
    return low


def independent(difference: float) -> float:
    """Return the share of pairs that differ if the starts say nothing about the outcomes.

    With success rates around one half, where it is largest: p (1 - q) + q (1 - p) for
    p, q = (1 +- difference) / 2. Starts that are hard or easy for both make it smaller.
    """
    return 0.5 * (1.0 + difference**2)


@cache
def _found(n: int, wins: float, level: float) -> float:
    """Return the chance that n pairs that differ are enough: the first policy wins each so."""
    most = _fewest(n, level)
    chances = _binomial(n, wins)
    return float(chances[: most + 1].sum() + chances[::-1][: most + 1].sum())


@cache
def _fewest(n: int, level: float) -> int:
    """Return with how many wins of the loser the test still says different; -1: never."""
    most, tail, ways = -1, 0, 1  # ways: comb(n, most + 1), whole numbers
    while 2 * (most + 1) < n and 2 * (tail + ways) <= level * 2**n:
        tail, most = tail + ways, most + 1
        ways = ways * (n - most) // (most + 1)
    return most


def _binomial(n: int, share: float) -> NDArray[np.float64]:
    """Return the chances of 0 to n successes, (n + 1,)."""
    if share in (0.0, 1.0):
        return np.eye(n + 1)[n if share else 0]
    k = np.arange(n + 1)
    ways = _LOG_FACTORIAL[n] - _LOG_FACTORIAL[k] - _LOG_FACTORIAL[n - k]
    return np.exp(ways + k * np.log(share) + (n - k) * np.log1p(-share))
