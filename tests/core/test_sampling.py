from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest

from sim2arm.core.sampling import (
    NEVER,
    Later,
    SampleBuffer,
    Sampler,
    bracket,
    frames,
    latest,
    nearest,
)
from sim2arm.core.spec import ArraySpec, History, Reading, StaleReading

MS = 1_000_000


def make_input(**overrides: Any) -> ArraySpec:
    values: dict[str, Any] = {"name": "force", "kind": "sensor", "shape": (2,), "unit": "N"}
    return ArraySpec(**(values | overrides))


def make_reading(ms: float, value: float, sequence: int | None = None, **more: Any) -> Reading:
    stamp = int(ms * MS)
    values: dict[str, Any] = {
        "arrays": {"force": np.full(2, value, np.float32)},
        "sequence": round(ms) if sequence is None else sequence,
        "stamp_ns": stamp,
        "receipt_ns": stamp,
    }
    return Reading(**(values | more))


def make_buffer(*pairs: tuple[float, float], **overrides: Any) -> SampleBuffer:
    buffer = SampleBuffer(make_input(**overrides))
    for ms, value in pairs:
        assert buffer.push(make_reading(ms, value), now_ns=int(ms * MS))
    return buffer


# Two worlds: one with stamps 10, 20, 30; one in which only 20 and 30 have come.
STAMPS = np.array([[10, 20, 30], [NEVER, 20, 30]])


def test_latest_is_the_newest_at_or_before() -> None:
    assert latest(STAMPS, np.int64(20)).tolist() == [1, 1]
    assert latest(STAMPS, np.array([19, 19])).tolist() == [0, -1]
    assert latest(STAMPS, np.array([9, 99])).tolist() == [-1, 2]


def test_nearest_takes_the_older_on_a_tie() -> None:
    assert nearest(STAMPS, np.array([16, 16])).tolist() == [1, 1]
    assert nearest(STAMPS, np.array([15, 25])).tolist() == [0, 1]
    assert nearest(STAMPS, np.array([-5, 99])).tolist() == [0, 2]
    assert nearest(np.array([NEVER, NEVER]), np.int64(3)).tolist() == -1


def test_bracket_gives_the_share_of_the_way() -> None:
    before, after, weight = bracket(STAMPS, np.array([14, 25]))
    assert before.tolist() == [0, 1] and after.tolist() == [1, 2]
    assert weight.tolist() == [0.4, 0.5]  # (14 - 10) / 10, (25 - 20) / 10
    before, after, weight = bracket(STAMPS, np.array([50, 5]))
    assert before.tolist() == [2, 1] and after.tolist() == [2, 1]
    assert weight.tolist() == [0.0, 0.0]
    assert bracket(np.array([NEVER]), np.int64(5))[0].tolist() == -1


def test_frames_repeats_the_oldest() -> None:
    newest = np.array([2, 2])
    assert frames(STAMPS, newest, 2).tolist() == [[1, 2], [1, 2]]
    assert frames(STAMPS, newest, 4).tolist() == [[0, 0, 1, 2], [1, 1, 1, 2]]
    assert frames(STAMPS, np.array([0, 1]), 2).tolist() == [[0, 0], [1, 1]]


def test_the_rules_are_the_same_for_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not in the robot's environment")
    stamps, t = torch.from_numpy(STAMPS), torch.tensor([16, 24])
    assert latest(stamps, t).tolist() == latest(STAMPS, t.numpy()).tolist()
    assert nearest(stamps, t).tolist() == nearest(STAMPS, t.numpy()).tolist()
    assert bracket(stamps, t)[2].tolist() == bracket(STAMPS, t.numpy())[2].tolist()
    newest = torch.tensor([2, 1])
    assert frames(stamps, newest, 3).tolist() == frames(STAMPS, newest.numpy(), 3).tolist()


def test_latest_gives_the_newest_again_until_another_comes() -> None:
    buffer = make_buffer((10, 1.0), (20, 2.0))
    for _ in range(2):
        assert buffer.sample(25 * MS, 25 * MS).tolist() == [2.0, 2.0]
    buffer.push(make_reading(30, 3.0), 30 * MS)
    assert buffer.sample(30 * MS, 30 * MS).tolist() == [3.0, 3.0]


def test_interpolation_at_the_anchor() -> None:
    buffer = make_buffer((10, 1.0), (20, 2.0), sampling="interpolate:image")
    # 14 ms lies 0.4 of the way from 1 to 2.
    assert buffer.sample(25 * MS, 25 * MS, anchor_ns=14 * MS) == pytest.approx([1.4, 1.4])
    assert buffer.sample(25 * MS, 25 * MS, anchor_ns=23 * MS).tolist() == [2.0, 2.0]
    assert buffer.sample(25 * MS, 25 * MS, anchor_ns=14 * MS).dtype == np.float32


