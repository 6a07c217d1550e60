"""The clock of a device against ours: drift, jitter, wrap, and what it must never do."""

from __future__ import annotations

import numpy as np
import pytest

from sim2arm.sensors.device_clock import SETTLED, DeviceClock

S = 1_000_000_000
PERIOD = S // 30


def run(
    drift: float, seconds: float, *, jitter_s: float = 0.004, start_ns: int = 5 * S
) -> tuple[DeviceClock, np.ndarray, np.ndarray]:
    """Return the clock, when frames were taken and what it said of that, both steady [s].

    The device counts 1 / (1 + drift) s per second of ours; frames take 3 ms and up to `jitter_s`
    more.
    """
    clock, random = DeviceClock(), np.random.default_rng(0)
    taken, said = list[int](), list[int]()
    for k in range(round(30 * seconds)):
        true = 7 * S + k * PERIOD
        device = start_ns + round((true - 7 * S) / (1.0 + drift))
        receipt = true + 3_000_000 + round(1e9 * jitter_s * random.exponential(0.3))
        found = clock.to_steady(device % (2**32 * 1000), receipt)
        assert found is not None and found <= receipt  # nothing is taken after it came
        taken.append(true)
        said.append(found)
    return clock, np.array(taken) * 1e-9, np.array(said) * 1e-9


@pytest.mark.parametrize("drift", [-2e-4, -2e-5, 0.0, 1e-4])
def test_drift_is_found_and_stamps_stay_true(drift: float) -> None:
    clock, taken, said = run(drift, 90.0)
    assert clock.drift == pytest.approx(drift, abs=3e-6)
    assert clock.problem == ""
    # Once the slope is known, what is left is the least transport time of 3 ms.
    late = (said - taken)[30 * (SETTLED + 2) :]
    assert np.abs(late - 0.003).max() < 5e-4
    assert np.all(np.diff(said) > 0.9 / 30)


def test_a_delay_is_an_age_and_no_new_offset() -> None:
    """A link that is blocked makes frames old: that must not be taken for the clock."""
    clock, taken, _ = run(0.0, 30.0)
    for k in range(1, 60):
        true = round(taken[-1] * 1e9) + k * PERIOD
        found = clock.to_steady(5 * S + true - 7 * S, true + 250_000_000)
        assert found is not None and true + 250_000_000 - found > 240_000_000


def test_a_counter_that_wraps_goes_on() -> None:
    _, taken, said = run(0.0, 4.0, start_ns=2**32 * 1000 - 2 * S)
    assert np.abs(said - taken - 0.003).max() < 0.005
    assert np.all(np.diff(said) > 0.9 / 30)


def test_a_stamp_that_does_not_rise_is_none() -> None:
    clock = DeviceClock()
    assert clock.to_steady(5 * S, 7 * S) == 7 * S  # the first knows of no delay
    assert clock.to_steady(5 * S, 7 * S + PERIOD) is None
    assert clock.to_steady(5 * S - 1, 7 * S + PERIOD) is None
    # 40 ms by the device, 30 ms by us: 10 ms less delay than the first, so that one was 10 ms late.
    assert clock.to_steady(5 * S + 40_000_000, 7 * S + 30_000_000) == 7 * S + 30_000_000


def test_what_drifts_too_much_is_no_clock() -> None:
    clock, _, _ = run(2e-3, 20.0)
    assert "ppm against this machine's, expected 500 ppm at most: set stamps to receipt" in (
        clock.problem
    )
