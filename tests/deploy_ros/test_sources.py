"""What the report says of an input: fit, ages, rate."""

from __future__ import annotations

import pytest

from sim2arm.core.spec import ArraySpec
from sim2arm_ros.sources import Source

MS = 1_000_000
SPEC = ArraySpec(
    name="scene_rgb", kind="sensor", shape=(4, 4, 3), dtype="uint8", rate_hz=30.0,
    max_stamp_age_s=0.1, max_receipt_age_s=0.2, trained_age_s=(0.01, 0.08),
)  # fmt: skip


def make_source(*receipts_ms: int) -> Source:
    """An input whose readings were 5 ms on their way."""
    source = Source(spec=SPEC)
    for ms in receipts_ms:
        source.take((ms - 5) * MS, ms * MS)
        source.problem = ""
    return source


def red(source: Source, now_ms: int) -> list[str]:
    items = [source.fit(), *source.timing(now_ms * MS, now_ms * MS, 60.0)]
    return [item.name for item in items if not item.ok]


def test_an_input_that_comes_as_it_should_is_green() -> None:
    assert red(make_source(1000, 1033, 1066, 1100), 1110) == []


def test_nothing_old_and_slow_are_red() -> None:
    names = ["messages", "receipt age", "stamp age", "rate"]
    assert red(make_source(), 1000) == [f"scene_rgb: {name}" for name in names]
    assert red(make_source(1000, 1033), 1250) == ["scene_rgb: receipt age", "scene_rgb: stamp age"]
    assert red(make_source(1000, 1033), 1133) == ["scene_rgb: stamp age"]  # 105 ms by its stamp
    assert red(make_source(1000, 1050, 1100), 1110) == ["scene_rgb: rate"]  # 20 of 30 Hz


def test_a_problem_is_what_was_measured() -> None:
    source = make_source(1000)
    assert source.fit("too small").measured == "too small"
    source.problem = "in another frame"
    assert source.fit("too small").measured == "in another frame"


def test_the_rate_after_a_pause_is_that_after_the_pause() -> None:
    source = make_source(1000, 1033, 1066, 61_000)
    assert source.period is None and "scene_rgb: rate" in red(source, 61_001)
    source.take(61_028 * MS, 61_033 * MS)
    assert source.period == pytest.approx(0.033)