def test_history_of_frames_counts_distinct_readings() -> None:
    buffer = make_buffer((10, 1.0), history=History(of="frames", n=3))
    assert buffer.sample(11 * MS, 11 * MS)[:, 0].tolist() == [1.0, 1.0, 1.0]
    buffer.push(make_reading(20, 2.0), 20 * MS)
    for ms in (20, 21, 22):  # three ticks, still two readings
        assert buffer.sample(ms * MS, ms * MS)[:, 0].tolist() == [1.0, 1.0, 2.0]


def test_history_of_ticks_counts_control_ticks() -> None:
    buffer = make_buffer((10, 1.0), history=History(of="ticks", n=3))
    buffer.sample(11 * MS, 11 * MS)
    buffer.push(make_reading(20, 2.0), 20 * MS)
    assert buffer.sample(20 * MS, 20 * MS)[:, 0].tolist() == [1.0, 1.0, 2.0]
    assert buffer.sample(21 * MS, 21 * MS)[:, 0].tolist() == [1.0, 2.0, 2.0]
    assert buffer.sample(22 * MS, 22 * MS)[:, 0].tolist() == [2.0, 2.0, 2.0]


def test_both_ages_are_bounded() -> None:
    buffer = make_buffer((100, 1.0), max_stamp_age_s=0.02, max_receipt_age_s=0.03)
    assert buffer.ages(115 * MS, 130 * MS) == pytest.approx((0.015, 0.03))
    buffer.sample(120 * MS, 130 * MS)  # exactly at both limits
    with pytest.raises(StaleReading, match=r"'force': stamp age 21.0 ms, allowed 20.0 ms"):
        buffer.sample(121 * MS, 121 * MS)
    # The clock of the stamps stands still; the steady clock does not.
    with pytest.raises(StaleReading, match=r"'force': receipt age 31.0 ms, allowed 30.0 ms"):
        buffer.sample(100 * MS, 131 * MS)


def test_nothing_received_is_stale() -> None:
    with pytest.raises(StaleReading, match="nothing received yet"):
        make_buffer().sample(MS, MS)


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (make_reading(15, 9.0), "out of order"),
        (make_reading(20, 9.0, sequence=99), "out of order"),
        (make_reading(0, 9.0, sequence=99), "without stamp"),
        (make_reading(-5, 9.0), "without stamp"),
        (make_reading(10_030, 9.0), "from the future"),
    ],
)
def test_readings_with_impossible_stamps_are_counted_and_not_used(
    reading: Reading, reason: str
) -> None:
    buffer = make_buffer((10, 1.0), (20, 2.0))
    assert not buffer.push(reading, now_ns=25 * MS)
    assert buffer.rejected == {reason: 1}
    assert buffer.sample(25 * MS, 25 * MS).tolist() == [2.0, 2.0]


def test_the_same_reading_again_is_not_a_rejection() -> None:
    buffer = make_buffer((10, 1.0))
    assert not buffer.push(make_reading(10, 1.0), 12 * MS)
    assert not buffer.rejected


def test_a_receipt_clock_takes_the_time_of_arrival_as_stamp() -> None:
    buffer = SampleBuffer(make_input(clock="receipt"))
    assert buffer.push(make_reading(10, 1.0, stamp_ns=0, receipt_ns=50 * MS), 50 * MS)
    assert buffer.stamp_ns == 50 * MS


def test_a_reading_is_copied_because_drivers_reuse_buffers() -> None:
    array = np.zeros(2, np.float32)
    buffer = SampleBuffer(make_input())
    buffer.push(make_reading(10, 0.0, arrays={"force": array}), 10 * MS)
    array[:] = 5.0
    assert buffer.sample(10 * MS, 10 * MS).tolist() == [0.0, 0.0]
    buffer.sample(10 * MS, 10 * MS)[:] = 7.0
    assert buffer.sample(10 * MS, 10 * MS).tolist() == [0.0, 0.0]


