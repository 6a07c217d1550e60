"""Confidence intervals of a success rate, without SciPy."""

from math import exp, fsum, lgamma, log, log1p


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a success rate: coverage is at least `level`.

    Args:
        successes: number of successes, 0 to `trials`.
        trials: number of trials, at least 1.
        level: confidence level, between 0 and 1.

    Source: Clopper and Pearson, Biometrika 26(4), 1934.
    """
    _check(successes, trials, level)
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else _rate_with_tail(successes, trials, tail)
    # P(X <= k | p) = tail is P(failures >= n - k | 1 - p) = tail.
    failures = trials - successes
    high = 1.0 if failures == 0 else 1 - _rate_with_tail(failures, trials, tail)
    return low, high


def _rate_with_tail(count: int, trials: int, tail: float) -> float:
    """Return the rate p at which P(X >= count) = tail, by bisection (the tail grows with p)."""
    low, high = 0.0, 1.0
    for _ in range(60):  # 2^-60 is below the spacing of floats near 1
        middle = (low + high) / 2
        if _upper_tail(count, trials, middle) < tail:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _upper_tail(count: int, trials: int, rate: float) -> float:
    """Return P(X >= count) of a binomial distribution, 0 < rate < 1, summed in logarithms."""
    log_rate, log_rest = log(rate), log1p(-rate)
    log_all = lgamma(trials + 1)
    return fsum(
        exp(
            log_all
            - lgamma(k + 1)
            - lgamma(trials - k + 1)
            + k * log_rate
            + (trials - k) * log_rest
        )
        for k in range(count, trials + 1)
    )


def _check(successes: int, trials: int, level: float) -> None:
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"expected 0 <= successes <= trials and trials >= 1; got {successes} of {trials}"
        )
    if not 0 < level < 1:
        raise ValueError(f"expected a confidence level between 0 and 1; got {level}")
