import math

import pytest

from sim2arm.cli.intervals import clopper_pearson


def test_exact_interval_without_a_failure_and_without_a_success() -> None:
    # P(X = n) = p^n = 0.025 at the lower end: p = 0.025^(1/20).
    low, high = clopper_pearson(20, 20)
    assert low == pytest.approx(0.025 ** (1 / 20), abs=1e-12)
    assert high == 1.0
    low, high = clopper_pearson(0, 20)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 20), abs=1e-12)


def test_exact_interval_of_one_in_two() -> None:
    # P(X >= 1) = 1 - (1-p)^2 = 0.025 -> p = 1 - sqrt(0.975); the upper end mirrors it.
    low, high = clopper_pearson(1, 2)
    assert low == pytest.approx(1 - math.sqrt(0.975), abs=1e-12)
    assert high == pytest.approx(math.sqrt(0.975), abs=1e-12)


def test_exact_interval_of_eight_in_ten() -> None:
    # Table of Clopper and Pearson: 0.4439, 0.9748.
    assert clopper_pearson(8, 10) == pytest.approx((0.4439, 0.9748), abs=5e-5)


def test_exact_interval_of_many_trials() -> None:
    # Normal approximation: 0.9 -+ 1.96 sqrt(0.09 / 50000) = 0.9 -+ 0.00263.
    low, high = clopper_pearson(45_000, 50_000)
    assert low == pytest.approx(0.9 - 0.00263, abs=5e-5)
    assert high == pytest.approx(0.9 + 0.00263, abs=5e-5)


def test_exact_ends_have_the_tails_they_promise() -> None:
    low, high = clopper_pearson(13, 17)
    above = sum(math.comb(17, k) * low**k * (1 - low) ** (17 - k) for k in range(13, 18))
    below = sum(math.comb(17, k) * high**k * (1 - high) ** (17 - k) for k in range(14))
    assert above == pytest.approx(0.025, abs=1e-12)
    assert below == pytest.approx(0.025, abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"got {successes} of {trials}"):
        clopper_pearson(successes, trials)


def test_impossible_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1; got 95"):
        clopper_pearson(1, 2, level=95)
