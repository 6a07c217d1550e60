"""Levels of /diagnostics, by hand: what a person reads when a camera misbehaves."""

from __future__ import annotations

from typing import Any

import pytest

from sim2arm.core.spec import ArraySpec
from sim2arm_ros.sensor_health import Health, SensorHealth

MS = 1_000_000
WALL = 10**18
SPEC = ArraySpec(name="scene_rgb", kind="sensor", shape=(2, 3, 3), dtype="uint8", rate_hz=25.0,
                 max_receipt_age_s=0.2, max_stamp_age_s=0.2)  # fmt: skip


def watch(period_ms: int = 40, count: int = 50, late_ms: int = 10) -> tuple[SensorHealth, int]:
    """Return what saw `count` readings a period apart, `late_ms` after their stamps, and now."""
    health, steady = SensorHealth(SPEC), 0
    for k in range(count):
        steady = 5_000 * MS + k * period_ms * MS
        health.take(WALL + steady - late_ms * MS, steady)
    return health, steady


def look(health: SensorHealth, steady: int, why: str = "", **counters: int) -> Health:
    return health.look(WALL + steady, steady, why=why, counters=counters)


def test_nothing_yet_is_stale() -> None:
    found = look(SensorHealth(SPEC), 5, "no camera matches 'x'", frames=0)
    assert (found.level, found.message) == ("STALE", "nothing received yet: no camera matches 'x'")


def test_a_sensor_at_its_rate_is_ok() -> None:
    health, now = watch()
    found = look(health, now + 20 * MS, frames=50, drops=0)
    assert (found.level, found.message) == ("OK", "25.0 Hz")
    # 20 ms after the last receipt, which came 10 ms after its stamp.
    assert found.values == {
        "rate [Hz]": "25.0", "age [s]": "0.030", "age of receipt [s]": "0.020",
        "expected rate [Hz]": "25", "frames": 50, "drops": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("period_ms", "level"), [(37, "OK"), (43, "OK"), (36, "WARN"), (45, "WARN")]
)
def test_another_rate_is_a_warning(period_ms: int, level: str) -> None:
    """25 Hz and 10 %: 22.5 to 27.5 Hz, periods of 36.4 to 44.4 ms."""
    health, now = watch(period_ms)
    assert look(health, now).level == level


def test_losses_are_a_warning_once() -> None:
    health, now = watch()
    assert look(health, now, drops=3).message == "25.0 Hz, 3 drops since the last second"
    assert look(health, now, drops=3).level == "OK"
    found = look(health, now, drops=4, broken=1, duplicates=9)
    assert (found.level, found.message) == (
        "WARN", "25.0 Hz, 1 drops, 1 broken since the last second"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("after_ms", "late_ms", "said"),
    [
        (201, 10, "the newest was received 0.201 s ago, allowed 0.2 s: unplugged"),
        (195, 10, "the newest was measured 0.205 s ago, allowed 0.2 s: unplugged"),
        (0, -6, "its stamp is 0.006 s ahead of the clock: unplugged"),
    ],
)
def test_what_a_policy_does_not_use_is_an_error(after_ms: int, late_ms: int, said: str) -> None:
    health, now = watch(late_ms=late_ms)
    found = look(health, now + after_ms * MS, "unplugged")
    assert (found.level, found.message) == ("ERROR", said)


def test_a_silence_has_no_rate() -> None:
    health, now = watch()
    values: Any = look(health, now + 1_500 * MS).values
    assert values["rate [Hz]"] == "0.0"