def test_ill_formed_readings_raise() -> None:
    buffer = SampleBuffer(make_input())
    for arrays, message in (
        ({"torque": np.zeros(2, np.float32)}, r"has only \['torque'\]"),
        ({"force": np.zeros(3, np.float32)}, r"expected shape \(..., 2\)"),
        ({"force": np.zeros((1, 2), np.float32)}, "expected one frame"),
        ({"force": np.array([np.nan, 0], np.float32)}, "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            buffer.push(make_reading(10, 0.0, arrays=arrays), 10 * MS)
    assert buffer.stamp_ns is None
    with pytest.raises(ValueError, match="does not fit a buffer of 64"):
        SampleBuffer(make_input(history=History(of="frames", n=65)))


def test_a_sampler_pairs_inputs_by_stamp() -> None:
    # Images at 30 ms period, forces every 10 ms: the force nearest to the newest image.
    image = ArraySpec(name="image", kind="sensor", shape=(1,), max_stamp_age_s=0.1)
    force = make_input(sampling="nearest_to:image")
    ratio = ArraySpec(name="ratio", kind="derived", shape=(1,), source="ratio(force)")
    sampler = Sampler((force, image, ratio))
    sampler.push(make_reading(28, 0.0, arrays={"image": np.ones(1, np.float32)}), 28 * MS)
    for ms in (10, 20, 30, 40):
        assert sampler.push(make_reading(ms, float(ms)), ms * MS)
    obs = sampler.sample(45 * MS, 45 * MS)
    assert list(obs) == ["force", "image"]
    assert obs["force"].tolist() == [30.0, 30.0]
    assert sampler.ages(45 * MS, 45 * MS)["image"][0] == pytest.approx(0.017)
    sampler.reset()
    with pytest.raises(StaleReading, match="'image': nothing received"):
        sampler.sample(45 * MS, 45 * MS)


def test_a_stale_input_does_not_move_the_tick_histories_of_others() -> None:
    force = make_input(history=History(of="ticks", n=2))
    late = ArraySpec(name="late", kind="sensor", shape=(1,), max_receipt_age_s=0.01)
    sampler = Sampler((force, late))
    sampler.push(make_reading(10, 1.0), 10 * MS)
    sampler.push(make_reading(10, 0.0, arrays={"late": np.ones(1, np.float32)}), 10 * MS)
    sampler.sample(10 * MS, 10 * MS)
    sampler.push(make_reading(20, 2.0), 20 * MS)
    with pytest.raises(StaleReading, match="'late'"):
        sampler.sample(30 * MS, 30 * MS)
    sampler.push(make_reading(30, 0.0, arrays={"late": np.ones(1, np.float32)}), 30 * MS)
    assert sampler.sample(31 * MS, 31 * MS)["force"][:, 0].tolist() == [1.0, 2.0]


def test_anchors_that_do_not_exist_or_form_a_circle_are_refused() -> None:
    a = make_input(name="a", sampling="nearest_to:b")
    b = make_input(name="b", sampling="nearest_to:a")
    for specs in ((a,), (a, b)):
        with pytest.raises(ValueError, match="not sampled inputs or form a circle"):
            Sampler(specs)


# -- arrays that are made when a tick uses them ------------------------------------------------


class Camera:
    """Readings whose arrays are made later, counted."""

    def __init__(self) -> None:
        self.made: list[float] = []

    def reading(self, ms: float, value: float, size: int = 2) -> Reading:
        def make() -> np.ndarray:
            self.made.append(value)
            return np.full(size, value, np.float32)

        return make_reading(ms, value, arrays={"force": Later(make)})


def test_an_array_is_made_for_the_tick_that_uses_it_and_once() -> None:
    camera, buffer = Camera(), SampleBuffer(make_input())
    for ms in (10, 20, 30):
        assert buffer.push(camera.reading(ms, ms), now_ns=ms * MS)
    assert camera.made == []
    for _ in range(2):
        assert buffer.sample(31 * MS, 31 * MS).tolist() == [30, 30]
    assert camera.made == [30]


def test_histories_make_each_frame_once() -> None:
    camera = Camera()
    buffer = SampleBuffer(make_input(history=History(of="frames", n=2)))
    seen: list[list[float]] = []
    for ms in (10, 20, 30):
        buffer.push(camera.reading(ms, ms), now_ns=ms * MS)
        seen.append(buffer.sample(ms * MS, ms * MS)[:, 0].tolist())
    assert seen == [[10, 10], [10, 20], [20, 30]]
    assert camera.made == [10, 20, 30]


def test_an_array_made_later_is_checked_like_any_other() -> None:
    camera, buffer = Camera(), SampleBuffer(make_input())
    buffer.push(camera.reading(10, 1.0, size=3), now_ns=10 * MS)
    with pytest.raises(ValueError, match=r"input 'force': expected shape \(..., 2\), got \(3,\)"):
        buffer.sample(10 * MS, 10 * MS)


def test_no_more_readings_are_kept_than_the_newest_needs() -> None:
    camera, buffer = Camera(), SampleBuffer(make_input(history=History(of="frames", n=3)))
    kept: list[weakref.ref[Later]] = []
    for ms in range(1, 9):
        reading = camera.reading(ms, ms)
        kept.append(weakref.ref(reading.arrays["force"]))
        buffer.push(reading, now_ns=ms * MS)
        del reading
    assert [ref() is not None for ref in kept] == [False] * 5 + [True] * 3
