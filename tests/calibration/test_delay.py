# pyright: standard
"""Delays from motion: found where they are known, refused where motion does not tell them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sim2arm.calibration.delay import Delay, DelayCfg, Relation, Signal, find_delay
from sim2arm.calibration.delay_report import draw_curve, draw_motion, make_record, write_delay
from sim2arm.calibration.latency import read_device_latency, read_latency
from sim2arm.calibration.motion import GelLevels, PictureShifts, States
from sim2arm.core.calibration_file import read_record, write_record

Array = np.ndarray
TRUE = 0.063
SECONDS = 20.0


def swing(times: Array, seed: int = 0, joints: int = 3) -> Array:
    """Positions (T, joints) [rad] of motion that never repeats itself."""
    rng = np.random.default_rng(seed)
    rates, phases = rng.uniform(0.1, 1.2, (joints, 4)), rng.uniform(0, 6.28, (joints, 4))
    return 0.08 * np.sin(2 * np.pi * rates * times[:, None, None] + phases).sum(axis=-1)


def moved(seed: int = 0) -> Signal:
    times = np.arange(0.0, SECONDS, 0.01)
    return Signal(times, np.round(swing(times, seed) / 1e-4) * 1e-4)


def seen(relation: Relation, seed: int = 0, delay: float = TRUE) -> Signal:
    """What a camera, a gel or the arm itself says of `moved`."""
    rng = np.random.default_rng(seed + 100)
    times = np.arange(0.5, SECONDS - 0.5, 1 / 30)
    times = times[rng.random(len(times)) > 0.05]
    x = swing(times - delay, seed)
    if relation == "follows":
        return Signal(times, x + rng.normal(size=x.shape) * 2e-4)
    if relation == "levels":
        return Signal(times, 5.0 * np.maximum(0.0, x[:, :1]) + rng.normal(size=(len(x), 1)) * 0.02)
    place = x @ np.array([[300.0, 40.0], [-80.0, 250.0], [10.0, 120.0]]) + 90.0 * x[:, :2] ** 2
    shifts = np.diff(place, axis=0, prepend=place[:1])
    return Signal(times, shifts + rng.normal(size=shifts.shape) * 0.3)


def of(relation: Relation, signal: Signal) -> Signal:
    return replace(signal, values=signal.values[:, :1]) if relation == "levels" else signal


# -- what is known -----------------------------------------------------------------------------


@pytest.mark.parametrize("relation", ["follows", "shifts", "levels"])
@pytest.mark.parametrize("delay", [-0.02, 0.0, TRUE, 0.2])
def test_a_delay_is_found_to_a_fraction_of_a_sample(relation: Relation, delay: float) -> None:
    found = find_delay(of(relation, moved()), seen(relation, delay=delay), relation)
    most = 2e-3 if relation == "levels" else 0.5e-3  # samples are 10 and 33 ms apart
    assert abs(found.delay - delay) < most
    assert found.explained > 0.95
    assert 1.96 * found.sigma < 3e-3
    assert abs(found.tried[found.left.argmin()] - delay) < 6e-3


@pytest.mark.parametrize("relation", ["shifts", "levels"])
def test_intervals_hold_the_truth(relation: Relation) -> None:
    cfg = DelayCfg(low=0.0, high=0.15)
    found = [
        find_delay(of(relation, moved(seed)), seen(relation, seed), relation, cfg)
        for seed in range(20)
    ]
    inside = [abs(f.delay - TRUE) < 1.96 * f.sigma for f in found]
    assert sum(inside) >= 17  # 17 or more of 20 with p = 0.984 where 95 % hold


def test_what_something_else_moved_hardly_counts_and_is_named() -> None:
    signal = seen("shifts")
    rng = np.random.default_rng(5)
    bad = rng.random(len(signal.values)) < 0.2
    values = signal.values.copy()
    values[bad] += rng.normal(size=(int(bad.sum()), 2)) * 40.0
    found = find_delay(moved(), Signal(signal.stamps, values), "shifts")
    assert abs(found.delay - TRUE) < 1e-3
    rows = np.searchsorted(signal.stamps, found.stamps)
    large = np.linalg.norm(values - signal.values, axis=1)[rows] > 10.0
    assert found.wrong[large].mean() > 0.95 and found.wrong[~bad[rows]].mean() < 0.02


def test_gaps_of_what_moved_are_left_out() -> None:
    whole = moved()
    keep = (whole.stamps < 8.0) | (whole.stamps > 9.5)
    found = find_delay(Signal(whole.stamps[keep], whole.values[keep]), seen("shifts"), "shifts")
    assert abs(found.delay - TRUE) < 0.5e-3
    assert not ((found.stamps > 8.1) & (found.stamps < 9.5)).any()


# -- what motion does not tell -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("still", "no joint moves: move the arm"),
        ("something else", "expected 30 or more: are these the right topics"),
        ("repeats", "ms explain what is seen nearly alike: the motion repeats itself"),
        ("short", r"5\.\d s of both signals overlap without gaps"),
        ("later", "the delay lies at the end of -0.05 to 0.4 s"),
        ("black", "what is seen does not change"),
        ("joints", "expected as many joints as were told: 3, got 2"),
    ],
)
def test_what_tells_no_delay_is_one_line(change: str, message: str) -> None:
    one, other, relation = moved(), seen("shifts"), "shifts"
    if change == "still":
        one = replace(one, values=0.0 * one.values)
    elif change == "something else":
        values = np.random.default_rng(2).normal(size=other.values.shape)
        values[:, 0] += 0.002 * other.values[:, 0]
        other = replace(other, values=values)
    elif change == "repeats":
        one = replace(one, values=0.1 * np.sin(2 * np.pi * 5.0 * one.stamps)[:, None])
        wave = 30.0 * np.sin(2 * np.pi * 5.0 * (other.stamps - TRUE))[:, None]
        other = replace(other, values=np.diff(wave, axis=0, prepend=wave[:1]))
    elif change == "short":
        other = Signal(other.stamps[:170], other.values[:170])
    elif change == "later":
        other = seen("shifts", delay=0.45)
    elif change == "black":
        other = replace(other, values=0.0 * other.values)
    else:
        relation = "follows"
    with pytest.raises(ValueError, match=message) as error:
        find_delay(one, other, relation)
    assert "\n" not in str(error.value)


def test_signals_that_are_none() -> None:
    times = np.arange(30.0)
    with pytest.raises(ValueError, match=r"expected \(30, n\) values, got shape \(30,\)"):
        Signal(times, times)
    with pytest.raises(ValueError, match="20 or more that rise"):
        Signal(times[::-1], times[:, None])
    with pytest.raises(ValueError, match="must be finite"):
        Signal(times, np.full((30, 1), np.nan))
    with pytest.raises(ValueError, match="expected one number that moves, got 3"):
        find_delay(moved(), seen("levels"), "levels")
    with pytest.raises(ValueError, match="low < high"):
        DelayCfg(low=0.2, high=0.1)


# -- signals -----------------------------------------------------------------------------------


def room(seed: int = 3) -> Array:
    noise = np.random.default_rng(seed).uniform(0, 255, (40, 60)).astype(np.float32)
    return cv2.resize(noise, (900, 600), interpolation=cv2.INTER_CUBIC).clip(0, 255)


def picture(wall: Array, x: float, y: float) -> Array:
    """A window of 320 x 240 of a wall, at a place between pixels."""
    M = np.array([[1.0, 0.0, -x], [0.0, 1.0, -y]])
    grey = cv2.warpAffine(wall, M, (320, 240), flags=cv2.INTER_LINEAR)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def test_shifts_of_pictures_by_hand() -> None:
    shifts, wall = PictureShifts(), room()
    x = np.cumsum([100.0, *([3.0] * 12), *([-5.0] * 12)])
    for k, at in enumerate(x):
        assert shifts.add(k / 30, picture(wall, at, 150.0 + 0.5 * k))
    assert not shifts.add(0.5, picture(wall, 0.0, 0.0))  # older
    assert not shifts.add(2.0, picture(wall, x[-1], 150.0 + 0.5 * 24))  # the same
    assert shifts.repeated == 1
    found = shifts.signal().values
    assert found[0].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(found[1:13, 0], -3.0, atol=0.4)  # the window moves to the right
    np.testing.assert_allclose(found[13:, 0], 5.0, atol=0.4)
    np.testing.assert_allclose(found[1:, 1], -0.5, atol=0.4)
    with pytest.raises(ValueError, match="the size changed to"):
        shifts.add(3.0, picture(wall, 0, 0)[:100])


def test_levels_of_a_gel_by_hand() -> None:
    gel, field = GelLevels(), GelLevels()
    for k in range(25):
        gel.add(k, np.full((4, 4, 3), 100 + 10 * (k >= 10), np.uint8))
        field.add(k, np.full((2, 5, 2, 3), [0.0, 0.3, 0.4], np.float32))
    np.testing.assert_allclose(gel.signal().values[:, 0], [0.0] * 10 + [10.0] * 15)
    np.testing.assert_allclose(field.signal().values, 20 * 0.5, rtol=1e-6)
    assert not gel.add(24, np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="expected 20 states or more, got 0"):
        States().signal("states")


def test_a_camera_that_an_arm_moves_is_timed_by_its_pictures() -> None:
    shifts, wall = PictureShifts(), room()
    times = np.arange(0.5, SECONDS - 0.5, 1 / 30)
    q = swing(times - TRUE, joints=2)
    for t, (a, b) in zip(times, q, strict=True):
        shifts.add(float(t), picture(wall, 290 + 400 * a, 180 + 300 * b))
    full = np.arange(0.0, SECONDS, 0.01)
    found = find_delay(Signal(full, swing(full, joints=2)), shifts.signal(), "shifts")
    assert abs(found.delay - TRUE) < 2e-3


# -- records -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found() -> Delay:
    return find_delay(moved(), seen("shifts"), "shifts")


def test_a_record_tells_ages_on_arrival(tmp_path: Path, found: Delay) -> None:
    way, cfg = np.full(1000, 0.010), DelayCfg()
    way[:5] = 0.040
    path = tmp_path / "wrist-latency.yaml"
    record = write_delay(
        path, found,
        lambda pictures: make_record(
            found, cfg, device="wrist", relative="those of the joint states", on_the_way=way,
            pictures=pictures,
        ),
    )  # fmt: skip
    assert record.problems == [] and record.what == "latency"
    np.testing.assert_allclose(record.value("samples"), found.delay + way)
    with pytest.raises(ValueError, match="expected latencies of commands"):
        read_latency(path)
    told = read_device_latency(path)
    half = 1.96 * found.sigma
    assert told.device == "wrist"
    assert told.low == pytest.approx(found.delay + 0.010 - half)
    assert told.middle == pytest.approx(found.delay + 0.010)
    assert told.high == pytest.approx(found.delay + 0.010 + half)  # five of a thousand are few
    page = path.with_suffix(".html").read_text()
    assert "Stamps lie 6" in page and "wrist-latency-motion.png" in {
        p.name for p in tmp_path.iterdir()
    }


def test_a_wide_interval_is_not_accepted_and_not_read(tmp_path: Path, found: Delay) -> None:
    record = make_record(
        found, DelayCfg(limit_ms=1e-3), device="wrist", relative="x", on_the_way=np.zeros(3)
    )
    assert any("half of the 95 % interval" in problem for problem in record.problems)
    path = tmp_path / "w.yaml"
    write_record(path, record, {})
    with pytest.raises(ValueError, match="not accepted"):
        read_device_latency(path)
    assert read_record(path).id == record.id


def test_pictures_of_the_report(found: Delay) -> None:
    assert draw_curve(found).shape == (220, 640, 3)
    assert draw_motion(found).shape == (220, 640, 3)  # two strips of 110
