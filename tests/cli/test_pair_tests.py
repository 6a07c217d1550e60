"""Exact tests of pairs, by hand."""

from math import comb

import pytest

from sim2arm.cli.pair_tests import holm, independent, mcnemar, pairs_needed, power


def test_the_sign_test_by_hand() -> None:
    # 10 pairs differ, one goes the other way: 2 (1 + 10) / 2^10 = 22 / 1024.
    assert mcnemar(9, 1) == mcnemar(1, 9) == 22 / 1024
    # All 5 go one way: 2 / 32, which is not below 5 %; with 6 it is 2 / 64.
    assert mcnemar(5, 0) == 0.0625 and mcnemar(0, 6) == 0.03125
    assert mcnemar(0, 0) == mcnemar(3, 3) == mcnemar(1, 0) == 1.0
    # 15 to 5: 2 (1 + 20 + 190 + 1140 + 4845 + 15504) / 2^20 = 43400 / 1048576.
    assert mcnemar(15, 5) == 43400 / 1048576
    with pytest.raises(ValueError, match="0 or more"):
        mcnemar(-1, 2)


def test_holm_by_hand() -> None:
    # Smallest times 3, next times 2, never below the one before.
    assert holm([0.03, 0.01, 0.04]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([0.2]) == [0.2] and holm([]) == []


def test_power_by_hand() -> None:
    # 6 pairs, all differ and all go one way: always found. With 5 never: 2 / 32 is above 5 %.
    assert power(6, 1.0, 1.0) == 1.0 and power(5, 1.0, 1.0) == 0.0
    # 6 pairs that differ, the better one wins 3 of 4: found if all go one way or the other.
    assert power(6, 0.5, 1.0) == pytest.approx(0.75**6 + 0.25**6)
    # Half of 6 pairs differ: found only if all 6 do, 0.5^6, and go one way.
    assert power(6, 0.25, 0.5) == pytest.approx(0.5**6 * (0.75**6 + 0.25**6))
    # Equal policies are called different at most as often as the level says.
    assert all(power(n, 0.0, 0.5) <= 0.05 for n in range(1, 120))
    with pytest.raises(ValueError, match="expected 0 <= "):
        power(5, 0.5, 0.4)


def test_power_is_the_sum_over_all_outcomes() -> None:
    # 0.4 apart, 0.58 differ: one way 0.49, the other 0.09. Every outcome of 29 pairs by its chance.
    n, found = 29, 0.0
    for a in range(n + 1):
        for b in range(n + 1 - a):
            if mcnemar(a, b) <= 0.05:
                ways = comb(n, a) * comb(n - a, b)
                found += ways * 0.49**a * 0.09**b * 0.42 ** (n - a - b)
    assert power(n, 0.4, 0.58) == pytest.approx(found, rel=1e-9) and found >= 0.8


def test_the_number_of_pairs_is_enough_and_one_less_is_not_always() -> None:
    for difference in (0.2, 0.4):
        share = independent(difference)
        needed = pairs_needed(difference, share)
        assert needed is not None
        assert all(power(n, difference, share) >= 0.8 for n in range(needed, needed + 11))
        assert power(needed - 1, difference, share) < 0.8
    assert (pairs_needed(0.2, 0.52), pairs_needed(0.4, 0.58)) == (107, 29)
    assert pairs_needed(0.01, 0.5) is None
    # Starts that decide much save pairs.
    fewer, more = pairs_needed(0.2, 0.3), pairs_needed(0.2, independent(0.2))
    assert fewer is not None and more is not None and fewer < more


@pytest.mark.parametrize("difference", [0.0638, 0.064])
def test_a_number_of_pairs_near_the_most_is_found(difference: float) -> None:
    share = independent(difference)
    needed = pairs_needed(difference, share)
    assert needed is not None and 980 < needed <= 1000
    ahead = range(needed, min(needed + 10, 1000) + 1)
    assert all(power(n, difference, share) >= 0.8 for n in ahead)
    assert power(needed - 1, difference, share) < 0.8


def test_the_share_of_pairs_that_differ_by_hand() -> None:
    # 0.6 against 0.4: 0.6 * 0.6 + 0.4 * 0.4.
    assert independent(0.2) == pytest.approx(0.52)
